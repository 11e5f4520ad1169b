"""Which parts of an alpha are subjects, and where they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liftout.compose.components import components
from liftout.compose.geometry import Box

UInt8 = npt.NDArray[np.uint8]

VISIBLE = 16
"""Alpha from which a pixel counts as visible: fainter haze does not widen a box."""
SOLID = 128
"""Alpha from which a pixel is more subject than not."""

_LEAST_PIXELS = 16
_TIMES_SMALLER = 2000
_TIMES_SMALLER_IF_SMALL = 16
"""How many times smaller than the largest a part may be; the second holds where the largest has few pixels itself."""


def subject_box(alpha: UInt8) -> Box | None:
    """(left, top, right, bottom) around all visible subjects, right and bottom exclusive; None where nothing is visible.

    alpha: uint8 [H, W]. Specks do not count: a part counts from 16 pixels and a 2000th of the largest part up, in small
    pictures from a 16th of the largest part up. The browser follows the same rule: `tests/vectors/crop.json`.
    """
    parts = components(alpha >= VISIBLE)
    if not parts.count:
        return None
    areas = parts.areas
    largest = int(areas.max())
    least = min(max(_LEAST_PIXELS, largest / _TIMES_SMALLER), largest / _TIMES_SMALLER_IF_SMALL)
    return parts.box(areas >= least)


def largest_subject(alpha: UInt8) -> UInt8:
    """The alpha of the largest subject alone, soft edges included; zero elsewhere.

    alpha: uint8 [H, W]. Subjects are told apart by their solid parts; what is soft belongs to the largest as far as it hangs
    together with it.
    """
    cores = components(alpha >= SOLID)
    if not cores.count:
        return alpha
    largest = np.arange(cores.count) == int(np.argmax(cores.areas))
    others = cores.paint(~largest)
    soft = components((alpha > 0) & ~others)
    row, column = cores.first_pixel(int(np.argmax(cores.areas)))
    own_parts = np.arange(soft.count) == soft.component_at(row, column)
    return np.where(soft.paint(own_parts), alpha, 0).astype(np.uint8)
