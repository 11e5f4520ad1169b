"""Worker processes on this machine.

Each worker holds the model and does whole photos. In it, one thread reads ahead and two write behind while the main thread
cuts, so that network and disk overlap with the processor; each has at most `DEPTH` photos in hand, which bounds memory.
Processes and not threads, as a photo that crashes a decoder or eats all memory must cost itself only: its worker is
replaced, and the photo is tried again and then given up.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from liftout import graphs
from liftout.batch.capacity import Capacity
from liftout.batch.cutter import Cut, Cutter, Read
from liftout.batch.job import Item, Job, Outcome
from liftout.batch.prefetch import Prefetch
from liftout.errors import EngineError, LiftoutError

DEPTH = 4
"""Photos that a worker has in hand: one being cut, one or two read ahead, the others being written."""
_SPAWN = multiprocessing.get_context("spawn")
_TICK = 0.2
_FAILED_STARTS = 3


def run_locally(
    prefetch: Prefetch,
    job: Job,
    capacity: Capacity,
    *,
    in_this_process: bool,
    stopping: Callable[[], bool],
) -> Iterator[Outcome]:
    """Outcomes of photos as they are done, in no order.

    in_this_process: workers are threads; for storages that other processes cannot see.
    stopping: once true, no further photo is begun; those in hand are finished.
    Raises the error that kept a worker from loading the model.
    """
    with tempfile.TemporaryDirectory(prefix="liftout-batch-") as folder:
        crew = _Crew(job, capacity, Path(folder) / "large.lock", in_this_process=in_this_process)
        try:
            yield from crew.outcomes(prefetch, stopping)
        finally:
            crew.close()


@dataclass
class _Worker:
    """A worker as its parent sees it."""

    body: Any
    """Process or thread."""
    connection: Connection
    ready: bool = False
    in_hand: OrderedDict[str, Item] = field(default_factory=OrderedDict)
    cutting: str | None = None
    """Path of the photo that it cuts at this moment: the suspect where it dies."""


class _Crew:
    def __init__(self, job: Job, capacity: Capacity, lock: Path, *, in_this_process: bool) -> None:
        self._job, self._capacity, self._lock = job, capacity, lock
        self._threads = in_this_process
        self._workers: list[_Worker] = []
        self._again: deque[Item] = deque()
        self._deaths: dict[str, int] = {}
        self._failed_starts = 0

    def outcomes(self, prefetch: Prefetch, stopping: Callable[[], bool]) -> Iterator[Outcome]:
        ended = False
        while True:
            if stopping():
                ended = True
                self._again.clear()
            while self._room() and (self._again or not ended):
                try:
                    item = self._again.popleft() if self._again else prefetch.take()
                except Empty:
                    break
                if item is None:
                    ended = True
                elif isinstance(item, Outcome):
                    yield item
                else:
                    self._give(self._free(), item)
            if ended and not self._again and not any(worker.in_hand for worker in self._workers):
                return
            yield from self._heard()

    def close(self) -> None:
        """End all workers: at once those that still have work, by themselves those that have none."""
        for worker in self._workers:
            if worker.in_hand and not self._threads:
                worker.body.terminate()
            worker.connection.close()
        for worker in self._workers:
            worker.body.join(timeout=10)
            if not self._threads and worker.body.is_alive():
                worker.body.kill()
                worker.body.join()
        self._workers.clear()

    def _room(self) -> bool:
        """Whether a worker can take one more, or there can be one more worker."""
        full = all(len(worker.in_hand) >= DEPTH for worker in self._workers)
        return not full or len(self._workers) < self._capacity.workers

    def _free(self) -> _Worker:
        """The worker with the least in hand; a new one where all have work and there are too few."""
        least = min(self._workers, key=lambda worker: len(worker.in_hand), default=None)
        if least is None or (least.in_hand and len(self._workers) < self._capacity.workers):
            return self._started()
        return least

    def _started(self) -> _Worker:
        ours, theirs = _SPAWN.Pipe()
        arguments = (theirs, self._job, self._capacity, self._lock)
        body: Any
        if self._threads:
            body = threading.Thread(target=_work, args=arguments, daemon=True)
            body.start()
        else:
            body = _SPAWN.Process(target=_work_in_process, args=arguments, daemon=True)
            body.start()
            theirs.close()
        worker = _Worker(body, ours)
        self._workers.append(worker)
        return worker

    def _give(self, worker: _Worker, item: Item) -> None:
        worker.in_hand[item.path] = item
        try:
            worker.connection.send(item)
        except OSError:
            return  # it died; `_heard` finds the end of its pipe and takes its photos back

    def _heard(self) -> Iterator[Outcome]:
        """What workers have to say, waiting a little for it."""
        if not self._workers:
            time.sleep(_TICK)
        for connection in wait([worker.connection for worker in self._workers], timeout=_TICK):
            worker = next(worker for worker in self._workers if worker.connection is connection)
            try:
                kind, value = worker.connection.recv()
            except (EOFError, OSError):
                yield from self._buried(worker)
                continue
            if kind == "ready":
                worker.ready = True
                self._failed_starts = 0
            elif kind == "refused":
                raise value
            elif kind == "cutting":
                worker.cutting = value
            elif kind == "outcome":
                worker.in_hand.pop(value.path, None)
                if worker.cutting == value.path:
                    worker.cutting = None
                yield value

    def _buried(self, worker: _Worker) -> Iterator[Outcome]:
        """A worker died: its photos go to others; the one it was cutting is under suspicion and counted."""
        self._workers.remove(worker)
        worker.connection.close()
        worker.body.join(timeout=10)
        how = _ending(getattr(worker.body, "exitcode", None))
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                raise EngineError(f"workers end while they load {self._job.run.model} ({how}); try --workers 1")
        suspect = worker.cutting
        for path, item in worker.in_hand.items():
            if suspect not in (path, None):
                self._again.append(item)
                continue
            self._deaths[path] = self._deaths.get(path, 0) + 1
            if self._deaths[path] <= self._job.retries:
                self._again.append(item)
                continue
            yield Outcome(
                path=path,
                output=item.output,
                status="failed",
                error=f"{path}: its worker died over it {self._deaths[path]} times ({how}); is the file damaged, or memory short?",
                kind="WorkerDied",
                tries=self._deaths[path],
            )


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"exit status {code}"


def _work_in_process(connection: Connection, job: Job, capacity: Capacity, lock: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    graphs.use_threads(capacity.threads)
    _work(connection, job, capacity, lock)
    # All is written and said. Leaving the ordinary way would wait, for seconds, until clients of stores close sessions.
    os._exit(0)


def _work(connection: Connection, job: Job, capacity: Capacity, lock: Path) -> None:
    """A worker's life: items come in, outcomes go out, until the parent closes the pipe or dies."""
    try:
        cutter = Cutter(job, threads=capacity.threads, large_pixels=capacity.large_pixels, lock=lock)
    except LiftoutError as error:
        _send(connection, threading.Lock(), "refused", error)
        return
    except Exception as error:  # noqa: BLE001 - the parent raises it
        _send(connection, threading.Lock(), "refused", EngineError(f"{job.run.model}: cannot be loaded: {error!r}"))
        return
    sending, gone = threading.Lock(), threading.Event()
    _send(connection, sending, "ready", None)
    begun: SimpleQueue[tuple[Item, Future[Read]] | None] = SimpleQueue()
    with cutter, ThreadPoolExecutor(2) as readers, ThreadPoolExecutor(2) as writers:

        def receive() -> None:
            try:
                while True:
                    item = connection.recv()
                    begun.put((item, readers.submit(cutter.read, item)))
            except (EOFError, OSError):
                gone.set()
                begun.put(None)

        def finish(item: Item, cut: Cut) -> None:
            _send(connection, sending, "outcome", cutter.write(item, cut))

        threading.Thread(target=receive, daemon=True).start()
        while (taken := begun.get()) is not None and not gone.is_set():
            item, read = taken
            content = read.result()
            _send(connection, sending, "cutting", item.path)
            cut = cutter.cut(item, content)
            del read, content, taken
            writers.submit(finish, item, cut)
            del cut


def _send(connection: Connection, sending: threading.Lock, kind: str, value: object) -> None:
    with sending:
        try:
            connection.send((kind, value))
        except OSError:
            return  # the parent is gone; `receive` ends this worker


__all__ = ["DEPTH", "run_locally"]
