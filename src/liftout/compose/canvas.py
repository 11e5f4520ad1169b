"""A subject placed on a canvas of a given size, as shops want their product shots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.errors import UsageError
from liftout.options import Position

UInt8 = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]

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
    box: Box, width: int, height: int, *, position: Position = "center", margin: int = 0, enlarge: bool = False
) -> Placement:
    """How to place what lies in `box` on a canvas of width x height.

    It is made smaller until it fits with `margin` pixels on each side, and larger only if `enlarge`. position: `center`,
    or one or two of top, bottom, left and right, as in `bottom` or `top-left`.
    """
    room_across, room_down = width - 2 * margin, height - 2 * margin
    if room_across < 1 or room_down < 1:
        raise UsageError(f"margin {margin} leaves no room on a canvas of {width} x {height}; make it smaller")
    across, down = box[2] - box[0], box[3] - box[1]
    fitting = min(room_across / across, room_down / down)
    scale = fitting if enlarge else min(1.0, fitting)
    scaled_across = min(room_across, max(1, round(across * scale)))
    scaled_down = min(room_down, max(1, round(down * scale)))
    words = position.split("-")
    share_across = next((_ACROSS[word] for word in words if word in _ACROSS), 0.5)
    share_down = next((_DOWN[word] for word in words if word in _DOWN), 0.5)
    return Placement(
        scale=scale,
        left=margin + round((room_across - scaled_across) * share_across),
        top=margin + round((room_down - scaled_down) * share_down),
        width=scaled_across,
        height=scaled_down,
    )


def scaled(colours: npt.NDArray[Any], alpha: UInt8, box: Box, size: tuple[int, int]) -> tuple[npt.NDArray[Any], UInt8]:
    """The part of a cutout in `box`, at `size` [height, width]: colours [h, w, 3] of the same kind, and alpha.

    The box may reach beyond the picture; nothing is there. Colours are weighted by alpha (premultiplied, in floating point),
    so that those of transparent pixels never reach an edge. Bicubic, antialiased where it shrinks.
    """
    colours, alpha = _padded(colours, box), _padded(alpha, box)
    height, width = size
    if alpha.shape == size:
        return colours, alpha
    opacity = alpha.astype(np.float32) * np.float32(1 / 255)
    small = _resized(opacity, size)
    top = np.iinfo(colours.dtype).max
    result = np.zeros((height, width, 3), colours.dtype)
    visible = small > 0
    for channel in range(3):
        weighted = _resized(colours[..., channel].astype(np.float32) * opacity, size)
        plain = np.divide(weighted, small, out=np.zeros_like(small), where=visible)
        result[..., channel] = np.rint(plain.clip(0, top))
    return result, np.rint(small.clip(0, 1) * 255).astype(np.uint8)


def _resized(plane: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    return np.asarray(Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _padded(plane: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
    """The part of an array in `box`, zero outside of the array."""
    left, top, right, bottom = box
    height, width = plane.shape[:2]
    inside = plane[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    before_after = [(max(-top, 0), max(bottom - height, 0)), (max(-left, 0), max(right - width, 0))]
    return np.pad(inside, [*before_after, *[(0, 0)] * (plane.ndim - 2)])
