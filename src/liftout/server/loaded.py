"""Models in memory: at most so many, each loaded once however many requests ask for it at the same time."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from liftout.options import RunOptions
from liftout.remover import Remover


class _Held:
    """A model that is loaded, or being loaded by the first that asked."""

    def __init__(self) -> None:
        self.remover: Remover | None = None
        self.error: Exception | None = None
        self.users = 0
        self.settled = threading.Event()


class LoadedModels:
    """The models in use and those used last, `kept` in all. Safe to use from several threads."""

    def __init__(self, kept: int, load: Callable[[RunOptions], Remover], check: Callable[[RunOptions], None]) -> None:
        """load: opens a model. check: raises where it cannot be had; runs before any other model makes room for it."""
        self._kept = kept
        self._load = load
        self._check = check
        self._held: OrderedDict[RunOptions, _Held] = OrderedDict()
        self._changed = threading.Condition()
        self.loads = 0
        """Models loaded so far."""

    @contextmanager
    def using(self, choice: RunOptions) -> Iterator[Remover]:
        """A loaded model that stays loaded until the block ends; one serves all kinds of edges. Raises what `check`, `load`
        and `Remover.with_edges` raise."""
        held = self._taken(dataclasses.replace(choice, edges="auto"))
        try:
            held.settled.wait()
            if held.error is not None:
                raise held.error
            assert held.remover is not None  # noqa: S101
            yield held.remover if choice.edges == "auto" else held.remover.with_edges(choice.edges)
        finally:
            with self._changed:
                held.users -= 1
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

    def _taken(self, choice: RunOptions) -> _Held:
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
                if len(self._held) < self._kept or self._drop_idle():
                    held = self._held[choice] = _Held()
                    held.users = 1
                    break
                self._changed.wait()
        self._open(choice, held)
        return held

    def _open(self, choice: RunOptions, held: _Held) -> None:
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
