"""Give memory back to the system after large requests.

The C library keeps what was freed, in an arena for each thread, for the next call. After one photo of 50 megapixels that is
hundreds of megabytes, which a server with small photos would hold for ever.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import gc
from collections.abc import Callable

EVERY = 5.0
"""Seconds between two times at the least; one takes some milliseconds, and the pages must be had again."""


class MemoryReturn:
    """Gives free memory back some time after it was asked to, once for all that asked."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Future[object] | None = None

    def soon(self) -> None:
        """Ask for it; to be called on the event loop, where something large has gone."""
        if self._timer is None and _trim() is not None:
            self._timer = asyncio.get_running_loop().call_later(EVERY, self._now)

    def close(self) -> None:
        """Forget what was asked for."""
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
    """`malloc_trim` of the GNU C library; None where there is another."""
    trim: Callable[[int], object] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
