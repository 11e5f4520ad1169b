"""A worker pool with a bounded number of threads and a bounded queue.

All counting happens on the event loop; only the work itself runs on threads. A cancelled job in the queue frees its place at
once; a cancelled job that runs is asked to stop through its cancel token and keeps its thread until it does. When the server
stops, jobs that cannot finish in the remaining time, judged by how long the last jobs took, are refused at once.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from liftout.server.problems import Problem, busy
from liftout.server.shared import Board

_T = TypeVar("_T")

_RECHECK_INTERVAL = 0.25
"""Seconds between two checks of the queue while the server stops."""
_NEWEST_WEIGHT = 0.3
"""Weight of the newest job in the moving average of job times."""
_STOPPING = "the server is stopping and cannot finish this photo; try again soon"


class Cancelled(Exception):
    """The job was cancelled."""


class CancelToken:
    """Tells a job on a thread that it was cancelled."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Make `check` raise from now on."""
        self._event.set()

    def check(self) -> None:
        """Raise Cancelled if the job was cancelled; jobs call this between their steps."""
        if self._event.is_set():
            raise Cancelled


class WorkerPool:
    """`workers` threads, and a queue before them: at most `queue` jobs wait in all processes of the server together."""

    def __init__(self, *, workers: int, queue: int, board: Board | None = None) -> None:
        """board: counts the jobs of all processes."""
        self.workers = workers
        self.queue = queue
        board = board or Board.alone()
        self._running, self.all_waiting = board.number("running"), board.number("waiting")
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="liftout-run")
        self._idle = asyncio.Event()
        self._idle.set()
        self._started: dict[asyncio.Future[Any], float] = {}
        """When each running job started, in the loop's time."""
        self._mean = 0.0
        """Average seconds of a job; 0 before the first has ended."""
        self._deadline: float | None = None

    @property
    def running(self) -> int:
        """Jobs on a thread."""
        return self._running.own

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    def check_room(self) -> None:
        """Raise Problem 503 if the queue is full, or a new job could not finish before the server stops."""
        if self._is_late(len(self._waiting) + 1):
            raise busy(_STOPPING)
        if self.running >= self.workers and self.all_waiting.total >= self.queue:
            raise self._full()

    async def run(self, work: Callable[[CancelToken], _T]) -> _T:
        """Run `work` on a thread when its turn comes. Cancel the call to cancel the job. Raises Problem 503 if the queue is full."""
        self.check_room()
        await self._wait_for_turn()
        token = CancelToken()
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._executor, work, token)
        self._started[future] = loop.time()
        future.add_done_callback(self._on_end)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            token.cancel()
            raise

    def stop(self, seconds: float) -> None:
        """Refuse jobs that cannot finish within so many seconds: new ones, and queued ones from the end of the queue."""
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._refuse_late()

    async def drain(self) -> None:
        """Wait until no job runs or waits, then end the threads."""
        await self._idle.wait()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _wait_for_turn(self) -> None:
        self._idle.clear()
        if self.running < self.workers:
            self._running.own += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._count()
        if self.all_waiting.total > self.queue:  # another process took the last place at the same moment
            self._waiting.remove(turn)
            self._count()
            raise self._full()
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
                self._count()
            elif not turn.cancelled() and turn.exception() is None:  # a thread was assigned at the same moment
                self._next()
            raise

    def _count(self) -> None:
        self.all_waiting.own = len(self._waiting)

    def _full(self) -> Problem:
        return busy(
            f"{self._running.total} photos are in work and {self.all_waiting.total} are waiting; try again soon"
        )

    def _refuse_late(self) -> None:
        while self._waiting and self._is_late(len(self._waiting)):
            turn = self._waiting.pop()
            self._count()
            if not turn.done():
                turn.set_exception(busy(_STOPPING))
        if self._waiting:  # the time of a job may not be known yet
            asyncio.get_running_loop().call_later(_RECHECK_INTERVAL, self._refuse_late)

    def _is_late(self, position: int) -> bool:
        """Whether the job at a position in the queue, counted from 1, cannot finish before the server stops."""
        if self._deadline is None:
            return False
        now = asyncio.get_running_loop().time()
        running = [now - start for start in self._started.values()]
        job_seconds = max([self._mean, *running])
        first_free = max(0.0, job_seconds - max(running)) if self.running >= self.workers and running else 0.0
        return now + first_free + math.ceil(position / self.workers) * job_seconds > self._deadline

    def _on_end(self, future: asyncio.Future[_T]) -> None:
        seconds = asyncio.get_running_loop().time() - self._started.pop(future)
        self._mean += (seconds - self._mean) * (_NEWEST_WEIGHT if self._mean else 1)
        if not future.cancelled():
            future.exception()  # marks it as retrieved when the caller is gone
        self._next()

    def _next(self) -> None:
        """Assign the free thread to the first job in the queue."""
        while self._waiting:
            turn = self._waiting.popleft()
            self._count()
            if not turn.done():
                turn.set_result(None)
                return
        self._running.own -= 1
        if self.running == 0:
            self._idle.set()
