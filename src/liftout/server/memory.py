"""Memory of requests: a budget for what they hold, and freed memory returned to the system.

The C library keeps freed memory in an arena per thread for the next call. After one photo of 50 megapixels that is hundreds
of megabytes, which a server that then gets small photos would hold forever; `MemoryTrimmer` returns it.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import gc
from collections.abc import Callable

from liftout.server.problems import Problem, busy
from liftout.server.shared import Number

TRIM_INTERVAL = 5.0
"""Least seconds between two trims: each takes some milliseconds, and the pages must be allocated again."""


class MemoryBudget:
    """How many bytes all requests may hold in memory together, over all processes of a server."""

    def __init__(self, limit: int, used: Number) -> None:
        """limit, used: bytes."""
        self.limit = limit
        self.used = used


class Reservation:
    """The part of the budget that one request uses."""

    def __init__(self, memory: MemoryBudget) -> None:
        self._memory = memory
        self._used = 0

    def reserve(self, count: int) -> None:
        """Add bytes to what the request uses.

        Raises Problem: 413 if the request alone would exceed the limit, 503 if all requests together would.
        """
        if self._used + count > self._memory.limit:
            raise Problem(
                413, "the request takes more memory than this server has for requests; send a smaller photo, as a file"
            )
        self._memory.used.own += count  # before the check: two processes that take the rest at once both see it taken
        if self._memory.used.total > self._memory.limit:
            self._memory.used.own -= count
            raise busy("the server holds as many requests as it can; try again soon")
        self._used += count

    def release(self, count: int) -> None:
        """Return bytes to the budget."""
        count = min(count, self._used)
        self._memory.used.own -= count
        self._used -= count

    def close(self) -> None:
        """Return all bytes of the request to the budget."""
        self.release(self._used)


class MemoryTrimmer:
    """Returns freed memory to the system some time after a request, once for all requests in between."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Future[object] | None = None

    def soon(self) -> None:
        """Schedule a trim. Call it on the event loop after something large was freed."""
        if self._timer is None and _trim() is not None:
            self._timer = asyncio.get_running_loop().call_later(TRIM_INTERVAL, self._now)

    def close(self) -> None:
        """Cancel a scheduled trim."""
        if self._timer is not None:
            self._timer.cancel()

    def _now(self) -> None:
        self._timer = None
        trim = _trim()
        if trim is not None:
            self._task = asyncio.ensure_future(asyncio.to_thread(_collect_and, trim))


def _collect_and(trim: Callable[[int], object]) -> object:
    """What only a cycle holds (an error, its traceback, the photo in a frame of it) is not free before it is collected."""
    gc.collect()
    return trim(0)


@functools.cache
def _trim() -> Callable[[int], object] | None:
    """`malloc_trim` of the GNU C library; None with another C library."""
    trim: Callable[[int], object] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
