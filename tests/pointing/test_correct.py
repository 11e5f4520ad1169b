"""A point changes what hangs together with it, and nothing else."""

from __future__ import annotations

import numpy as np

from liftout.pointing.correct import confine, corrected, insist
from liftout.prompts import Prompts

SIZE = (100, 200)
"""Of the photo; the answers below have 320 x 320 cells."""
Squares = list[tuple[slice, slice]]


def answer(*squares: tuple[slice, slice]) -> np.ndarray:
    plane = np.zeros((1, 1, 320, 320), np.float32)
    for rows, columns in squares:
        plane[0, 0, rows, columns] = 1
    return plane


LEFT = (slice(100, 200), slice(32, 96))
"""In the photo: rows 31 to 62, columns 20 to 60."""
RIGHT = (slice(100, 200), slice(192, 256))
"""Columns 120 to 160."""


def photo(*squares: tuple[slice, slice]) -> np.ndarray:
    alpha = np.zeros(SIZE, np.uint8)
    for rows, columns in squares:
        alpha[rows, columns] = 255
    return alpha


IN_PHOTO_LEFT, IN_PHOTO_RIGHT = (slice(31, 63), slice(20, 60)), (slice(31, 63), slice(120, 160))


def seen(alpha: np.ndarray) -> np.ndarray:
    rows = (np.arange(160) * SIZE[0] // 160)[:, None]
    return (alpha[rows, np.arange(160) * SIZE[1] // 160] / np.float32(255))[None, None]


def test_a_point_holds_whatever_the_network_answers() -> None:
    prompts = Prompts(keep=((40, 50),), drop=((140, 50),))
    result = insist(answer(RIGHT), prompts, SIZE)[0, 0]
    assert result[161, 64] == 1
    assert result[161, 224] == 0
    assert result[120, 200] == 1  # elsewhere the answer holds


def test_nothing_lies_far_outside_the_box() -> None:
    result = insist(answer(LEFT, RIGHT), Prompts(box=(10, 20, 80, 80)), SIZE)
    assert np.array_equal(result, answer(LEFT))


def test_without_a_start_the_parts_that_were_pointed_at_stay() -> None:
    both = answer(LEFT, RIGHT)
    assert np.array_equal(confine(both, Prompts(keep=((140, 50),)), SIZE), answer(RIGHT))
    assert np.array_equal(confine(both, Prompts(keep=((140, 50), (40, 50))), SIZE), both)
    assert np.array_equal(confine(both, Prompts(box=(0, 0, 200, 100)), SIZE), both)


def test_a_point_to_keep_adds_its_part_and_leaves_the_rest_as_it_was() -> None:
    start = photo(IN_PHOTO_LEFT)
    start[5:8, 5:8] = 77  # what another model left there, and the network would not
    result = corrected(
        start, photo(IN_PHOTO_RIGHT), seen(start), answer(RIGHT), Prompts(keep=((140, 50),), start=start)
    )
    assert np.array_equal(result[:, :100], start[:, :100])
    assert np.array_equal(result[:, 100:], photo(IN_PHOTO_RIGHT)[:, 100:])


def test_a_point_to_drop_takes_its_part_away_and_leaves_the_rest_as_it_was() -> None:
    start = photo(IN_PHOTO_LEFT, IN_PHOTO_RIGHT)
    result = corrected(start, photo(), seen(start), answer(), Prompts(drop=((140, 50),), start=start))
    assert np.array_equal(result, photo(IN_PHOTO_LEFT))


def test_a_point_that_says_what_is_so_already_changes_nothing() -> None:
    start = photo(IN_PHOTO_LEFT)
    prompts = Prompts(keep=((40, 50),), drop=((140, 50),), start=start)
    assert corrected(start, photo(IN_PHOTO_LEFT), seen(start), answer(LEFT), prompts) is start


def test_many_points_cost_no_more_than_the_cells_they_touch() -> None:
    keep = tuple((float(x), 50.0) for x in np.linspace(1, 199, 1000))
    result = confine(answer(LEFT, RIGHT), Prompts(keep=keep), SIZE)
    assert np.array_equal(result, answer(LEFT, RIGHT))
