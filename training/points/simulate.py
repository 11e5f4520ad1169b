"""Simulated users: where they click, which box they draw, what they paint.

The next click lies in the middle of the largest region that is wrong, which is how clicks are simulated in the field (Xu et al. 2016,
"Deep Interactive Object Selection", CVPR; Sofiiuk et al. 2022, "Reviving Iterative Training with Mask Guidance", ICIP).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]
Place = tuple[float, float]


def largest_error(mask: Bool, truth: Bool) -> tuple[Bool, bool]:
    """The largest region, bool [h, w], in which `mask` is wrong, and whether it has to be kept; empty where nothing is wrong."""
    best, size, keep = np.zeros(truth.shape, np.bool_), 0, True
    for region, kept in ((truth & ~mask, True), (mask & ~truth, False)):
        _, labels, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=8)
        if len(stats) > 1:
            largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
            if stats[largest, cv2.CC_STAT_AREA] > size:
                best, size, keep = labels == largest, int(stats[largest, cv2.CC_STAT_AREA]), kept
    return best, keep


def inner(region: Bool) -> npt.NDArray[np.float32]:
    """Distance of each pixel of a region, bool [h, w], to its border; beyond the picture lies border."""
    padded = np.pad(region, 1).astype(np.uint8)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]  # type: ignore[no-any-return]


def middle(region: Bool) -> Place:
    """(x, y) of the pixel farthest from the region's border, at its centre, in pixels."""
    row, column = np.unravel_index(int(np.argmax(inner(region))), region.shape)
    return float(column) + 0.5, float(row) + 0.5


def somewhere(region: Bool, chance: np.random.Generator) -> Place:
    """(x, y) of a pixel of the region, rather far from its border."""
    weights = inner(region).ravel().astype(np.float64) ** 2
    place = int(chance.choice(len(weights), p=weights / weights.sum()))
    return place % region.shape[1] + 0.5, place // region.shape[1] + 0.5


def stroke(region: Bool, chance: np.random.Generator, points: int) -> list[Place]:
    """Places of a brush stroke from somewhere in the region to elsewhere in it, those that lie in it."""
    first, last = np.array(somewhere(region, chance)), np.array(somewhere(region, chance))
    way = [first + (last - first) * share for share in np.linspace(0, 1, points)]
    return [(float(x), float(y)) for x, y in way if region[int(y), int(x)]]


def box_around(
    truth: Bool, chance: np.random.Generator | None = None, jitter: float = 0.0
) -> tuple[float, float, float, float]:
    """left, top, right, bottom of the box around a mask, in pixels, each side moved by up to `jitter` of the box's."""
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    left, top, right, bottom = float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
    if chance is not None and jitter:
        wide, high = right - left, bottom - top
        moves = chance.uniform(-jitter, jitter, 4) * (wide, high, wide, high)
        left, top, right, bottom = left + moves[0], top + moves[1], right + moves[2], bottom + moves[3]
    height, width = truth.shape
    return max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)


def overlap(mask: Bool, truth: Bool) -> float:
    """Intersection over union; 1 where both are empty."""
    union = int((mask | truth).sum())
    return float((mask & truth).sum()) / union if union else 1.0
