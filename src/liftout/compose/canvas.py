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
Float32 = npt.NDArray[np.float32]
Levels = npt.NDArray[Any]
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
        raise UsageError(f"margin {margin} leaves no room on a canvas of {width} x {height}; make it smaller")
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


def scaled(colours: Levels, alpha: UInt8, box: Box, size: tuple[int, int]) -> tuple[Levels, UInt8]:
    """The part of a cutout in `box`, at `size` [height, width]: colours [h, w, 3] of the same kind, and alpha.

    The box may reach beyond the picture; nothing is there. Colours are weighted by alpha (premultiplied, in floating point),
    so that those of transparent pixels never reach an edge. Bicubic, antialiased where it shrinks.
    """
    colours, alpha = part(colours, box), part(alpha, box)
    if alpha.shape == size:
        return colours, alpha
    opacity = alpha.astype(np.float32) * np.float32(1 / 255)
    small = _bicubic(opacity, size)
    top = np.iinfo(colours.dtype).max
    result = np.zeros((*size, 3), colours.dtype)
    visible = small > 0
    for channel in range(3):
        weighted = _bicubic(colours[..., channel].astype(np.float32) * opacity, size)
        plain = np.divide(weighted, small, out=np.zeros_like(small), where=visible)
        result[..., channel] = np.rint(plain.clip(0, top))
    return result, _to_levels(small)


def scaled_alpha(alpha: UInt8, box: Box, size: tuple[int, int]) -> UInt8:
    """The alpha that `scaled` gives."""
    alpha = part(alpha, box)
    if alpha.shape == size:
        return alpha
    return _to_levels(_bicubic(alpha.astype(np.float32) * np.float32(1 / 255), size))


def resized(pixels: Levels, size: tuple[int, int]) -> Levels:
    """A picture, uint8 or uint16 [H, W, 3], at `size` [height, width]. Bicubic, antialiased where it shrinks."""
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC))
    planes = [_bicubic(pixels[..., channel].astype(np.float32), size) for channel in range(3)]
    levels: Levels = np.rint(np.stack(planes, axis=-1).clip(0, np.iinfo(pixels.dtype).max)).astype(pixels.dtype)
    return levels


def part(plane: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
    """The part of an array [H, W] or [H, W, C] in `box`, zero where that reaches beyond the array."""
    left, top, right, bottom = box
    height, width = plane.shape[:2]
    inside = plane[max(top, 0) : max(min(bottom, height), 0), max(left, 0) : max(min(right, width), 0)]
    if inside.shape[:2] == (bottom - top, right - left):
        return np.ascontiguousarray(inside)
    whole = np.zeros((bottom - top, right - left, *plane.shape[2:]), plane.dtype)
    first_row, first_column = max(-top, 0), max(-left, 0)
    whole[first_row : first_row + inside.shape[0], first_column : first_column + inside.shape[1]] = inside
    return whole


def _bicubic(plane: Float32, size: tuple[int, int]) -> Float32:
    return np.asarray(Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _to_levels(opacity: Float32) -> UInt8:
    levels: UInt8 = np.rint(opacity.clip(0, 1) * 255).astype(np.uint8)
    return levels
