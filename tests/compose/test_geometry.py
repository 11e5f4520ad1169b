"""Parts and sizes of pictures, against numpy and Pillow."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from liftout.compose.geometry import inside, part, resized, resized_alpha, resized_colours, size_within
from tests.images import pictures


@pytest.mark.parametrize("box", [(2, 1, 9, 6), (-3, -2, 5, 4), (5, 3, 20, 30), (-4, -4, 30, 30), (40, 40, 45, 45)])
@pytest.mark.parametrize("shape", [(8, 12), (8, 12, 3)])
def test_a_part_is_that_of_the_picture_on_an_endless_black_ground(box: tuple, shape: tuple[int, ...]) -> None:
    plane = pictures.noise(shape, np.uint16)
    ground = np.pad(plane, [(50, 50), (50, 50), *[(0, 0)] * (len(shape) - 2)])
    left, top, right, bottom = (edge + 50 for edge in box)
    np.testing.assert_array_equal(part(plane, box), ground[top:bottom, left:right])


def test_outside_of_a_box_nothing_is_subject() -> None:
    alpha = pictures.noise((8, 12))
    found = inside(alpha, (-2, 3, 5, 40))
    np.testing.assert_array_equal(found[3:, :5], alpha[3:, :5])
    assert found[:3].max() == 0 and found[:, 5:].max() == 0


@pytest.mark.parametrize(
    ("size", "pixels"), [((3000, 4000), 250_000), ((10, 5000), 1000), ((7, 7), 1), ((300, 451), 1e9)]
)
def test_a_size_keeps_the_shape_and_the_limit(size: tuple[int, int], pixels: float) -> None:
    height, width = size_within(size, pixels)
    assert height * width <= pixels or (height, width) == (1, 1)
    assert height <= size[0] and width <= size[1]
    if min(height, width) > 20:
        assert height / width == pytest.approx(size[0] / size[1], rel=0.02)


@pytest.mark.parametrize("size", [(24, 28), (5, 6), (12, 3)])
def test_16_bits_are_resized_as_8_bits_are(size: tuple[int, int]) -> None:
    levels = pictures.gradient(12, 14)
    expected = np.asarray(Image.fromarray(levels).resize((size[1], size[0]), Image.Resampling.BICUBIC)).astype(float)
    found = resized(levels.astype(np.uint16) * 257, size)
    assert found.dtype == np.uint16 and found.shape == (*size, 3)
    assert np.abs(found / 257 - expected).max() <= 1.5  # Pillow rounds 8 bits between its two passes


def test_colours_are_weighted_by_alpha() -> None:
    colours = np.zeros((40, 40, 3), np.uint8)
    colours[:, :20] = (200, 10, 60)
    colours[:, 20:] = (0, 0, 255)
    alpha = np.zeros((40, 40), np.uint8)
    alpha[:, :20] = 255
    small_alpha = resized_alpha(alpha, (7, 7))
    small = resized_colours(colours, alpha, (7, 7))
    assert np.abs(small[small_alpha > 8].astype(int) - (200, 10, 60)).max() <= 1
