"""Pictures without a subject, for networks that should answer nothing: the bare parts of photos."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]
BARE = 6
"""Levels of 255 that the teacher's alpha may reach in a bare part of a photo, on the average."""
SIDES = (0.75, 0.6, 0.5)
"""Sides of the parts that are looked at, as shares of the photo's."""


def bare_box(alpha: UInt8Array) -> tuple[int, int, int, int] | None:
    """left, top, right, bottom of the largest part of `alpha`, uint8 [h, w], in which there is nothing, else None. Looked at are
    the corners, the middles of the sides and the middle of the photo, at three sizes."""
    height, width = alpha.shape
    for share in SIDES:
        h, w = round(share * height), round(share * width)
        places = itertools.product((0, (height - h) // 2, height - h), (0, (width - w) // 2, width - w))
        found = min(places, key=lambda place: float(alpha[place[0] : place[0] + h, place[1] : place[1] + w].mean()))
        top, left = found
        if alpha[top : top + h, left : left + w].mean() <= BARE:
            return left, top, left + w, top + h
    return None
