"""What a user says of the subject is read, resolved against the photo, and checked."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from liftout.errors import UsageError
from liftout.prompts import MOST_POINTS, Asked, Prompts, parse_box, parse_point

SIZE = (200, 400)
"""Rows and columns of the photo."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("300,200", (300, 200)),
        ("40%,25%", (160, 50)),
        (" 12.5 , 50% ", (12.5, 100)),
        ("0,0", (0, 0)),
        ("100%,100%", (400, 200)),
    ],
)
def test_a_point_is_in_pixels_or_percent(text: str, expected: tuple[float, float]) -> None:
    assert parse_point(text).at(SIZE) == expected


def test_each_part_of_a_box_is_in_pixels_or_percent() -> None:
    assert parse_box("10,5%,50%,190").at(SIZE) == (10, 10, 200, 190)


@pytest.mark.parametrize(
    "text", ["", "1", "1,2,3", "a,b", "1;2", "1,", "nan,1", "inf,2", "1e999,1", "5%%,1", "1_0,2", "%,1"]
)
def test_text_that_is_no_point_is_answered_with_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_point(text, "drop")
    assert str(caught.value) == f"drop `{text}` is not a point; give X,Y in pixels or percent, as in 300,200 or 40%,25%"


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,3,inf"])
def test_text_that_is_no_box_is_answered_with_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="is not a box; give LEFT,TOP,RIGHT,BOTTOM") as caught:
        parse_box(text)
    assert caught.value.field == "box"
    assert "\n" not in str(caught.value)


def test_what_a_caller_gives_is_resolved_against_the_photo() -> None:
    start = np.zeros(SIZE, np.uint8)
    asked = Asked.of(keep=["40%,25%", (300, 20.5)], drop=np.array([[1, 2]]), box="0,0,50%,50%", start=start)
    prompts = asked.at(SIZE)
    assert prompts.keep == ((160, 50), (300, 20.5))
    assert prompts.drop == ((1, 2),)
    assert prompts.box == (0, 0, 200, 100)
    assert prompts.start is start
    assert Asked.of(keep="40%,25%").at(SIZE).keep == ((160, 50),)


def test_a_start_may_be_a_picture_or_a_mask() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(Asked.of(start=Image.fromarray(grey)).at((3, 4)).start, grey)  # type: ignore[arg-type]
    assert np.array_equal(Asked.of(start=grey > 5).at((3, 4)).start, np.where(grey > 5, 255, 0))  # type: ignore[arg-type]


def test_prompts_say_whether_there_are_any() -> None:
    assert not Prompts()
    assert not Asked.of()
    for given in (
        {"keep": [(0, 0)]},
        {"drop": [(0, 0)]},
        {"box": (0, 0, 1, 1)},
        {"start": np.zeros(SIZE, np.uint8)},
    ):
        asked = Asked.of(**given)  # type: ignore[arg-type]
        assert asked
        assert asked.at(SIZE)


def test_prompts_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Prompts().keep = ((1, 1),)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("prompts", "line"),
    [
        (
            Prompts(keep=((401, 10),)),
            "keep 401,10 lies outside the photo, which is 400x200 pixels; x goes from 0 to 400, y from 0 to 200",
        ),
        (
            Prompts(drop=((10, -0.5),)),
            "drop 10,-0.5 lies outside the photo, which is 400x200 pixels; x goes from 0 to 400, y from 0 to 200",
        ),
        (
            Prompts(box=(0, 0, 400, 201)),
            "box 0,0,400,201 lies outside the photo, which is 400x200 pixels; x goes from 0 to 400, y from 0 to 200",
        ),
        (
            Prompts(box=(50, 10, 50, 20)),
            "box 50,10,50,20 is empty; give LEFT,TOP,RIGHT,BOTTOM with left below right and top below bottom",
        ),
        (
            Prompts(box=(60, 10, 50, 20)),
            "box 60,10,50,20 is empty; give LEFT,TOP,RIGHT,BOTTOM with left below right and top below bottom",
        ),
        (
            Prompts(keep=((float("nan"), 1),)),
            "keep has (nan, 1); give X,Y in pixels or percent, as in 300,200 or 40%,25%",
        ),
        (
            Prompts(start=np.zeros((400, 200), np.uint8)),
            "start is 200x400 pixels, the photo is 400x200; give an alpha of the upright photo's size",
        ),
        (
            Prompts(start=np.zeros((200, 400), np.float32)),  # type: ignore[arg-type]
            "start is float32 [200, 400]; give an alpha, uint8 [height, width]",
        ),
        (
            Prompts(keep=((1.0, 1.0),) * (MOST_POINTS + 1)),
            "keep has 1001 points; give at most 1000",
        ),
    ],
)
def test_prompts_that_do_not_fit_are_one_clear_line(prompts: Prompts, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        prompts.check(SIZE)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"keep": (300, 200)}, "keep has (300); give a list of points, as in [(300, 200)] or ['40%,25%']"),
        ({"keep": 300}, "keep is 300; give a list of points, as in [(300, 200)]"),
        ({"drop": [(1, "b")]}, "drop has (1, 'b'); give a list of points, as in [(300, 200)] or ['40%,25%']"),
        ({"drop": [(1, True)]}, "drop has (1, True); give a list of points, as in [(300, 200)] or ['40%,25%']"),
        (
            {"box": (1, 2, 3)},
            "box has (1, 2, 3); give LEFT,TOP,RIGHT,BOTTOM in pixels or percent, as in 10,20,300,400 or 5%,10%,60%,90%",
        ),
        ({"start": "alpha.png"}, "start is str; give an alpha, uint8 [height, width]"),
        ({"start": np.zeros((3, 3, 3), np.uint8)}, "start is uint8 [3, 3, 3]; give an alpha, uint8 [height, width]"),
        ({"keep": [(1, 1)] * (MOST_POINTS + 1)}, "keep has 1001 points; give at most 1000"),
    ],
)
def test_what_has_another_form_is_one_clear_line(given: dict[str, object], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        Asked.of(**given)  # type: ignore[arg-type]
    assert str(caught.value) == line


def test_the_corners_and_borders_of_a_photo_are_inside() -> None:
    Prompts(keep=((0, 0), (400, 200)), box=(0, 0, 400, 200)).check(SIZE)


def test_what_was_said_is_described_as_json_that_is_read_again() -> None:
    asked = Asked.of(keep=["40%,25.5%", (300, 20.1)], drop="1,2", box="0,0,50%,1e2")
    described = asked.described()
    assert described == {"keep": ["40.0%,25.5%", "300.0,20.1"], "drop": ["1.0,2.0"], "box": "0.0,0.0,50.0%,100.0"}
    again = Asked.of(**json.loads(json.dumps(described)))
    assert (again.keep, again.drop, again.box) == (asked.keep, asked.drop, asked.box)
    assert Asked.of(keep=[(1, 2)]).described() == Asked.of(keep=[" 1.0 , 2"]).described() == {"keep": ["1.0,2.0"]}
    assert Asked().described() == {}
