"""The matting Laplacian over the unknown pixels of a band, and conjugate gradients with a coarse space for it.

Over every window of 3 x 3 pixels alpha is taken to be an affine function of the colour. Least squares over all windows leaves
one equation per unknown pixel, with its 24 neighbours; known pixels are constants in it.

Sources: Levin et al. 2008, equation 12 (the Laplacian). Nicolaides 1987, "Deflation of Conjugate Gradients with Applications
to Boundary Value Problems", SIAM J. Numer. Anal. 24(2) (a space of functions on blocks, solved exactly, beside an iteration).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu

Floats = npt.NDArray[np.floating[Any]]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

SMOOTHNESS = 1e-7
"""Epsilon of the literature: how much a slope costs, for colours in [0, 1]."""
WINDOWS_AT_ONCE = 8_000
TOLERANCE = 3e-3
"""Residual at which the solver stops, as a share of the first one."""
MOST_STEPS = 200
TRUST = 1e-3
"""How strongly an unknown pixel is held to the alpha that it begins with, where that is one half."""
SURE_TRUST = 30.0
"""How many times more where it is 0 or 1."""
BLOCK = 5
"""Side of the blocks of the coarse space, in pixels."""
DAMPING = 0.7
SHIFTS = [(down, across) for down in range(-2, 3) for across in range(-2, 3)]


def solve_band(
    image: npt.NDArray[np.uint8], known: Floats, unknown: npt.NDArray[np.bool_], *, trusted: bool = False
) -> Float64:
    """Opacity [H, W] in [0, 1].

    image: uint8 [H, W, 3]. known: float [H, W], the alpha of known pixels, and the start of unknown ones. unknown: bool [H, W].
    trusted: whether the start of unknown pixels is an estimate of their alpha, which counts more the nearer it is to 0 or 1.
    """
    alpha = known.astype(np.float64)
    if not unknown.any() or min(unknown.shape) < 3:
        return alpha
    number = np.full(unknown.shape, -1, np.int64)
    places = np.flatnonzero(unknown)
    number.ravel()[places] = np.arange(len(places))
    colours = image.reshape(-1, 3)[places] / 255.0
    matrix, right = _equations(image, alpha, unknown, number, places)
    begin = alpha.ravel()[places]
    if trusted:
        trust = TRUST * (1 + SURE_TRUST * (2 * begin - 1) ** 4)
        matrix, right = (matrix + sparse.diags_array(trust)).tocsr(), right + trust * begin
    alpha.ravel()[places] = np.clip(_solve(matrix, right, begin, colours, places, unknown.shape[1]), 0, 1)
    return alpha


def _equations(
    image: npt.NDArray[np.uint8], known: Float64, unknown: npt.NDArray[np.bool_], number: Int64, places: Int64
) -> tuple[sparse.csr_matrix, Float64]:
    """The matrix between unknowns, and what known neighbours add to the right side."""
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
    within = columns >= 0
    starts = np.concatenate([[0], np.cumsum(within.sum(1))])
    matrix = sparse.csr_matrix((stencil[within], columns[within], starts), shape=(len(places), len(places)))
    return matrix, right


def _affinity(colours: Float64) -> Float64:
    """[M, 9, 3] -> [M, 9, 9]: what each window adds to the Laplacian."""
    away = colours - colours.mean(1, keepdims=True)
    spread = away.transpose(0, 2, 1) @ away / 9
    spread[:, range(3), range(3)] += SMOOTHNESS / 9
    weights = away @ np.linalg.inv(spread) @ away.transpose(0, 2, 1)
    affinity: Float64 = np.eye(9) - (1 + weights) / 9
    return affinity


def _solve(
    matrix: sparse.csr_matrix, right: Float64, start: Float64, colours: Float64, places: Int64, width: int
) -> Float64:
    """Preconditioned conjugate gradients from `start`. colours: [N, 3] in [0, 1], of the unknown pixels."""
    coarse = _affine_blocks(colours, places, width)
    back = coarse.T.tocsr()
    small = (back @ matrix @ coarse).tocsc()
    weak = sparse.identity(small.shape[0]) * (1e-8 * float(small.diagonal().mean()) + 1e-12)
    direct = splu((small + weak).tocsc())
    damped = DAMPING / matrix.diagonal()

    def precondition(residual: Float64) -> Float64:
        guess: Float64 = damped * residual
        guess += coarse @ direct.solve(back @ (residual - matrix @ guess))
        guess += damped * (residual - matrix @ guess)
        return guess

    solution = start.copy()
    residual = right - matrix @ solution
    enough = TOLERANCE * max(float(np.linalg.norm(right)), 1e-12)
    towards = precondition(residual)
    direction, product = towards.copy(), float(residual @ towards)
    for _ in range(MOST_STEPS):
        if float(np.linalg.norm(residual)) <= enough or product <= 0:
            break
        image = matrix @ direction
        length = product / float(direction @ image)
        solution += length * direction
        residual -= length * image
        towards = precondition(residual)
        product, before = float(residual @ towards), product
        direction = towards + (product / before) * direction
    return solution


def _affine_blocks(colours: Float64, places: Int64, width: int) -> sparse.csr_matrix:
    """The coarse space, [N, 4 * blocks]: in every block of BLOCK x BLOCK pixels any affine function of the colour. These are
    what the Laplacian hardly penalises, and what smoothing therefore does not reach."""
    y, x = np.divmod(places, width)
    blocks, block = np.unique((y // BLOCK) * width + x // BLOCK, return_inverse=True)
    count = np.bincount(block)
    away = colours.copy()
    for channel in range(3):
        away[:, channel] -= (np.bincount(block, colours[:, channel]) / count)[block]
    values = np.concatenate([np.ones((len(places), 1)), away], 1)
    columns = block[:, None] * 4 + np.arange(4)
    starts = np.arange(len(places) + 1) * 4
    return sparse.csr_matrix((values.ravel(), columns.ravel(), starts), (len(places), 4 * len(blocks)))
