"""Photos that arrive while a batch runs: changed files of a folder, once they are complete."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from liftout.errors import ExtraMissing
from liftout.remedies import InstallExtra

SETTLE_SECONDS = 1.0
"""A file counts as complete when its size and time of change have been the same for this long."""
_TICK_MS = 250


class FolderWatch:
    """Watches a folder and all below it. Watching starts with the object, so that no file is missed between listing and watching."""

    def __init__(self, folder: Path) -> None:
        """Start watching. Raises ExtraMissing where watchfiles is not installed."""
        try:
            from watchfiles import watch
        except ImportError:
            raise ExtraMissing("needs watchfiles", field="watch", remedy=InstallExtra("batch")) from None
        self._folder = folder
        self._stopped = threading.Event()
        self._changed: dict[Path, tuple[float, tuple[int, int]]] = {}
        self._lock = threading.Lock()
        started = threading.Event()

        def follow() -> None:
            events = watch(
                folder,
                stop_event=self._stopped,
                rust_timeout=_TICK_MS,
                yield_on_timeout=True,
                step=50,
                debounce=_TICK_MS,
                watch_filter=None,
                raise_interrupt=False,
            )
            for changes in events:
                started.set()
                with self._lock:
                    for _, path in changes:
                        self._note(Path(path))

        self._thread = threading.Thread(target=follow, daemon=True)
        self._thread.start()
        started.wait(timeout=10)

    def settled(self) -> Iterator[str]:
        """Paths, relative to the folder, of files that changed and are complete now; each is given once."""
        now = time.monotonic()
        complete = []
        with self._lock:
            for path, (since, last_state) in list(self._changed.items()):
                state = _state(path)
                if state is None:
                    del self._changed[path]
                elif state != last_state:
                    self._changed[path] = (now, state)
                elif now - since >= SETTLE_SECONDS:
                    del self._changed[path]
                    complete.append(path.relative_to(self._folder).as_posix())
        yield from sorted(complete)

    def close(self) -> None:
        """Stop watching."""
        self._stopped.set()
        self._thread.join(timeout=10)

    def _note(self, path: Path) -> None:
        if path.is_dir():
            # There are no events for the files in a folder that was moved here.
            for file in path.rglob("*"):
                if file.is_file():
                    self._note(file)
        elif (state := _state(path)) is not None:
            self._changed[path] = (time.monotonic(), state)


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of change; None where the path is gone or is no file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_size, stat.st_mtime_ns) if path.is_file() else None
