"""Parts of pictures, and pictures at other sizes, in 8 and 16 bits.

A box is (left, top, right, bottom) in pixels, right and bottom exclusive; a size is [height, width]. Scaling is bicubic,
antialiased where it shrinks, in floating point; colours of a cutout are weighted by alpha (premultiplied), so that those of
transparent pixels never reach an edge.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.images import Photo

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Levels = npt.NDArray[Any]
Box = tuple[int, int, int, int]


def part(plane: Levels, box: Box) -> Levels:
    """The part of an array [H, W] or [H, W, C] in a box, zero where the box reaches beyond the array."""
    left, top, right, bottom = box
    height, width = plane.shape[:2]
    inside = plane[max(top, 0) : max(min(bottom, height), 0), max(left, 0) : max(min(right, width), 0)]
    if inside.shape[:2] == (bottom - top, right - left):
        return np.ascontiguousarray(inside)
    whole = np.zeros((bottom - top, right - left, *plane.shape[2:]), plane.dtype)
    first_row, first_column = max(-top, 0), max(-left, 0)
    whole[first_row : first_row + inside.shape[0], first_column : first_column + inside.shape[1]] = inside
    return whole


def part_of_photo(photo: Photo, box: Box) -> Photo:
    """The part of a photo in a box, empty where the box reaches beyond the photo."""
    return replace(
        photo,
        pixels=part(photo.pixels, box),
        pixels16=None if photo.pixels16 is None else part(photo.pixels16, box),
        alpha=None if photo.alpha is None else part(photo.alpha, box),
    )


def resized_photo(photo: Photo, size: tuple[int, int]) -> Photo:
    """A photo at another size."""
    return replace(
        photo,
        pixels=resized(photo.pixels, size),
        pixels16=None if photo.pixels16 is None else resized(photo.pixels16, size),
        alpha=None if photo.alpha is None else resized_alpha(photo.alpha, size),
    )


def inside(alpha: UInt8, box: Box) -> UInt8:
    """Alpha uint8 [H, W] within a box, zero outside of it."""
    left, top, right, bottom = (max(0, edge) for edge in box)
    result = np.zeros_like(alpha)
    result[top:bottom, left:right] = alpha[top:bottom, left:right]
    return result


def size_within(size: tuple[int, int], pixels: float) -> tuple[int, int]:
    """The largest size of the same shape that has at most `pixels` pixels and is no larger than `size`."""
    height, width = size
    if height * width <= pixels:
        return size
    scale = math.sqrt(pixels / (height * width))
    return max(1, math.floor(height * scale)), max(1, math.floor(width * scale))


def resized(pixels: Levels, size: tuple[int, int]) -> Levels:
    """A picture, uint8 or uint16 [H, W, 3], at another size."""
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC))
    planes = [_bicubic(pixels[..., channel].astype(np.float32), size) for channel in range(3)]
    levels: Levels = np.rint(np.stack(planes, axis=-1).clip(0, np.iinfo(pixels.dtype).max)).astype(pixels.dtype)
    return levels


def resized_alpha(alpha: UInt8, size: tuple[int, int]) -> UInt8:
    """Alpha uint8 [H, W] at another size."""
    return alpha if alpha.shape == size else _to_levels(_bicubic(_opacity(alpha), size))


def resized_colours(colours: Levels, alpha: UInt8, size: tuple[int, int]) -> Levels:
    """Colours of a cutout, uint8 or uint16 [H, W, 3], at another size; alpha: uint8 [H, W], which weights them."""
    if alpha.shape == size:
        return colours
    opacity = _opacity(alpha)
    small = _bicubic(opacity, size)
    top = np.iinfo(colours.dtype).max
    result = np.zeros((*size, 3), colours.dtype)
    visible = small > 0
    for channel in range(3):
        weighted = _bicubic(colours[..., channel].astype(np.float32) * opacity, size)
        straight = np.divide(weighted, small, out=np.zeros_like(small), where=visible)
        result[..., channel] = np.rint(straight.clip(0, top))
    return result


def _bicubic(plane: Float32, size: tuple[int, int]) -> Float32:
    return np.asarray(Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _opacity(alpha: UInt8) -> Float32:
    return alpha.astype(np.float32) * np.float32(1 / 255)


def _to_levels(opacity: Float32) -> UInt8:
    levels: UInt8 = np.rint(opacity.clip(0, 1) * 255).astype(np.uint8)
    return levels
