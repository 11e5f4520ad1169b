"""The stages that a photo passes, for whoever observes them.

with observed(lambda name: timer(name)):   # a context manager for each stage
    remover("photo.jpg")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Literal, TypeAlias

Stage = Literal["decode", "prepare", "network", "edges", "encode"]
"""`edges` makes the prediction an alpha of the photo's size; `encode` is all from the cutout to the file."""

Observer: TypeAlias = Callable[[Stage], AbstractContextManager[object]]

_observer: ContextVar[Observer | None] = ContextVar("liftout_stages", default=None)
_UNSEEN = nullcontext()


def stage(name: Stage) -> AbstractContextManager[object]:
    """Marks a stage; does nothing where nobody observes."""
    observer = _observer.get()
    return _UNSEEN if observer is None else observer(name)


@contextmanager
def observed(observer: Observer | None) -> Iterator[None]:
    """Calls `observer` for each stage that this thread passes in the block; None for nobody."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)
