"""A bounded number of runs at a time, and a bounded queue before them.

All counting happens on the event loop; only the work itself is on a thread. Whoever gives up while waiting frees its place
in the queue at once; work that runs already is asked to stop and keeps its worker until it does. Once a server stops, jobs that
the time left is too short for are turned away at once, by how long the last ones took.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from liftout.server.problems import busy

_T = TypeVar("_T")

_LOOK_EVERY = 0.25
"""Seconds between looks at the queue of a server that stops."""
_WEIGHT = 0.3
"""Of the newest job in the mean time of a job."""


_STOPPING = "the server stops and could not finish this photo; try again soon"


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
        self._begun: dict[asyncio.Future[Any], float] = {}
        """When each job on a thread began, in the loop's time."""
        self._mean = 0.0
        """Seconds that a job takes; 0 where none has ended yet."""
        self._deadline: float | None = None

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    def check_room(self) -> None:
        """Raise a 503 Problem where a job would find the queue full, or could not end before the server stops."""
        if self._is_late(len(self._waiting) + 1):
            raise busy(_STOPPING)
        if self.running >= self.workers and len(self._waiting) >= self.queue:
            raise busy(f"{self.running} photos are being cut out and {len(self._waiting)} wait; try again soon")

    async def run(self, work: Callable[[Abandonment], _T]) -> _T:
        """Run `work` on a thread when its turn comes; cancel the call to give up. Raises Problem 503 where the queue is full."""
        self.check_room()
        await self._turn()
        abandonment = Abandonment()
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._executor, work, abandonment)
        self._begun[future] = loop.time()
        future.add_done_callback(self._ended)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            abandonment.declare()
            raise

    def stop(self, seconds: float) -> None:
        """Turn away jobs that cannot end within so many seconds: new ones, and those in the queue, from its end."""
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._turn_away()

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
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not turn.cancelled() and turn.exception() is None:  # the worker was handed over in the same moment
                self._next()
            raise

    def _turn_away(self) -> None:
        while self._waiting and self._is_late(len(self._waiting)):
            turn = self._waiting.pop()
            if not turn.done():
                turn.set_exception(busy(_STOPPING))
        if self._waiting:  # how long a job takes may not be known yet
            asyncio.get_running_loop().call_later(_LOOK_EVERY, self._turn_away)

    def _is_late(self, position: int) -> bool:
        """Whether the job at a position of the queue, 1 the first, cannot end before the server stops."""
        if self._deadline is None:
            return False
        now = asyncio.get_running_loop().time()
        running = [now - begun for begun in self._begun.values()]
        takes = max([self._mean, *running])
        first_free = max(0.0, takes - max(running)) if self.running >= self.workers and running else 0.0
        return now + first_free + math.ceil(position / self.workers) * takes > self._deadline

    def _ended(self, future: asyncio.Future[_T]) -> None:
        took = asyncio.get_running_loop().time() - self._begun.pop(future)
        self._mean += (took - self._mean) * (_WEIGHT if self._mean else 1)
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
