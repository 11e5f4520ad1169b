"""Plans a batch in a thread of its own, a bounded number of photos ahead of the work."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from queue import Empty, Full, Queue

from liftout.batch.job import Item, Outcome
from liftout.errors import LiftoutError, OutputError

_AHEAD = 2000
"""Photos that are planned ahead of the work."""
_TICK = 0.2
_CLOSE_SECONDS = 3.0


class Prefetch:
    """The plan of a batch as a queue: items to do, and outcomes of photos that fail before any work."""

    def __init__(self, plan: Iterable[Item | Outcome], stop: threading.Event) -> None:
        """Start planning. stop: planning ends once it is set."""
        self._queue: Queue[Item | Outcome | None] = Queue(_AHEAD)
        self._stop, self._plan = stop, plan
        self.error: LiftoutError | None = None
        """Why the plan ended early."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def take(self, timeout: float = 0) -> Item | Outcome | None:
        """The next entry of the plan; None at its end. Raises queue.Empty where it is not known after `timeout` seconds."""
        entry = self._queue.get(timeout=timeout) if timeout else self._queue.get_nowait()
        if entry is None:
            self._queue.put(None)
        return entry

    def close(self) -> None:
        """End the thread. A thread that waits for a slow store is left to end by itself."""
        deadline = time.monotonic() + _CLOSE_SECONDS
        while self._thread.is_alive() and time.monotonic() < deadline:
            try:
                self._queue.get(timeout=0.05)
            except Empty:
                continue

    def _run(self) -> None:
        try:
            for entry in self._plan:
                self._put(entry)
                if self._stop.is_set():
                    break
        except LiftoutError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - each store's library has exceptions of its own
            reason = " ".join(str(error).split())[:300] or repr(error)
            self.error = OutputError(f"the photos cannot be listed: {reason}")
        finally:
            self._put(None)

    def _put(self, entry: Item | Outcome | None) -> None:
        while True:
            try:
                self._queue.put(entry, timeout=_TICK)
            except Full:
                if self._stop.is_set():
                    return
            else:
                return
