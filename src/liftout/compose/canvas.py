"""A subject placed on a canvas of a given size, as shops want their product shots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from liftout.compose.geometry import Box, part, resized_alpha, resized_colours
from liftout.errors import UsageError
from liftout.options import Position, check_canvas

UInt8 = npt.NDArray[np.uint8]
Levels = npt.NDArray[Any]

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
    `bottom` or `top-left`; or how much of the free space is to be left of it and above it, (0..1, 0..1). Raises UsageError where the margin leaves no room.
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


def on_canvas(
    colours: Levels,
    alpha: UInt8,
    box: Box | None,
    size: tuple[int, int],
    *,
    position: Position | tuple[float, float] = "center",
    margin: int = 0,
    enlarge: bool = False,
    fill: float = 1.0,
) -> tuple[Levels, UInt8, float]:
    """What lies in `box` of a cutout on an empty canvas: colours, alpha, and the scale it was brought to.

    colours: uint8 or uint16 [H, W, 3]. alpha: uint8 [H, W]. box: None leaves the canvas empty. size: [height, width] of the canvas.
    The others as for `placement`. Raises UsageError.
    """
    height, width = size
    check_margin(margin)
    check_canvas(width, height)
    _check_position(position)
    if not 0 < fill <= 1:
        raise UsageError(f"is {fill}", field="fill", remedy="it must be above 0, up to 1")
    canvas, opacity = np.zeros((*size, 3), colours.dtype), np.zeros(size, np.uint8)
    if box is None:
        return canvas, opacity, 1.0
    place = placement(box, width, height, position=position, margin=margin, enlarge=enlarge, fill=fill)
    rows, columns = slice(place.top, place.top + place.height), slice(place.left, place.left + place.width)
    scaled, visible = (place.height, place.width), part(alpha, box)
    canvas[rows, columns] = resized_colours(part(colours, box), visible, scaled)
    opacity[rows, columns] = resized_alpha(visible, scaled)
    return canvas, opacity, place.scale


def check_margin(margin: int) -> None:
    """Raise UsageError where a margin is negative."""
    if margin < 0:
        raise UsageError(f"is {margin}", field="margin", remedy="it must be 0 or more pixels")


def _check_position(position: Position | tuple[float, float]) -> None:
    if isinstance(position, str):
        if position not in get_args(Position):
            raise UsageError(
                f"is {position!r}", field="position", remedy=f"it must be one of {', '.join(get_args(Position))}"
            )
    elif len(position) != 2 or not all(0 <= share <= 1 for share in position):
        raise UsageError(f"is {position!r}", field="position", remedy="as a pair it must be two shares from 0 to 1")


def _shares(position: Position) -> tuple[float, float]:
    words = position.split("-")
    across = next((_ACROSS[word] for word in words if word in _ACROSS), 0.5)
    return across, next((_DOWN[word] for word in words if word in _DOWN), 0.5)
