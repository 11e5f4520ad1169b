"""Runs an iterator in a thread of its own, a bounded way ahead of whoever takes from it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

_PATIENCE = 0.1
"""Seconds after which a thread that waits looks whether it is still wanted."""


@dataclass
class _End:
    error: BaseException | None


class _Ahead(Generic[_T]):
    def __init__(self, source: Iterable[_T], depth: int) -> None:
        self._ready: queue.Queue[Any] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(source,), daemon=True)
        self._thread.start()

    def _run(self, source: Iterable[_T]) -> None:
        iterator = iter(source)
        end = _End(None)
        try:
            for item in iterator:
                if not self._put(item):
                    break
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are taken
            end = _End(error)
        finally:
            if hasattr(iterator, "close"):
                iterator.close()
            self._put(end)

    def _put(self, item: object) -> bool:
        while not self._stopped.is_set():
            try:
                self._ready.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[_T]:
        while True:
            item = self._ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()


@contextmanager
def ahead(source: Iterable[_T], depth: int = 2) -> Iterator[Iterator[_T]]:
    """The items of `source`, made in a thread, `depth` of them in advance; what it raises is raised where they are taken.

    with ahead(film.frames()) as frames:
        for frame in frames: ...

    At the end of the block the thread has ended, and the iterator is closed.
    """
    with closing(_Ahead(source, depth)) as running:
        yield iter(running)
