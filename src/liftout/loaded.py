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
from liftout.memory import free_memory
from liftout.options import DEFAULT_MAX_PIXELS, RunOptions

_SHARE = 0.8
"""Part of the free memory that one more model may take while others stay loaded."""


class Loaded(Protocol):
    """What is kept: a `Remover`."""

    def with_options(self, options: RunOptions) -> Self:
        """The same model with other edges and another limit on pixels."""

    def close(self) -> None:
        """Give its memory back."""


_Model = TypeVar("_Model", bound=Loaded)


class _Held(Generic[_Model]):
    """A model that is loaded, or being loaded by the first that asked."""

    def __init__(self) -> None:
        self.remover: _Model | None = None
        self.error: Exception | None = None
        self.users = 0
        self.settled = threading.Event()


class LoadedModels(Generic[_Model]):
    """The models in use and those used last. The one that nobody has used for the longest is closed to make room.

    models = LoadedModels(2, Remover.from_options)
    with models.using(RunOptions(model="u2netp")) as remover:
        cutout = remover("photo.jpg")

    Safe to use from several threads.
    """

    def __init__(
        self,
        kept: int,
        load: Callable[[RunOptions], _Model],
        check: Callable[[RunOptions], None] | None = None,
        *,
        wait: bool = True,
        free: Callable[[], int] = free_memory,
    ) -> None:
        """kept: how many models stay loaded. load: opens a model. check: raises where it cannot be had; runs before any other model
        makes room for it. wait: whether a further model waits while all that are loaded are in use, or is loaded beside them.
        free: bytes of memory that are left; idle models are closed until the new one fits."""
        self._kept = kept
        self._load = load
        self._check = check or (lambda _: None)
        self._wait = wait
        self._free = free
        self._held: OrderedDict[RunOptions, _Held[_Model]] = OrderedDict()
        self._changed = threading.Condition()
        self.loads = 0
        """Models loaded so far."""

    @contextmanager
    def using(self, choice: RunOptions) -> Iterator[_Model]:
        """A loaded model that stays loaded until the block ends; one serves all kinds of edges and limits on pixels. Raises what
        `check`, `load` and `Remover.with_options` raise."""
        shared = dataclasses.replace(choice, edges="auto", max_pixels=DEFAULT_MAX_PIXELS)
        held = self._taken(shared)
        try:
            held.settled.wait()
            if held.error is not None:
                raise held.error
            assert held.remover is not None  # noqa: S101
            yield held.remover if choice == shared else held.remover.with_options(choice)
        finally:
            with self._changed:
                held.users -= 1
                while not self._wait and len(self._held) > self._kept and self._drop_idle():
                    pass
                self._changed.notify_all()

    def names(self) -> list[str]:
        """Models that are loaded, the one used last at the end."""
        with self._changed:
            return [choice.model for choice, held in self._held.items() if held.remover is not None]

    def close(self) -> None:
        """Give back the memory of all that are not in use."""
        with self._changed:
            while self._drop_idle():
                pass

    def _taken(self, choice: RunOptions) -> _Held[_Model]:
        with self._changed:
            held = self._held.get(choice)
            if held is not None:
                held.users += 1
                self._held.move_to_end(choice)
                return held
        self._check(choice)
        with self._changed:
            while True:
                held = self._held.get(choice)
                if held is not None:
                    held.users += 1
                    self._held.move_to_end(choice)
                    return held
                if len(self._held) < self._kept or self._drop_idle() or not self._wait:
                    needed = network_bytes(choice)
                    while needed > _SHARE * self._free() and self._drop_idle():
                        pass
                    held = self._held[choice] = _Held()
                    held.users = 1
                    break
                self._changed.wait()
        self._open(choice, held)
        return held

    def _open(self, choice: RunOptions, held: _Held[_Model]) -> None:
        try:
            held.remover = self._load(choice)
            self.loads += 1
        except Exception as error:  # noqa: BLE001 - handed to everyone who waits for this model
            held.error = error
            with self._changed:
                self._held.pop(choice, None)
                self._changed.notify_all()
        finally:
            held.settled.set()

    def _drop_idle(self) -> bool:
        """Close the model that nobody uses for the longest; False where all are in use."""
        for choice, held in self._held.items():
            if held.users == 0:
                del self._held[choice]
                if held.remover is not None:
                    held.remover.close()
                return True
        return False
