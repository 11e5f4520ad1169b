"""Holes in a subject: background that the subject encloses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liftout.compose.components import components

UInt8 = npt.NDArray[np.uint8]

_LEVELS = (128, 192, 255)
"""Holes are looked for below each of these, so that the soft rim of a hole goes with it."""


def fill_holes(alpha: UInt8) -> UInt8:
    """Alpha uint8 [H, W] with everything opaque that is surrounded by subject on all sides within the picture."""
    filled = alpha.copy()
    for level in _LEVELS:
        open_parts = components(filled < level, diagonal=False)
        enclosed = ~open_parts.touching_border()
        if enclosed.any():
            filled[open_parts.paint(enclosed)] = 255
    return filled
