"""A bounded number of runs at a time, and a bounded queue before them.

All counting happens on the event loop; only the work itself is on a thread. Whoever gives up while waiting frees its place
in the queue at once; work that runs already is asked to stop and keeps its worker until it does.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from liftout.server.problems import busy

_T = TypeVar("_T")


class Abandoned(Exception):
    """Nobody waits for this work any more."""


class Abandonment:
    """Tells work on a thread that nobody waits for it."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def declare(self) -> None:
        """From now on `check` raises."""
        self._event.set()

    def check(self) -> None:
        """Raise Abandoned where nobody waits any more; work calls this between its steps."""
        if self._event.is_set():
            raise Abandoned


class Places:
    """`workers` threads, and a queue of at most `queue` jobs before them."""

    def __init__(self, *, workers: int, queue: int) -> None:
        self.workers = workers
        self.queue = queue
        self.running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="liftout-run")
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    def check_room(self) -> None:
        """Raise a 503 Problem where a job would find the queue full."""
        if self.running >= self.workers and len(self._waiting) >= self.queue:
            raise busy(f"{self.running} photos are being cut out and {len(self._waiting)} wait; try again soon")

    async def run(self, work: Callable[[Abandonment], _T]) -> _T:
        """Run `work` on a thread when its turn comes; cancel the call to give up. Raises Problem 503 where the queue is full."""
        self.check_room()
        await self._turn()
        abandonment = Abandonment()
        future = asyncio.get_running_loop().run_in_executor(self._executor, work, abandonment)
        future.add_done_callback(self._ended)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            abandonment.declare()
            raise

    async def drain(self) -> None:
        """Wait until nothing runs and nothing waits, then end the threads."""
        await self._idle.wait()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _turn(self) -> None:
        self._idle.clear()
        if self.running < self.workers:
            self.running += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the worker was handed over in the same moment
                self._next()
            else:
                self._waiting.remove(turn)
            raise

    def _ended(self, future: asyncio.Future[_T]) -> None:
        if not future.cancelled():
            future.exception()  # marks it as seen where the caller has gone
        self._next()

    def _next(self) -> None:
        """Hand a worker to the first in the queue."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1
        if self.running == 0:
            self._idle.set()
