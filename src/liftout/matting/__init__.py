"""Matting: the opacity of hair, fur and cloth, solved for in the band where a network's alpha is unsure.

alpha = refine(alpha, image, cell=16)          alpha = solve(image, trimap)

The band is what `trimap` marks as unknown; everything else keeps its value. The solver is closed-form matting (Levin et al.),
with equations for the band's pixels alone, so that time and memory follow the band and not the photo; bands of more than
TILE_UNKNOWN pixels are solved in overlapping tiles, each bounded by what was known before.

Source: Levin, Lischinski, Weiss 2008, "A Closed-Form Solution to Natural Image Matting", IEEE TPAMI 30(2).
Needs the extra `matting` (SciPy).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from liftout.errors import ExtraMissing, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

UNKNOWN = 128
"""Level of a trimap that leaves a pixel to the solver; 0 and 255 are sure."""

SURE = 12
"""Levels from 0 or 255 up to which an alpha counts as sure."""

TILE_UNKNOWN = 500_000
"""Unknown pixels up to which the band is solved as one."""

TILE = 512
OVERLAP = 64


def require() -> None:
    """Raises ExtraMissing where SciPy is not installed."""
    if find_spec("scipy") is None:
        raise ExtraMissing("edges `refined` needs SciPy; run `pip install 'liftout[matting]'`, or choose edges `auto`")


def refine(alpha: UInt8, image: UInt8, *, cell: float) -> UInt8:
    """`alpha` with its unsure band solved anew.

    alpha: uint8 [H, W]. image: uint8 [H, W, 3], sRGB, as the network saw it. cell: how many of the photo's pixels one pixel
    of the prediction covers; the coarser the prediction, the wider the band. Returns uint8 [H, W].
    """
    unsure = trimap(alpha, radius=band_radius(alpha.shape[0], alpha.shape[1], cell))
    if not (unsure == UNKNOWN).any():
        return alpha
    solved = solve(image, unsure, start=alpha)
    return np.where(unsure == UNKNOWN, np.rint(solved * 255).astype(np.uint8), alpha)


def band_radius(height: int, width: int, cell: float) -> int:
    """Pixels by which the band reaches beyond what is soft: strands that the network did not see at all lie there."""
    return int(min(80, max(2, round(1.5 * cell), round(0.006 * max(height, width)))))


def trimap(alpha: UInt8, *, radius: int) -> UInt8:
    """uint8 [H, W] of 0, UNKNOWN and 255: soft pixels and edges, widened by `radius` pixels, are unknown."""
    from scipy import ndimage

    size = 2 * radius + 1
    least = ndimage.minimum_filter(alpha, size, mode="nearest")
    most = ndimage.maximum_filter(alpha, size, mode="nearest")
    made = np.full(alpha.shape, UNKNOWN, np.uint8)
    made[most <= SURE] = 0
    made[least >= 255 - SURE] = 255
    return made


def solve(image: UInt8, trimap: UInt8, *, start: UInt8 | None = None) -> Float32:
    """Opacity float32 [H, W] in [0, 1] from a photo and a trimap.

    image: uint8 [H, W, 3]. trimap: uint8 [H, W]; 0 and 255 are sure, all between is unknown. start: uint8 [H, W], an alpha
    to begin with; tiles of a large band meet on it. Raises InputError where shapes differ, ExtraMissing without SciPy.
    """
    require()
    from liftout.matting.laplacian import solve_band

    if image.shape != (*trimap.shape, 3) or image.dtype != np.uint8 or trimap.dtype != np.uint8:
        raise InputError(
            f"matting needs uint8 [H, W, 3] and a trimap of its size, not {image.dtype} {list(image.shape)} and "
            f"{trimap.dtype} {list(trimap.shape)}"
        )
    unknown = (trimap > 0) & (trimap < 255)
    known = np.where(unknown, trimap if start is None else start, trimap).astype(np.float32) / 255
    if int(unknown.sum()) <= TILE_UNKNOWN:
        return _within(image, known, unknown, solve_band)
    total, weight = np.zeros_like(known), np.zeros_like(known)
    for rows, columns in _tiles(*trimap.shape):
        part = (rows, columns)
        if not unknown[part].any():
            continue
        solved = _within(image[part], known[part], unknown[part], solve_band)
        share = np.outer(_ramp(rows, trimap.shape[0]), _ramp(columns, trimap.shape[1])).astype(np.float32)
        total[part] += solved * share
        weight[part] += share
    return np.where(unknown & (weight > 0), total / np.maximum(weight, 1e-6), known).astype(np.float32)


def _within(image: UInt8, known: Float32, unknown: npt.NDArray[np.bool_], solver: object) -> Float32:
    """The band's bounding box, with the frame of sure pixels that its equations look at, solved."""
    rows, columns = np.flatnonzero(unknown.any(1)), np.flatnonzero(unknown.any(0))
    if not len(rows):
        return known
    box = tuple(slice(max(0, int(line[0]) - 2), int(line[-1]) + 3) for line in (rows, columns))
    made = known.copy()
    made[box] = solver(image[box], known[box], unknown[box])  # type: ignore[operator]
    return made


def _tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            yield (
                slice(max(0, top - OVERLAP), min(height, top + TILE + OVERLAP)),
                slice(max(0, left - OVERLAP), min(width, left + TILE + OVERLAP)),
            )


def _ramp(span: slice, length: int) -> npt.NDArray[np.float64]:
    """Weights along one side of a tile: they fall towards inner borders, so that neighbours blend."""
    places = np.arange(span.start, span.stop)
    rising = np.ones(len(places)) if span.start == 0 else np.minimum(1, (places - span.start + 0.5) / (2 * OVERLAP))
    falling = np.ones(len(places)) if span.stop == length else np.minimum(1, (span.stop - places - 0.5) / (2 * OVERLAP))
    return np.minimum(rising, falling)
