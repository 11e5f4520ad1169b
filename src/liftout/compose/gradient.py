"""A gradient behind a subject: from one colour to another, along a line or outwards from the centre.

The line is that of CSS's `linear-gradient`: it runs through the centre at an angle, and is as long as it takes for the two
colours to reach opposite corners (CSS Images Module Level 3, section 3.1). The browser computes the same levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

LINEAR, RADIAL = "linear", "radial"
_DIGITS = 12
"""Of a sine and a cosine: what languages agree on."""


@dataclass(frozen=True, kw_only=True)
class Gradient:
    """sRGB colours from `first` to `last`."""

    first: Colour
    last: Colour
    angle: float | None = 180
    """Degrees: 0 runs upwards, 90 to the right; None runs from the centre to the corners."""

    def levels(self, size: tuple[int, int]) -> UInt8:
        """The gradient at `size` [height, width]: uint8 [H, W, 3], sRGB."""
        share = self._share(size)[..., None]
        first, last = np.array(self.first, np.float64), np.array(self.last, np.float64)
        levels: UInt8 = np.floor(first + (last - first) * share + 0.5).astype(np.uint8)
        return levels

    def _share(self, size: tuple[int, int]) -> npt.NDArray[np.float64]:
        """How far each pixel is from the first colour to the last, 0..1: float64 [H, W]."""
        height, width = size
        right = (np.arange(width) + 0.5 - width / 2)[None, :]
        down = (np.arange(height) + 0.5 - height / 2)[:, None]
        if self.angle is None:
            return np.sqrt((right * right + down * down) / (width * width / 4 + height * height / 4))
        turn = math.radians(self.angle)
        across, up = round(math.sin(turn), _DIGITS), round(math.cos(turn), _DIGITS)
        length = width * abs(across) + height * abs(up)
        share: npt.NDArray[np.float64] = ((right * across - down * up) / length + 0.5).clip(0, 1)
        return share
