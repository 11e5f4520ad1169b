"""Smoothing, against scipy's morphology and Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from liftout.compose.smoothing import smoothed

CROSS = ndimage.generate_binary_structure(2, 1)


def expected(alpha: np.ndarray) -> np.ndarray:
    opened = ndimage.grey_dilation(ndimage.grey_erosion(alpha, footprint=CROSS), footprint=CROSS)
    return np.where(ndimage.gaussian_filter(opened.astype(float), 2) < 127, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 5), (90, 131), (700, 640)])
def test_smoothing_is_an_opening_a_gaussian_and_a_threshold(size: tuple[int, int]) -> None:
    drawn = np.random.default_rng(3)
    blobs = ndimage.gaussian_filter(drawn.random(size), 3)
    for alpha in (
        drawn.integers(0, 256, size),
        drawn.integers(120, 135, size),
        np.where(blobs > np.median(blobs), 255, 0),
        *(np.full(size, level) for level in (0, 126, 127, 128, 255)),
    ):
        levels = alpha.astype(np.uint8)
        np.testing.assert_array_equal(smoothed(levels), expected(levels))


def test_specks_go_and_notches_close() -> None:
    alpha = np.zeros((60, 60), np.uint8)
    alpha[10:50, 10:50] = 255
    alpha[10:13, 30] = 0
    alpha[55, 55] = 255
    hard = smoothed(alpha)
    assert hard[55, 55] == 0
    assert hard[12, 30] == 255
    assert set(np.unique(hard)) == {0, 255}
