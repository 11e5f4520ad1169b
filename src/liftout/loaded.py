"""Models in memory: at most so many and as much as memory allows, each loaded once however many ask for it at the same time.

`liftout.remove`, the drop-in for rembg and the server each use one `LoadedModels`.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, Self, TypeVar

from liftout.loading import network_bytes
from liftout.machine import free_memory
from liftout.options import DEFAULT_MAX_PIXELS, RunOptions

_SHARE = 0.8
"""Part of the free memory that one more model may take while others stay loaded."""


class SharedModel(Protocol):
    """What stays loaded: a `Remover`."""

    def with_options(self, options: RunOptions) -> Self:
        """The same model with other edges and another limit on pixels."""

    def close(self) -> None:
        """Give its memory back."""


_Model = TypeVar("_Model", bound=SharedModel)


class _Entry(Generic[_Model]):
    """A model that is loaded, or being loaded by the first that asked."""

    def __init__(self) -> None:
        self.remover: _Model | None = None
        self.error: Exception | None = None
        self.users = 0
        self.settled = threading.Event()


class LoadedModels(Generic[_Model]):
    """The models in use and those used last. The least recently used one is closed to make room.

    models = LoadedModels(2, Remover.from_options)
    with models.using(RunOptions(model="u2netp")) as remover:
        cutout = remover("photo.jpg")

    Safe to use from several threads.
    """

    def __init__(
        self,
        capacity: int,
        load: Callable[[RunOptions], _Model],
        check: Callable[[RunOptions], None] | None = None,
        *,
        wait: bool = True,
        free: Callable[[], int] = free_memory,
    ) -> None:
        """capacity: how many models stay loaded. load: opens a model. check: raises where it is not available; runs before any other model
        makes room for it. wait: whether a further model waits while all that are loaded are in use, or is loaded beside them.
        free: bytes of memory that are left; idle models are closed until the new one fits."""
        self._capacity = capacity
        self._load = load
        self._check = check or (lambda _: None)
        self._wait = wait
        self._free = free
        self._entries: OrderedDict[RunOptions, _Entry[_Model]] = OrderedDict()
        self._changed = threading.Condition()
        self.loads = 0
        """Models loaded so far."""

    @contextmanager
    def using(self, choice: RunOptions) -> Iterator[_Model]:
        """A loaded model that stays loaded until the block ends; one serves all kinds of edges and limits on pixels. Raises what
        `check`, `load` and `Remover.with_options` raise."""
        shared = dataclasses.replace(choice, edges="auto", max_pixels=DEFAULT_MAX_PIXELS)
        entry = self._entry_for(shared)
        try:
            entry.settled.wait()
            if entry.error is not None:
                raise entry.error
            assert entry.remover is not None  # noqa: S101
            yield entry.remover if choice == shared else entry.remover.with_options(choice)
        finally:
            with self._changed:
                entry.users -= 1
                while not self._wait and len(self._entries) > self._capacity and self._drop_idle():
                    pass
                self._changed.notify_all()

    def names(self) -> list[str]:
        """Models that are loaded, the one used last at the end."""
        with self._changed:
            return [choice.model for choice, entry in self._entries.items() if entry.remover is not None]

    def close(self) -> None:
        """Give back the memory of all that are not in use."""
        with self._changed:
            while self._drop_idle():
                pass

    def _entry_for(self, choice: RunOptions) -> _Entry[_Model]:
        with self._changed:
            if entry := self._used(choice):
                return entry
        self._check(choice)
        needed = network_bytes(choice)  # reads files: not while others wait for the lock
        with self._changed:
            while True:
                if entry := self._used(choice):
                    return entry
                if len(self._entries) < self._capacity or self._drop_idle() or not self._wait:
                    while needed > _SHARE * self._free() and self._drop_idle():
                        pass
                    entry = self._entries[choice] = _Entry()
                    entry.users = 1
                    break
                self._changed.wait()
        self._open(choice, entry)
        return entry

    def _used(self, choice: RunOptions) -> _Entry[_Model] | None:
        """The entry of a model that is there, with one user more; the caller holds the lock."""
        entry = self._entries.get(choice)
        if entry is not None:
            entry.users += 1
            self._entries.move_to_end(choice)
        return entry

    def _open(self, choice: RunOptions, entry: _Entry[_Model]) -> None:
        try:
            entry.remover = self._load(choice)
            self.loads += 1
        except Exception as error:  # noqa: BLE001 - handed to everyone who waits for this model
            entry.error = error
            with self._changed:
                self._entries.pop(choice, None)
                self._changed.notify_all()
        finally:
            entry.settled.set()

    def _drop_idle(self) -> bool:
        """Close the least recently used model that is idle; False where all are in use."""
        for choice, entry in self._entries.items():
            if entry.users == 0:
                del self._entries[choice]
                if entry.remover is not None:
                    entry.remover.close()
                return True
        return False
