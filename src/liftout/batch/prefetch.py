"""The plan of a batch, made by a thread a bounded way ahead of the work."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from queue import Empty, Full, Queue

from liftout.batch.job import Item, Outcome
from liftout.errors import LiftoutError, OutputError

_AHEAD = 2000
"""Photos that are listed ahead of the work."""
_TICK = 0.2
_PATIENCE = 3.0


class Prefetch:
    """Items to do, and outcomes of photos that failed before any work."""

    def __init__(self, plan: Iterable[Item | Outcome], stop: threading.Event) -> None:
        """Begin to list. stop: once set, listing ends."""
        self._queue: Queue[Item | Outcome | None] = Queue(_AHEAD)
        self._stop, self._plan = stop, plan
        self.error: LiftoutError | None = None
        """Why the plan ended early."""
        self._thread = threading.Thread(target=self._list, daemon=True)
        self._thread.start()

    def take(self, timeout: float = 0) -> Item | Outcome | None:
        """The next of the plan; None at its end. Raises queue.Empty where it is not known after `timeout` seconds."""
        item = self._queue.get(timeout=timeout) if timeout else self._queue.get_nowait()
        if item is None:
            self._queue.put(None)
        return item

    def close(self) -> None:
        """End the thread; a listing that a store is still at is left alone."""
        until = time.monotonic() + _PATIENCE
        while self._thread.is_alive() and time.monotonic() < until:
            try:
                self._queue.get(timeout=0.05)
            except Empty:
                continue

    def _list(self) -> None:
        try:
            for item in self._plan:
                self._put(item)
                if self._stop.is_set():
                    break
        except LiftoutError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - each store's library has exceptions of its own
            self.error = OutputError(f"the photos cannot be listed: {' '.join(str(error).split())[:300] or error!r}")
        finally:
            self._put(None)

    def _put(self, item: Item | Outcome | None) -> None:
        while True:
            try:
                self._queue.put(item, timeout=_TICK)
            except Full:
                if self._stop.is_set():
                    return
            else:
                return
