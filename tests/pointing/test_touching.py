"""Subjects that touch are told apart where the answers about them are two."""

from __future__ import annotations

import numpy as np
import pytest

from liftout.pointing.touching import separate_touching, thick_places
from liftout.prompts import Prompts

SIZE = (200, 320)


def disc(x: float, y: float, radius: float) -> np.ndarray:
    """A soft-edged disc: uint8 [H, W]."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    distance = np.hypot(rows - y, columns - x)
    return ((radius - distance) * 64 + 128).clip(0, 255).astype(np.uint8)


def bar(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    alpha = np.zeros(SIZE, np.uint8)
    alpha[top:bottom, left:right] = 255
    return alpha


LARGE, SMALL = disc(100, 100, 60), disc(200, 110, 45)
PAIR = np.maximum(LARGE, SMALL)


class Answers:
    """Gives the objects that the points to keep lie in, and remembers what it was asked."""

    def __init__(self, *objects: np.ndarray) -> None:
        self.asked: list[Prompts] = []
        self._objects = objects

    def __call__(self, prompts: Prompts) -> np.ndarray:
        self.asked.append(prompts)
        places = [(int(y), int(x)) for x, y in prompts.keep]
        return np.maximum.reduce([max(self._objects, key=lambda found: int(found[place])) for place in places])


def near(places: list[tuple[int, int]], *expected: tuple[int, int]) -> bool:
    return len(places) == len(expected) and all(
        np.hypot(place[0] - row, place[1] - column) < 12 for place, (row, column) in zip(places, expected, strict=True)
    )


def test_two_discs_that_touch_are_thick_at_two_places() -> None:
    assert near(thick_places(PAIR > 128), (100, 100), (110, 200))
    three = np.maximum(PAIR, disc(260, 60, 30)) > 128
    assert near(thick_places(three), (100, 100), (110, 200), (60, 260))


@pytest.mark.parametrize(
    "shape",
    [disc(100, 100, 60), bar(20, 40, 300, 90), np.maximum(disc(120, 100, 70), disc(150, 100, 70)), bar(5, 5, 8, 8)],
)
def test_a_shape_without_a_neck_has_one_thick_place(shape: np.ndarray) -> None:
    assert len(thick_places(shape > 128)) == 1


def test_limbs_are_no_places() -> None:
    body = np.maximum(disc(150, 100, 70), bar(20, 95, 300, 105))
    assert len(thick_places(np.maximum(body, disc(25, 100, 12)) > 128)) == 1


def test_two_answers_are_two_subjects_that_together_are_the_whole() -> None:
    answers = Answers(LARGE, SMALL)
    first, second = separate_touching(PAIR, answers)
    assert [(len(prompts.keep), len(prompts.drop)) for prompts in answers.asked] == [(1, 0), (1, 0), (1, 1), (1, 1)]
    np.testing.assert_array_equal(first.astype(int) + second, PAIR)
    assert first[100, 60] == second[110, 235] == 255
    assert first[110, 235] == second[100, 60] == 0


def test_one_answer_to_all_points_is_one_subject() -> None:
    (whole,) = separate_touching(PAIR, Answers(PAIR))
    np.testing.assert_array_equal(whole, PAIR)


def test_a_place_whose_answer_reaches_over_the_whole_is_no_subject() -> None:
    body_alone_and_whole = Answers(LARGE, np.minimum(PAIR, 250))
    (whole,) = separate_touching(PAIR, body_alone_and_whole)
    np.testing.assert_array_equal(whole, PAIR)


@pytest.mark.parametrize(
    "objects",
    [
        (np.maximum(LARGE, disc(180, 110, 30)), SMALL),  # overlap too much
        (disc(100, 100, 25), disc(200, 110, 20)),  # explain too little
        (LARGE, disc(200, 110, 12)),  # one too small
    ],
)
def test_answers_that_are_no_two_objects_leave_the_part_whole(objects: tuple[np.ndarray, ...]) -> None:
    (whole,) = separate_touching(PAIR, Answers(*objects))
    np.testing.assert_array_equal(whole, PAIR)


def test_what_no_answer_explains_goes_with_the_nearest() -> None:
    first, second = separate_touching(PAIR, Answers(disc(100, 100, 50), disc(200, 110, 40)))
    np.testing.assert_array_equal(first.astype(int) + second, PAIR)
    assert first[100, 42] > 0 and second[110, 243] > 0


def test_shapes_that_are_one_are_not_asked_about_and_subjects_apart_stay_apart() -> None:
    answers = Answers(PAIR)
    alpha = np.maximum(disc(60, 60, 40), disc(250, 120, 55))
    large, small = separate_touching(alpha, answers)
    assert answers.asked == []
    assert large[120, 250] == small[60, 60] == 255
    np.testing.assert_array_equal(np.maximum(large, small), alpha)


def test_the_largest_comes_first_also_after_a_part_was_divided() -> None:
    alone = disc(280, 40, 36)
    parts = list(separate_touching(np.maximum(PAIR, alone), Answers(LARGE, SMALL)))
    centres = [(100, 100), (110, 200), (40, 280)]
    assert [[int(part[centre] == 255) for centre in centres] for part in parts] == np.eye(3, dtype=int).tolist()
