"""Worker processes on this machine.

Each worker holds the model and does whole photos. In it, one thread reads ahead and two write behind while the main thread
cuts, so that network and disk overlap with the processor; each has at most `DEPTH` photos assigned, which bounds memory.
Workers are processes and not threads, so that a photo that crashes a decoder or exhausts memory costs only itself: its worker
is replaced, and the photo is tried again and then given up.
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
from liftout.batch.cutter import Cutter, Picture, Source
from liftout.batch.job import Item, Job, Outcome
from liftout.batch.prefetch import Prefetch
from liftout.errors import EngineError, LiftoutError
from liftout.remedies import UseOption

DEPTH = 4
"""Photos assigned to a worker: one being cut, one or two read ahead, the others being written."""
_SPAWN = multiprocessing.get_context("spawn")
_TICK = 0.2
_FAILED_STARTS = 3
CRASH_ADVICE = "the file may be damaged or memory too small"


def run_locally(
    prefetch: Prefetch,
    job: Job,
    capacity: Capacity,
    *,
    in_this_process: bool,
    stopping: Callable[[], bool],
) -> Iterator[Outcome]:
    """Outcomes of photos as they are done, in any order.

    in_this_process: workers are threads; for storages that other processes cannot see.
    stopping: once it returns true, no further photo is started; photos in progress are finished.
    prefetch: the plan. job: what is done with each photo. capacity: workers and their threads.
    Raises the error that kept a worker from loading the model.
    """
    with tempfile.TemporaryDirectory(prefix="liftout-batch-") as folder:
        pool = _WorkerPool(job, capacity, Path(folder) / "large.lock", in_this_process=in_this_process)
        try:
            yield from pool.outcomes(prefetch, stopping)
        finally:
            pool.close()


@dataclass
class _Worker:
    """A worker as its parent sees it."""

    body: Any
    """Process or thread."""
    connection: Connection
    ready: bool = False
    assigned: OrderedDict[str, Item] = field(default_factory=OrderedDict)
    cutting: str | None = None
    """Path of the photo that it is cutting at the moment, which is the likely cause if it crashes."""


class _WorkerPool:
    def __init__(self, job: Job, capacity: Capacity, lock: Path, *, in_this_process: bool) -> None:
        self._job, self._capacity, self._lock = job, capacity, lock
        self._threads = in_this_process
        self._workers: list[_Worker] = []
        self._retries: deque[Item] = deque()
        self._crashes: dict[str, int] = {}
        self._failed_starts = 0

    def outcomes(self, prefetch: Prefetch, stopping: Callable[[], bool]) -> Iterator[Outcome]:
        planned_all = False
        while True:
            if stopping():
                planned_all = True
                self._retries.clear()
            while self._has_room() and (self._retries or not planned_all):
                try:
                    item = self._retries.popleft() if self._retries else prefetch.take()
                except Empty:
                    break
                if item is None:
                    planned_all = True
                elif isinstance(item, Outcome):
                    yield item
                else:
                    self._assign(self._least_busy(), item)
            if planned_all and not self._retries and not any(worker.assigned for worker in self._workers):
                return
            yield from self._receive()

    def close(self) -> None:
        """End all workers: those with work at once, those without by themselves."""
        for worker in self._workers:
            if worker.assigned and not self._threads:
                worker.body.terminate()
            worker.connection.close()
        for worker in self._workers:
            worker.body.join(timeout=10)
            if not self._threads and worker.body.is_alive():
                worker.body.kill()
                worker.body.join()
        self._workers.clear()

    def _has_room(self) -> bool:
        """Whether a worker can take one more photo, or one more worker may be started."""
        full = all(len(worker.assigned) >= DEPTH for worker in self._workers)
        return not full or len(self._workers) < self._capacity.workers

    def _least_busy(self) -> _Worker:
        """The worker with the fewest photos; a new one where all have some and there may be more workers."""
        worker = min(self._workers, key=lambda worker: len(worker.assigned), default=None)
        if worker is None or (worker.assigned and len(self._workers) < self._capacity.workers):
            return self._start_worker()
        return worker

    def _start_worker(self) -> _Worker:
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

    def _assign(self, worker: _Worker, item: Item) -> None:
        worker.assigned[item.path] = item
        try:
            worker.connection.send(item)
        except OSError:
            return  # it crashed; `_receive` finds the end of its pipe and takes its photos back

    def _receive(self) -> Iterator[Outcome]:
        """Messages of workers; waits a little for them."""
        if not self._workers:
            time.sleep(_TICK)
        for connection in wait([worker.connection for worker in self._workers], timeout=_TICK):
            worker = next(worker for worker in self._workers if worker.connection is connection)
            try:
                kind, value = worker.connection.recv()
            except (EOFError, OSError):
                yield from self._handle_crash(worker)
                continue
            if kind == "ready":
                worker.ready = True
                self._failed_starts = 0
            elif kind == "error":
                raise value
            elif kind == "cutting":
                worker.cutting = value
            elif kind == "outcome":
                worker.assigned.pop(value.path, None)
                if worker.cutting == value.path:
                    worker.cutting = None
                yield value

    def _handle_crash(self, worker: _Worker) -> Iterator[Outcome]:
        """A worker crashed: its photos go to other workers, and the crash counts against the photo that it was cutting."""
        self._workers.remove(worker)
        worker.connection.close()
        worker.body.join(timeout=10)
        reason = _exit_reason(getattr(worker.body, "exitcode", None))
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                raise EngineError(
                    f"workers crash while they load it ({reason})",
                    subject=self._job.run.model,
                    remedy=UseOption("workers", 1),
                )
        suspect = worker.cutting
        for path, item in worker.assigned.items():
            if suspect not in (path, None):
                self._retries.append(item)
                continue
            crashes = self._crashes[path] = self._crashes.get(path, 0) + 1
            if crashes <= self._job.retries:
                self._retries.append(item)
                continue
            times = "once" if crashes == 1 else f"{crashes} times"
            yield Outcome(
                path=path,
                output=item.output,
                status="failed",
                failure=EngineError(
                    f"the worker crashed on this photo {times} ({reason})", subject=path, remedy=CRASH_ADVICE
                ),
                kind="WorkerDied",
                tries=crashes,
            )


def _exit_reason(code: int | None) -> str:
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
    # All results are written and reported. A normal exit would wait, for seconds, until clients of stores close sessions.
    os._exit(0)


def _work(connection: Connection, job: Job, capacity: Capacity, lock: Path) -> None:
    """The loop of a worker: items come in, outcomes go out, until the parent closes the pipe or dies."""
    try:
        cutter = Cutter(job, threads=capacity.threads, large_pixels=capacity.large_pixels, lock=lock)
    except LiftoutError as error:
        _send(connection, threading.Lock(), "error", error)
        return
    except Exception as error:  # noqa: BLE001 - the parent raises it
        _send(connection, threading.Lock(), "error", EngineError(f"cannot be loaded: {error!r}", subject=job.run.model))
        return
    sending, parent_gone = threading.Lock(), threading.Event()
    _send(connection, sending, "ready", None)
    reads: SimpleQueue[tuple[Item, Future[Source]] | None] = SimpleQueue()
    with cutter, ThreadPoolExecutor(2) as readers, ThreadPoolExecutor(2) as writers:

        def receive() -> None:
            try:
                while True:
                    item = connection.recv()
                    reads.put((item, readers.submit(cutter.read, item)))
            except (EOFError, OSError):
                parent_gone.set()
                reads.put(None)

        def write(item: Item, picture: Picture) -> None:
            _send(connection, sending, "outcome", cutter.write(item, picture))

        threading.Thread(target=receive, daemon=True).start()
        while (entry := reads.get()) is not None and not parent_gone.is_set():
            item, download = entry
            source = download.result()
            _send(connection, sending, "cutting", item.path)
            picture = cutter.cut(item, source)
            del download, source, entry
            writers.submit(write, item, picture)
            del picture


def _send(connection: Connection, sending: threading.Lock, kind: str, value: object) -> None:
    with sending:
        try:
            connection.send((kind, value))
        except OSError:
            return  # the parent is gone; `receive` ends this worker


__all__ = ["DEPTH", "run_locally"]
