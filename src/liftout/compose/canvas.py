"""A subject placed on a canvas of a given size, as shops want their product shots."""

from __future__ import annotations

from dataclasses import dataclass

from liftout.compose.geometry import Box
from liftout.errors import UsageError
from liftout.options import Position

_ACROSS = {"left": 0.0, "right": 1.0}
_DOWN = {"top": 0.0, "bottom": 1.0}


@dataclass(frozen=True)
class Placement:
    """Where a subject goes. Lengths in pixels of the canvas."""

    scale: float
    left: int
    top: int
    width: int
    height: int
    """Of the scaled subject."""


def placement(
    box: Box,
    width: int,
    height: int,
    *,
    position: Position | tuple[float, float] = "center",
    margin: int = 0,
    enlarge: bool = False,
    fill: float = 1.0,
) -> Placement:
    """How to place what lies in `box` on a canvas of width x height.

    It is made smaller until it fits with `margin` pixels on each side and takes at most the share `fill` (0..1) of what is
    between them, and larger only if `enlarge`. position: `center`, or one or two of top, bottom, left and right, as in
    `bottom` or `top-left`; or how much of the free space is to be left of it and above it, (0..1, 0..1).
    """
    room_across, room_down = width - 2 * margin, height - 2 * margin
    if room_across < 1 or room_down < 1:
        raise UsageError(
            f"{margin} leaves no room on a canvas of {width} x {height}", field="margin", remedy="make it smaller"
        )
    across, down = box[2] - box[0], box[3] - box[1]
    fitting = fill * min(room_across / across, room_down / down)
    scale = fitting if enlarge else min(1.0, fitting)
    scaled_across = min(room_across, max(1, round(across * scale)))
    scaled_down = min(room_down, max(1, round(down * scale)))
    share_across, share_down = _shares(position) if isinstance(position, str) else position
    return Placement(
        scale=scale,
        left=margin + round((room_across - scaled_across) * share_across),
        top=margin + round((room_down - scaled_down) * share_down),
        width=scaled_across,
        height=scaled_down,
    )


def _shares(position: Position) -> tuple[float, float]:
    words = position.split("-")
    across = next((_ACROSS[word] for word in words if word in _ACROSS), 0.5)
    return across, next((_DOWN[word] for word in words if word in _DOWN), 0.5)
