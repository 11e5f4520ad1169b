"""Which parts of an alpha are subjects, and where they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liftout.compose.components import components

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

SEEN = 16
"""Alpha from which a pixel counts as visible: fainter haze does not widen a box."""
SOLID = 128
"""Alpha from which a pixel is more subject than not."""

_SPECK = 16
_SPECK_SHARE = 2000
_SPECK_MOST = 16


def subject_box(alpha: UInt8) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom) around all visible subjects, right and bottom exclusive; None where nothing is visible.

    alpha: uint8 [H, W]. Specks do not count: parts of fewer than 16 pixels or a 2000th of the largest part, unless the
    largest is itself no more than 16 times as big.
    """
    parts = components(alpha >= SEEN)
    if not parts.count:
        return None
    areas = parts.areas
    largest = int(areas.max())
    return parts.box(areas >= min(max(_SPECK, largest / _SPECK_SHARE), largest / _SPECK_MOST))


def largest_subject(alpha: UInt8) -> UInt8:
    """The alpha of the largest subject alone, soft edges included; zero elsewhere.

    Subjects are told apart by their solid parts; what is soft belongs to the largest as far as it hangs together with it.
    """
    cores = components(alpha >= SOLID)
    if not cores.count:
        return alpha
    largest = np.arange(cores.count) == int(np.argmax(cores.areas))
    others = cores.paint(~largest)
    soft = components((alpha > 0) & ~others)
    held = soft.paint(_holding(soft.count, soft.rows, soft.starts, soft.labels, cores.paint(largest)))
    return np.where(held, alpha, 0).astype(np.uint8)


def _holding(
    count: int, rows: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], core: Bool
) -> Bool:
    """Which of the components contain the core (which lies in one of them, whole)."""
    first = int(np.flatnonzero(core.reshape(-1))[0])
    row, column = divmod(first, core.shape[1])
    run = int(np.searchsorted(rows * core.shape[1] + starts, row * core.shape[1] + column, side="right")) - 1
    return np.asarray(np.arange(count) == labels[run])
