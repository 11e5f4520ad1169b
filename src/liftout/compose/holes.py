"""Holes in a subject: background that the subject encloses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liftout.compose.components import components
from liftout.compose.subjects import VISIBLE

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


def opaque_inside(alpha: UInt8) -> UInt8:
    """Alpha uint8 [H, W] with semi-transparent regions inside the subject opaque, such as the windows of a car.

    A region is what the subject encloses on all sides. One whose alpha falls below 16 anywhere is a real hole and stays.
    """
    regions = components(fill_holes(alpha) != alpha, diagonal=False)
    if not regions.count:
        return alpha
    is_hole = np.zeros(regions.count, bool)
    empty = np.flatnonzero((alpha < VISIBLE) & regions.paint(~is_hole))
    runs = np.searchsorted(regions.rows * alpha.shape[1] + regions.starts, empty, side="right") - 1
    is_hole[regions.labels[runs]] = True
    return np.where(regions.paint(~is_hole), 255, alpha).astype(np.uint8)
