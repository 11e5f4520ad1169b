"""Matting: the opacity of hair, fur and cloth, solved for in the band where a network's alpha is uncertain.

alpha = refine(alpha, image, cell=16)          alpha = solve(image, trimap)

The band is what `trimap` marks as unknown; everything else keeps its value. The solver is closed-form matting (Levin et al.),
with equations for the band's pixels alone, so that time and memory follow the band and not the photo. It works at half size,
where the band has a quarter of the pixels, and takes the result to full size by what closed-form matting itself assumes: that
alpha is, locally, an affine function of the colour (as the fast guided filter of He and Sun does). Bands of more than
TILE_UNKNOWN pixels are solved in overlapping tiles.

Sources: Levin, Lischinski, Weiss 2008, "A Closed-Form Solution to Natural Image Matting", IEEE TPAMI 30(2). He, Sun 2015,
"Fast Guided Filter".
Needs the extra `matting` (SciPy).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from liftout.errors import ExtraMissing, InputError
from liftout.remedies import InstallExtra, UseOption

if TYPE_CHECKING:
    from collections.abc import Iterator

UInt8 = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
Bool = npt.NDArray[np.bool_]

UNKNOWN = 128
"""Level of a trimap that leaves a pixel to the solver; 0 and 255 are sure."""

SURE = 12
"""Levels from 0 or 255 up to which an alpha counts as sure."""

TILE_UNKNOWN = 250_000
"""Unknown pixels, of those that the solver sees, up to which the band is solved as one."""

SMALL_BAND = 20_000
"""Unknown pixels up to which the band is solved at full size."""

TILE = 512
OVERLAP = 64
ENLARGED_AT_ONCE = 256
"""Side of the squares, in pixels of half size, that are taken to full size at once."""

SLOPE_COST = 1e-5
"""What a slope costs when alpha is taken to full size, for colours in [0, 1]."""


def require() -> None:
    """Raises ExtraMissing where SciPy is not installed."""
    if find_spec("scipy") is None:
        raise ExtraMissing(
            "`refined` needs SciPy", field="edges", remedy=(InstallExtra("matting"), UseOption("edges", "auto"))
        )


def refine(alpha: UInt8, image: UInt8, *, cell: float) -> UInt8:
    """`alpha` with its uncertain band solved again.

    alpha: uint8 [H, W]. image: uint8 [H, W, 3], sRGB, as the network saw it. cell: how many of the photo's pixels one pixel
    of the prediction covers; the coarser the prediction, the wider the band. Returns uint8 [H, W].
    """
    band = trimap(alpha, radius=band_radius(alpha.shape[0], alpha.shape[1], cell))
    if not (band == UNKNOWN).any():
        return alpha
    solved = solve(image, band, start=alpha)
    return np.where(band == UNKNOWN, np.rint(solved * 255).astype(np.uint8), alpha)


def band_radius(height: int, width: int, cell: float) -> int:
    """Pixels by which the band reaches beyond what is soft: strands that the network did not see at all lie there.

    height, width: of the photo. cell: as for `refine`.
    """
    return int(min(80, max(2, round(1.5 * cell), round(0.006 * max(height, width)))))


def trimap(alpha: UInt8, *, radius: int) -> UInt8:
    """uint8 [H, W] of 0, UNKNOWN and 255: soft pixels and edges, widened by `radius` pixels, are unknown."""
    from scipy import ndimage

    size = 2 * radius + 1
    least = ndimage.minimum_filter(alpha, size, mode="nearest")
    most = ndimage.maximum_filter(alpha, size, mode="nearest")
    levels = np.full(alpha.shape, UNKNOWN, np.uint8)
    levels[most <= SURE] = 0
    levels[least >= 255 - SURE] = 255
    return levels


def solve(image: UInt8, trimap: UInt8, *, start: UInt8 | None = None) -> Floats:
    """Opacity float32 [H, W] in [0, 1] from a photo and a trimap.

    image: uint8 [H, W, 3]. trimap: uint8 [H, W]; 0 and 255 are known, all between is unknown. start: uint8 [H, W], an
    estimate of alpha that unknown pixels are pulled to, more strongly the nearer it is to 0 or 255. Raises InputError where shapes differ, ExtraMissing without SciPy.
    """
    require()
    if image.shape != (*trimap.shape, 3) or image.dtype != np.uint8 or trimap.dtype != np.uint8:
        raise InputError(
            f"matting needs uint8 [H, W, 3] and a trimap of its size, not {image.dtype} {list(image.shape)} and "
            f"{trimap.dtype} {list(trimap.shape)}"
        )
    unknown = (trimap > 0) & (trimap < 255)
    trusted = start is not None
    if start is not None:
        trimap = np.where(unknown, start, trimap)
    if np.count_nonzero(unknown) <= SMALL_BAND:
        return _solve_tiles(image, trimap.astype(np.float32) / 255, unknown, trusted)
    half, unsure = _halve(image).astype(np.uint8), _halve_any(unknown)
    solved = _solve_tiles(half, _halve(trimap) / 255, unsure, trusted)
    alpha = trimap.astype(np.float32) / 255
    _enlarge_into(alpha, unknown, image, half, solved)
    return alpha


def _solve_tiles(image: UInt8, known: Floats, unknown: Bool, trusted: bool) -> Floats:
    """The band in one, or tile by tile; tiles meet on what `known` holds, and blend where they overlap."""
    if np.count_nonzero(unknown) <= TILE_UNKNOWN:
        return _within(image, known, unknown, trusted)
    total, weight = np.zeros_like(known), np.zeros_like(known)
    for rows, columns in _tiles(*unknown.shape):
        part = (rows, columns)
        if not unknown[part].any():
            continue
        solved = _within(image[part], known[part], unknown[part], trusted)
        share = np.outer(_ramp(rows, unknown.shape[0]), _ramp(columns, unknown.shape[1])).astype(np.float32)
        total[part] += solved * share
        weight[part] += share
    return np.where(unknown & (weight > 0), total / np.maximum(weight, 1e-6), known).astype(np.float32)


def _halve(plane: npt.NDArray[Any]) -> Floats:
    """Means of 2 x 2 pixels, float32 [ceil(H / 2), ceil(W / 2), ...]; the last row and column are repeated where H or W is odd."""
    odd = [(0, plane.shape[0] % 2), (0, plane.shape[1] % 2)] + [(0, 0)] * (plane.ndim - 2)
    wide = np.pad(plane, odd, mode="edge").astype(np.uint16)
    rows = wide[0::2] + wide[1::2]
    return ((rows[:, 0::2] + rows[:, 1::2]) / np.float32(4)).astype(np.float32)


def _halve_any(mask: Bool) -> Bool:
    wide = np.pad(mask, ((0, mask.shape[0] % 2), (0, mask.shape[1] % 2)), mode="edge")
    rows = wide[0::2] | wide[1::2]
    return rows[:, 0::2] | rows[:, 1::2]


def _enlarge_into(alpha: Floats, unknown: Bool, image: UInt8, half: UInt8, solved: Floats) -> None:
    """Give the unknown pixels of `alpha` [H, W] the values that `solved`, of half size, has there, square by square."""
    from liftout.matting.enlarge import enlarge

    side = ENLARGED_AT_ONCE
    for top in range(0, half.shape[0], side):
        for left in range(0, half.shape[1], side):
            whole = (slice(2 * top, 2 * (top + side)), slice(2 * left, 2 * (left + side)))
            if unknown[whole].any():
                first = (max(0, top - 2), max(0, left - 2))
                part = (slice(first[0], top + side + 2), slice(first[1], left + side + 2))
                y, x = np.nonzero(unknown[whole])
                y, x = y + whole[0].start, x + whole[1].start
                alpha[y, x] = enlarge(
                    half[part], solved[part], image[y, x], y / 2 - 0.25 - first[0], x / 2 - 0.25 - first[1]
                )


def _within(image: UInt8, known: Floats, unknown: Bool, trusted: bool) -> Floats:
    """The band's bounding box, with the frame of known pixels that its equations use, solved."""
    from liftout.matting.laplacian import solve_band

    rows, columns = np.flatnonzero(unknown.any(1)), np.flatnonzero(unknown.any(0))
    if not len(rows):
        return known
    box = tuple(slice(max(0, int(line[0]) - 2), int(line[-1]) + 3) for line in (rows, columns))
    alpha = known.copy()
    alpha[box] = solve_band(image[box], known[box], unknown[box], trusted=trusted)
    return alpha


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
