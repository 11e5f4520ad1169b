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
from liftout.video.views import View, viewed

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Matted:
    """A frame and its alpha, uint8 [H, W]. Frames without a change between them share pixels and alpha: they are the same objects.

    chosen: uint8 [H, W], the alpha before it was steadied, where prompts chose it; a later run can follow it from here on.
    """

    frame: Frame
    alpha: UInt8
    chosen: UInt8 | None = None


def matted(remover: Remover, frames: Iterable[Frame], *, closer: bool = False) -> Iterator[Matted]:
    """Every frame with the alpha that the model gives it, in order.

    closer: show the model the subject's surroundings, as they are and mirrored in turn, see `liftout.video.views`; else whole frames.
    """

    def whole(frame: Frame) -> UInt8:
        return remover(frame.picture()).alpha

    begun: deque[tuple[Frame, View | None, bool]] = deque()
    """Frames whose alphas are under way, what is shown of them, and whether that is new."""

    def new_pictures() -> Iterator[UInt8]:
        before: Frame | None = None
        shown: View | None = None
        for frame, view in viewed(frames, whole) if closer else ((frame, None) for frame in frames):
            if before is not None and view == shown and frame.looks_like(before):
                begun.append((at_time_of(frame, before), view, False))
                continue
            before, shown = frame, view
            begun.append((frame, view, True))
            yield frame.picture() if view is None else view.of(frame.picture())

    def finished(found: UInt8) -> UInt8:
        frame, view, _ = begun[0]
        if view is None:
            return found
        alpha = view.placed(found, frame.pixels.shape)
        return whole(frame) if view.cuts_off(alpha) else alpha

    alpha: UInt8 | None = None
    with closing(remover.map(new_pictures())) as cutouts:  # type: ignore[type-var]
        for cutout in cutouts:
            while not begun[0][2]:
                yield Matted(begun.popleft()[0], alpha)  # type: ignore[arg-type]
            alpha = finished(cutout.alpha)
            yield Matted(begun.popleft()[0], alpha)
    for frame, _, _ in begun:
        yield Matted(frame, alpha)  # type: ignore[arg-type]


def at_time_of(frame: Frame, shown: Frame) -> Frame:
    """A frame with the arrays of the one that it repeats, so that the repetition takes no memory."""
    return Frame(shown.pixels, shown.alpha, frame.time, frame.origin, frame.duration)
