"""The prompted network decides which object, another model's alpha gives its edge.

Inside an object the other alpha may not fall below the answer, far from it it may not rise above it, and near its edge the other alpha
holds as far as the two agree around there: a model that found the object has the better edge, one that missed it has none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liftout import graphs

BAND = 0.012
"""Width of the band on both sides of the answer's edge in which the other alpha may decide, as a share of the photo's longer
side."""
AGREE = 0.35
"""Mean difference, of alphas in [0, 1], around a place from which the other alpha has no say there; half of it costs nothing."""

Float32 = npt.NDArray[np.float32]


def with_edges_of(other: graphs.UInt8, answer: graphs.UInt8) -> graphs.UInt8:
    """The object of `answer` with the edges of `other`; both uint8 [H, W]."""
    radius = max(2, round(BAND * max(answer.shape)))
    mine, theirs = answer.astype(np.float32) / 255, other.astype(np.float32) / 255
    solid = (mine >= 0.5).astype(np.float32)
    share = _mean(solid, radius)  # 0 or 1 where no edge is near
    band = np.clip(16 * np.minimum(share, 1 - share), 0, 1)
    differ = _mean(np.abs(theirs - mine), 2 * radius)
    trust = np.clip(2 - differ / (AGREE / 2), 0, 1)
    weight = band * trust
    result: graphs.UInt8 = np.rint(255 * (mine + weight * (theirs - mine))).astype(np.uint8)
    return result


def _mean(plane: Float32, radius: int) -> Float32:
    """Mean over squares of 2 radius + 1 pixels, smaller at the border; float32 [H, W]."""
    for axis in (0, 1):
        length = plane.shape[axis]
        total = np.cumsum(plane, axis=axis, dtype=np.float64)
        total = np.concatenate((np.zeros_like(np.take(total, [0], axis)), total), axis)
        last = np.minimum(np.arange(length) + radius + 1, length)
        first = np.maximum(np.arange(length) - radius, 0)
        count = (last - first).reshape((-1, 1) if axis == 0 else (1, -1))
        plane = ((np.take(total, last, axis) - np.take(total, first, axis)) / count).astype(np.float32)
    return plane
