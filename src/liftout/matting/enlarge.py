"""From half size to full size by local affine functions of the colour.

Around every pixel of half size alpha is fitted as an affine function of the colour, over 3 x 3 pixels, exact at the pixel
itself; between pixels the functions are interpolated, and applied to the photo's own colours.

Source: He, Sun 2015, "Fast Guided Filter"; the averaging of the functions over windows is left out here, which would blur.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from liftout.matting import SLOPE_COST

Floats = npt.NDArray[np.floating[Any]]


def enlarge(
    image: npt.NDArray[np.uint8], alpha: Floats, colours: npt.NDArray[np.uint8], y: Floats, x: Floats
) -> Floats:
    """Alpha float32 [N] in [0, 1] at N places of half size.

    image: uint8 [h, w, 3] and alpha: float32 [h, w], of half size. colours: uint8 [N, 3], the photo's at these places.
    y, x: float64 [N], in pixels of half size, 0 at the middle of the first.
    """
    guide = image.astype(np.float32) / 255
    mean, level = _box(guide), _box(alpha)
    together = _box(guide * alpha[..., None]) - mean * level[..., None]
    spread = np.empty((*alpha.shape, 3, 3), np.float32)
    for one in range(3):
        for other in range(one, 3):
            shared = _box(guide[..., one] * guide[..., other]) - mean[..., one] * mean[..., other]
            spread[..., one, other] = spread[..., other, one] = shared
    spread[..., range(3), range(3)] += SLOPE_COST
    slope = np.linalg.solve(spread, together[..., None])[..., 0]
    shift = alpha - (slope * guide).sum(-1)
    opacity = _at(shift, y, x)
    for channel in range(3):
        opacity += _at(slope[..., channel], y, x) * (colours[:, channel].astype(np.float32) / 255)
    return np.clip(opacity, 0, 1)


def _box(plane: Floats) -> Floats:
    size = (3, 3, 1) if plane.ndim == 3 else 3
    return cast("Floats", ndimage.uniform_filter(plane, size, mode="nearest"))


def _at(plane: Floats, y: Floats, x: Floats) -> Floats:
    """Bilinear interpolation, with the outermost pixels going on beyond the border."""
    height, width = plane.shape
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, left = np.minimum(y.astype(np.intp), max(0, height - 2)), np.minimum(x.astype(np.intp), max(0, width - 2))
    down, across = (y - top).astype(np.float32), (x - left).astype(np.float32)
    below, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    above = plane[top, left] * (1 - across) + plane[top, right] * across
    under = plane[below, left] * (1 - across) + plane[below, right] * across
    return cast("Floats", above * (1 - down) + under * down)
