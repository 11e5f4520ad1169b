"""A point changes what hangs together with it, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from liftout.pointing.correct import _grown, _shrunk, change, corrected, select
from liftout.prompts import Prompts

SIZE = (100, 200)
"""Of the photo; the answers below have 320 x 320 cells: a cell is 0.3125 rows high and 0.625 columns wide."""
LEFT, RIGHT = (slice(100, 200), slice(32, 96)), (slice(100, 200), slice(192, 256))
"""In the photo: rows 31 to 62, and columns 20 to 60, and 120 to 160."""
AT_LEFT, AT_RIGHT = (40.0, 46.9), (140.0, 46.9)
"""Their middles, x and y in the photo."""


def answer(*squares: tuple[slice, slice]) -> np.ndarray:
    plane = np.zeros((1, 1, 320, 320), np.float32)
    for rows, columns in squares:
        plane[0, 0, rows, columns] = 1
    return plane


def seen(*squares: tuple[slice, slice]) -> np.ndarray:
    return np.ascontiguousarray(answer(*squares)[:, :, ::2, ::2])


def test_a_point_holds_whatever_the_network_answers() -> None:
    result = select(answer(RIGHT), Prompts(keep=(AT_LEFT, AT_RIGHT), drop=((125.0, 46.9),)), SIZE)[0, 0]
    assert result[150, 64] == 1
    assert result[150, 200] == 0
    assert result[150, 224] == 1


def test_nothing_lies_far_outside_the_box() -> None:
    result = select(answer(LEFT, RIGHT), Prompts(box=(10, 20, 80, 80)), SIZE)
    assert np.array_equal(result, answer(LEFT))


def test_without_a_start_the_parts_that_were_pointed_at_stay() -> None:
    both = answer(LEFT, RIGHT)
    assert np.array_equal(select(both, Prompts(keep=(AT_RIGHT,)), SIZE), answer(RIGHT))
    assert np.array_equal(select(both, Prompts(keep=(AT_RIGHT, AT_LEFT)), SIZE), both)
    assert np.array_equal(select(both, Prompts(box=(0, 0, 200, 100)), SIZE), both)


def test_what_hangs_on_by_a_thin_neck_is_another_object() -> None:
    neck = (slice(149, 152), slice(96, 192))
    result = select(answer(LEFT, RIGHT, neck), Prompts(keep=(AT_RIGHT,)), SIZE)[0, 0]
    assert result[100:200, 196:252].min() == 1
    assert result[:, :150].max() == 0


def test_a_point_to_keep_adds_its_region_and_leaves_the_rest() -> None:
    changed = change(answer(RIGHT), Prompts(keep=(AT_RIGHT,)), seen(LEFT), SIZE)
    found = np.zeros((320, 320), np.bool_)
    found[RIGHT] = True
    assert (changed.added != found).mean() < 0.003  # corners are rounded
    assert not changed.removed.any()


def test_a_point_to_drop_takes_its_region_away_and_leaves_the_rest() -> None:
    changed = change(answer(), Prompts(drop=(AT_RIGHT,)), seen(LEFT, RIGHT), SIZE)
    found = np.zeros((320, 320), np.bool_)
    found[RIGHT] = True
    assert (changed.removed != found).mean() < 0.003  # corners are rounded
    assert not changed.added.any()


def test_a_ring_around_the_subject_does_not_change_with_a_region_that_it_touches() -> None:
    larger = (slice(96, 204), slice(28, 100))  # four cells more on every side
    bump = (slice(120, 180), slice(100, 160))
    changed = change(answer(larger, bump), Prompts(keep=((81.0, 46.9),)), seen(LEFT), SIZE)
    assert changed.added[bump].mean() > 0.95
    assert not changed.added[:, :90].any()


def test_a_change_does_not_reach_far_from_its_point() -> None:
    everything = (slice(0, 320), slice(0, 320))
    changed = change(answer(everything), Prompts(keep=((100.0, 10.0),)), seen((slice(60, 320), slice(0, 320))), SIZE)
    rows, columns = np.nonzero(changed.added)
    assert len(rows) > 0
    assert np.hypot(rows - 32, columns - 160).max() < 100


def test_a_point_that_says_what_is_so_already_changes_nothing() -> None:
    changed = change(answer(RIGHT), Prompts(keep=(AT_LEFT,), drop=((180.0, 10.0),)), seen(LEFT), SIZE)
    assert not changed.added.any()
    assert not changed.removed.any()
    start = np.random.default_rng(0).integers(0, 256, SIZE).astype(np.uint8)
    assert np.array_equal(corrected(start, np.zeros_like(start), changed), start)


def test_a_point_that_the_network_does_not_follow_changes_a_disk() -> None:
    changed = change(answer(LEFT), Prompts(keep=(AT_RIGHT,)), seen(LEFT), SIZE)
    assert changed.added[150, 224]
    assert 40 < changed.added.sum() < 120
    assert changed.prediction[0, 0, 150, 224] == 1


def test_the_start_keeps_its_own_levels_where_nothing_changed() -> None:
    start = np.random.default_rng(0).integers(0, 120, SIZE).astype(np.uint8)
    changed = change(answer(RIGHT), Prompts(keep=(AT_RIGHT,)), seen(), SIZE)
    result = corrected(start, np.full(SIZE, 200, np.uint8), changed)
    assert np.array_equal(result[:, :110], start[:, :110])
    assert result[35:58, 125:155].min() == 200
    assert (result >= start).all()


@pytest.mark.parametrize("radius", [1, 2, 7])
def test_growing_and_shrinking_are_by_distance(radius: int) -> None:
    mask = np.zeros((40, 60), np.bool_)
    mask[20, 30] = mask[3, 2] = mask[38, 58] = True
    rows, columns = np.mgrid[:40, :60]
    near = [np.hypot(rows - y, columns - x) <= radius for y, x in ((20, 30), (3, 2), (38, 58))]
    assert np.array_equal(_grown(mask, radius), near[0] | near[1] | near[2])
    assert np.array_equal(_shrunk(~mask, radius), ~_grown(mask, radius))
    assert _shrunk(np.ones((9, 9), np.bool_), radius).all()


LONG = (slice(100, 140), slice(20, 300))


def test_a_subject_apart_comes_whole_however_long_it_is() -> None:
    other = (slice(200, 300), slice(20, 120))
    changed = change(answer(LONG, other), Prompts(keep=((100.0, 37.5),)), seen(other), SIZE)
    assert changed.added[LONG].mean() > 0.95
    assert not changed.added[150:].any()


def test_one_of_several_subjects_goes_whole() -> None:
    other = (slice(200, 300), slice(20, 120))
    changed = change(answer(other), Prompts(drop=((100.0, 37.5),)), seen(LONG, other), SIZE)
    assert changed.removed[LONG].mean() > 0.95
    assert not changed.removed[150:].any()


def test_the_only_subject_does_not_go_with_one_point() -> None:
    changed = change(answer(), Prompts(drop=((100.0, 37.5),)), seen(LONG), SIZE)
    assert changed.removed[120, 160]
    assert changed.removed[LONG].mean() < 0.5
