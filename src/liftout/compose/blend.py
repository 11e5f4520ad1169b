"""A subject over what lies behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

_STRIP_PIXELS = 1_000_000


def blend(
    colours: npt.NDArray[Any],
    alpha: UInt8,
    behind: npt.NDArray[Any],
    shadow: Float32 | None = None,
    shadow_colour: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """alpha * colours + (1 - alpha) * behind, with the shadow between them; rounded once, from floating point.

    colours: uint8 or uint16 [H, W, 3], straight. alpha: uint8 [H, W]. behind: [H, W, 3] or [3] of the same type.
    shadow: opacity 0..1, float32 [H, W]; shadow_colour: [3]. Returns the type and shape of `colours`.
    """
    height, width = alpha.shape
    result = np.empty_like(colours)
    rows = max(1, _STRIP_PIXELS // width)
    for first in range(0, height, rows):
        strip = slice(first, first + rows)
        below = behind if behind.ndim == 1 else behind[strip]
        if shadow is None or shadow_colour is None:
            _blend_strip(colours[strip], alpha[strip], below, out=result[strip])
            continue
        ground = below + (shadow_colour.astype(np.float32) - below) * shadow[strip, :, None]
        opacity = alpha[strip, :, None].astype(np.float32) * np.float32(1 / 255)
        result[strip] = np.rint(ground + (colours[strip] - ground) * opacity)
    return result


def _blend_strip(colours: npt.NDArray[Any], alpha: UInt8, behind: npt.NDArray[Any], *, out: npt.NDArray[Any]) -> None:
    """Most pixels are subject or background alone and are copied; only soft ones are computed."""
    out[:] = behind
    np.copyto(out, colours, where=(alpha == 255)[..., None])
    soft = np.nonzero((alpha > 0) & (alpha < 255))
    below = behind if behind.ndim == 1 else behind[soft]
    opacity = alpha[soft][:, None].astype(np.float32) * np.float32(1 / 255)
    out[soft] = np.rint(below + (colours[soft] - below.astype(np.float32)) * opacity)


def over_layer(
    colours: npt.NDArray[Any], alpha: UInt8, opacity: Float32 | float, layer: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], UInt8]:
    """Straight colours and alpha of a subject together with a layer of one colour behind it, such as its shadow.

    colours: uint8 or uint16 [H, W, 3], straight. alpha: uint8 [H, W]. opacity: of the layer, 0..1, float32 [H, W] or the
    same everywhere. layer: its colour, [3], of the same type as `colours`. Colours are zero where the result is empty.

    Porter and Duff 1984, "Compositing digital images", doi:10.1145/800031.808606: subject over layer.
    """
    result, total = np.empty_like(colours), np.empty_like(alpha)
    everywhere = np.broadcast_to(np.asarray(opacity, np.float32), alpha.shape)
    rows = max(1, _STRIP_PIXELS // alpha.shape[1])
    for first in range(0, alpha.shape[0], rows):
        strip = slice(first, first + rows)
        subject = alpha[strip].astype(np.float32) * np.float32(1 / 255)
        both = subject + everywhere[strip] * (1 - subject)
        share = np.divide(subject, both, out=np.zeros_like(both), where=both > 0)[..., None]
        result[strip] = np.rint(layer + (colours[strip] - layer.astype(np.float32)) * share)
        total[strip] = np.rint(both * 255)
    result[total == 0] = 0
    return result, total


def over_white(colour: tuple[int, int, int, int]) -> tuple[int, int, int]:
    """A colour (r, g, b, a), each 0..255, blended over white: (r, g, b)."""
    red, green, blue = (round(255 + (level - 255) * colour[3] / 255) for level in colour[:3])
    return red, green, blue
