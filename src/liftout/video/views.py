"""What the network is shown of each frame: the subject's surroundings, as they are and mirrored in turn.

A network sees a frame in some hundred pixels a side. Where the subject fills a part of the frame, it sees more of it when it is shown that
part alone; and what it gets wrong it often gets wrong otherwise in a mirror. Frames that follow each other are therefore seen in other
ways, and what `liftout.video.steady` makes of them is better than each.

Where the subject is, whole views of key frames tell, the first of every quarter of a second: a frame is shown from the box around the
subjects of the key frames on both its sides. Nothing depends on where reading began, as long as it was with a key frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from liftout.video.frame import Frame

UInt8 = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels."""

KEY = Fraction(1, 4)
"""Seconds from one key frame to the next."""
LEAST_RATE = 12
"""Frames a second below which every frame is seen whole: key frames would be too large a part of them."""
_SOLID = 128
_MARGIN = 0.15
"""Space around the subjects, as a share of the longer side of their box."""
_ASPECT = 0.6
"""Of a box's shorter side to its longer one, at least: networks are shown boxes as squares."""
_SMALLEST = 64
"""Pixels of a box's side, at least."""
_WHOLE = 0.8
"""Share of the frame from which on a box is all of it."""
_CUT_OFF = 0.04
"""Share of a box's sides within the frame on which the subject may lie."""


@dataclass(frozen=True)
class View:
    """A part of a frame. box: left, top, right, bottom in pixels. mirrored: whether left and right are exchanged."""

    box: Box
    mirrored: bool

    def of(self, picture: UInt8) -> UInt8:
        """What it shows of a frame, uint8 [H, W, C]."""
        left, top, right, bottom = self.box
        part = picture[top:bottom, left:right]
        return np.ascontiguousarray(part[:, ::-1] if self.mirrored else part)

    def placed(self, alpha: UInt8, size: tuple[int, ...]) -> UInt8:
        """The alpha of what it shows in a frame of `size`, uint8 [H, W]; nothing is subject outside of it."""
        left, top, right, bottom = self.box
        whole = np.zeros(size[:2], np.uint8)
        whole[top:bottom, left:right] = alpha[:, ::-1] if self.mirrored else alpha
        return whole

    def cuts_off(self, alpha: UInt8) -> bool:
        """Whether the subject of an alpha that was found here, uint8 [H, W], goes on beyond the box."""
        left, top, right, bottom = self.box
        height, width = alpha.shape
        sides = [
            alpha[top:bottom, left] if left > 0 else None,
            alpha[top:bottom, right - 1] if right < width else None,
            alpha[top, left:right] if top > 0 else None,
            alpha[bottom - 1, left:right] if bottom < height else None,
        ]
        return any(side is not None and (side >= _SOLID).mean() > _CUT_OFF for side in sides)


def key_before(origin: Fraction) -> Fraction:
    """The time from which on frames must be read so that those from `origin` on are seen as if all were read."""
    return math.floor(origin / KEY) * KEY


def viewed(frames: Iterable[Frame], whole: Callable[[Frame], UInt8]) -> Iterator[tuple[Frame, View]]:
    """Every frame with what is shown of it, in order; those up to the next key frame are held.

    whole: gives the alpha of a whole frame, uint8 [H, W]; asked for key frames.
    """
    held: list[Frame] = []
    seen: tuple[Frame, UInt8] | None = None

    def look(frame: Frame) -> UInt8:
        nonlocal seen
        if seen is None or not frame.looks_like(seen[0]):
            seen = frame, whole(frame)
        return seen[1]

    first: UInt8 | None = None
    for frame in frames:
        if held and key_before(frame.origin) != key_before(held[0].origin):
            assert first is not None  # noqa: S101
            following = look(frame)
            yield from _with_views(held, box_around(np.maximum(first, following)))
            held, first = [], following
        elif not held:
            first = look(frame)
        held.append(frame)
    if held and first is not None:
        yield from _with_views(held, box_around(np.maximum(first, look(held[-1]))))


def _with_views(frames: list[Frame], box: Box) -> Iterator[tuple[Frame, View]]:
    mirrored, before = True, None
    for frame in frames:
        if before is None or not frame.looks_like(before):
            mirrored = not mirrored
        before = frame
        yield frame, View(box, mirrored)


def box_around(alpha: UInt8) -> Box:
    """The box around the subjects of an alpha, uint8 [H, W], with some space; all of it where there is none, or it is nearly all."""
    height, width = alpha.shape
    solid = alpha >= _SOLID
    rows, columns = (np.flatnonzero(solid.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, width, height
    across, down = columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]
    margin = _MARGIN * max(across, down)
    wide, tall = across + 2 * margin, down + 2 * margin
    left, right = _side(columns[0] - margin, wide, max(wide, _ASPECT * tall, _SMALLEST), width)
    top, bottom = _side(rows[0] - margin, tall, max(tall, _ASPECT * wide, _SMALLEST), height)
    if (right - left) * (bottom - top) > _WHOLE * width * height:
        return 0, 0, width, height
    return left, top, right, bottom


def _side(first: float, length: float, least: float, limit: int) -> tuple[int, int]:
    """A side of `length` from `first` on, made `least` long about its middle and moved into 0 to `limit`."""
    first -= (least - length) / 2
    first = max(0.0, min(first, limit - least))
    return math.floor(first), min(limit, math.ceil(first + least))
