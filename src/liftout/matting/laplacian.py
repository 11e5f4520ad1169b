"""The matting Laplacian over the unknown pixels of a band, and conjugate gradients with a multigrid preconditioner.

Over every window of 3 x 3 pixels alpha is taken to be an affine function of the colour. Least squares over all windows leaves
one equation per unknown pixel, with its 24 neighbours; sure pixels are constants in it.

Sources: Levin et al. 2008, equation 12 (the Laplacian). Tatebe 1993, "The multigrid preconditioned conjugate gradient method"
(the solver); the grids are unions of 2 x 2 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

SMOOTHNESS = 1e-7
"""Epsilon of the literature: how much a slope costs, for colours in [0, 1]."""
WINDOWS_AT_ONCE = 40_000
TOLERANCE = 1e-4
"""Residual at which the solver stops, as a share of the first one."""
MOST_STEPS = 200
COARSEST = 400
"""Unknowns that are solved for directly."""
DAMPING = 0.7
SHIFTS = [(down, across) for down in range(-2, 3) for across in range(-2, 3)]


def solve_band(image: npt.NDArray[np.uint8], known: npt.NDArray[np.float32], unknown: npt.NDArray[np.bool_]) -> Float64:
    """Opacity [H, W] in [0, 1].

    image: uint8 [H, W, 3]. known: float32 [H, W], what sure pixels have and unknown ones begin with. unknown: bool [H, W].
    """
    made = known.astype(np.float64)
    if min(unknown.shape) < 3:
        return made
    number = np.full(unknown.shape, -1, np.int64)
    places = np.flatnonzero(unknown)
    number.ravel()[places] = np.arange(len(places))
    matrix, right = _equations(image, made, unknown, number, places)
    made.ravel()[places] = np.clip(_solve(matrix, right, made.ravel()[places], places, unknown.shape), 0, 1)
    return made


def _equations(
    image: npt.NDArray[np.uint8], known: Float64, unknown: npt.NDArray[np.bool_], number: Int64, places: Int64
) -> tuple[sparse.csr_matrix, Float64]:
    """The matrix between unknowns, and what sure neighbours bring to the right side."""
    height, width = unknown.shape
    touched = unknown.copy()
    touched[1:] |= unknown[:-1]
    touched[:-1] |= unknown[1:]
    wide = touched.copy()
    wide[:, 1:] |= touched[:, :-1]
    wide[:, :-1] |= touched[:, 1:]
    wide[[0, -1]] = False
    wide[:, [0, -1]] = False
    centres = np.flatnonzero(wide)
    window = np.array([down * width + across for down in (-1, 0, 1) for across in (-1, 0, 1)])
    pixels = image.reshape(-1, 3)
    numbers = number.ravel()
    stencil = np.zeros((len(places) + 1, len(SHIFTS)))  # the last row takes what concerns sure pixels
    for first in range(0, len(centres), WINDOWS_AT_ONCE):
        members = centres[first : first + WINDOWS_AT_ONCE, None] + window
        affinity = _affinity(pixels[members].astype(np.float64) / 255)
        rows = numbers[members]
        for one in range(9):
            of_one = rows[:, one]
            concerned = np.flatnonzero(of_one >= 0)
            of_one = of_one[concerned]
            for other in range(9):
                shift = 5 * (other // 3 - one // 3 + 2) + other % 3 - one % 3 + 2
                stencil[of_one, shift] += affinity[concerned, one, other]
    stencil = stencil[:-1]
    right = np.zeros(len(places))
    columns = np.empty((len(places), len(SHIFTS)), np.int32)
    y, x = np.divmod(places, width)
    flat = known.ravel()
    for shift, (down, across) in enumerate(SHIFTS):
        inside = (y + down >= 0) & (y + down < height) & (x + across >= 0) & (x + across < width)
        neighbour = np.where(inside, places + down * width + across, 0)
        column = np.where(inside, numbers[neighbour], -1)
        sure = column < 0
        right -= np.where(inside & sure, stencil[:, shift] * flat[neighbour], 0)
        columns[:, shift] = column
    kept = columns >= 0
    starts = np.concatenate([[0], np.cumsum(kept.sum(1))])
    matrix = sparse.csr_matrix((stencil[kept], columns[kept], starts), shape=(len(places), len(places)))
    return matrix, right


def _affinity(colours: Float64) -> Float64:
    """[M, 9, 3] -> [M, 9, 9]: what each window adds to the Laplacian."""
    away = colours - colours.mean(1, keepdims=True)
    spread = away.transpose(0, 2, 1) @ away / 9
    spread[:, range(3), range(3)] += SMOOTHNESS / 9
    made = away @ np.linalg.inv(spread) @ away.transpose(0, 2, 1)
    return np.eye(9) - (1 + made) / 9


@dataclass(frozen=True)
class _Grid:
    """One level of the multigrid. union: number of the coarser unknown that each unknown belongs to."""

    matrix: sparse.csr_matrix
    damped: Float64
    union: Int64
    count: int


def _solve(matrix: sparse.csr_matrix, right: Float64, start: Float64, places: Int64, shape: tuple[int, int]) -> Float64:
    grids, direct = _grids(matrix, places, shape)

    def descend(level: int, residual: Float64) -> Float64:
        if level == len(grids):
            return direct.solve(residual)  # type: ignore[no-any-return]
        grid = grids[level]
        guess = grid.damped * residual
        rest = residual - grid.matrix @ guess
        coarse = descend(level + 1, np.bincount(grid.union, rest, grid.count))
        guess += coarse[grid.union]
        guess += grid.damped * (residual - grid.matrix @ guess)
        return guess

    made = start.copy()
    residual = right - matrix @ made
    enough = TOLERANCE * max(float(np.linalg.norm(right)), 1e-12)
    towards = descend(0, residual)
    direction, product = towards.copy(), float(residual @ towards)
    for _ in range(MOST_STEPS):
        if float(np.linalg.norm(residual)) <= enough or product <= 0:
            break
        image = matrix @ direction
        length = product / float(direction @ image)
        made += length * direction
        residual -= length * image
        towards = descend(0, residual)
        product, before = float(residual @ towards), product
        direction = towards + (product / before) * direction
    return made


def _grids(matrix: sparse.csr_matrix, places: Int64, shape: tuple[int, int]) -> tuple[list[_Grid], object]:
    grids: list[_Grid] = []
    y, x = np.divmod(places, shape[1])
    while matrix.shape[0] > COARSEST:
        y, x = y // 2, x // 2
        cells, union = np.unique(y * shape[1] + x, return_inverse=True)
        if len(cells) == matrix.shape[0]:
            break
        grids.append(_Grid(matrix, DAMPING / matrix.diagonal(), union, len(cells)))
        spread = sparse.csr_matrix((np.ones(len(union)), (np.arange(len(union)), union)), (len(union), len(cells)))
        matrix = (spread.T @ matrix @ spread).tocsr()
        y, x = np.divmod(cells, shape[1])
    weak = sparse.identity(matrix.shape[0]) * (1e-9 * max(float(matrix.diagonal().max()), 1e-12))
    return grids, splu((matrix + weak).tocsc())
