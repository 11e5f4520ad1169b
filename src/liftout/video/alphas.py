"""From frames to alphas: the network runs while the next frames are decoded; a frame that shows nothing new is not computed again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liftout.remover import Remover
from liftout.video.frame import Frame

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Matted:
    """A frame and its alpha, uint8 [H, W]. Frames without a change between them share pixels and alpha: they are the same objects."""

    frame: Frame
    alpha: UInt8


def matted(remover: Remover, frames: Iterable[Frame]) -> Iterator[Matted]:
    """Every frame with the alpha that the model gives it, in order."""
    begun: deque[tuple[Frame, bool]] = deque()
    """Frames whose alphas are under way; whether each is new."""

    def new_pictures() -> Iterator[UInt8]:
        before: Frame | None = None
        for frame in frames:
            if before is not None and frame.looks_like(before):
                begun.append((_at_time_of(frame, before), False))
                continue
            before = frame
            begun.append((frame, True))
            yield frame.pixels if frame.alpha is None else np.dstack([frame.pixels, frame.alpha])

    alpha: UInt8 | None = None
    with closing(remover.map(new_pictures())) as cutouts:  # type: ignore[type-var]
        for cutout in cutouts:
            while not begun[0][1]:
                yield Matted(begun.popleft()[0], alpha)  # type: ignore[arg-type]
            alpha = cutout.alpha
            yield Matted(begun.popleft()[0], alpha)
    for frame, _ in begun:
        yield Matted(frame, alpha)  # type: ignore[arg-type]


def _at_time_of(frame: Frame, shown: Frame) -> Frame:
    """A frame with the arrays of the one that it repeats, so that the repetition takes no memory."""
    return Frame(shown.pixels, shown.alpha, frame.time, frame.origin, frame.duration)
