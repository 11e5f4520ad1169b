"""What sellers need of the page: canvases, the subject placed by hand, shadows, gradients; each seen, saved and undone."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hosting import hosting
from PIL import Image
from visiting import Page, alpha_of

from liftout import remove
from liftout.cli.cut import cut as cut_command
from liftout.options import ResultOptions
from liftout.render import render

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def frame(page: Page) -> dict[str, float]:
    """Where the subject's frame is on the screen."""
    composed(page)
    page.page.locator("#subject-frame").wait_for()
    return dict(page.page.locator("#subject-frame").bounding_box())


def composed(page: Page) -> None:
    """The stage shows what was chosen last."""
    page.page.wait_for_timeout(50)
    page.page.locator("#stage[aria-busy=false]").wait_for()


def settings(page: Page) -> dict[str, Any]:
    return dict(page.page.evaluate("JSON.parse(localStorage.getItem('liftout-preferences')).options"))


def drag(page: Page, start: tuple[float, float], by: tuple[float, float]) -> None:
    page.page.mouse.move(*start)
    page.page.mouse.down()
    page.page.mouse.move(start[0] + by[0], start[1] + by[1], steps=5)
    page.page.mouse.up()


def command_options(page: Page) -> ResultOptions:
    """What the line for the command line means, read by the command itself."""
    words = shlex.split(page.page.text_content("#command"))
    assert words[:2] == ["liftout", "cut"]
    values = cut_command.make_context("cut", words[2:]).params
    names = ResultOptions.__dataclass_fields__
    return ResultOptions(**{name: value for name, value in values.items() if name in names})


def test_a_preset_places_the_subject_and_the_command_makes_the_same_file(
    page: Page, examples: Path, tmp_path: Path
) -> None:
    page.cut(examples / "coffee.jpg")
    page.page.select_option("#canvas", "square")
    page.page.check("#shadow", force=True)
    page.page.check("#contact-shadow", force=True)
    page.page.fill("#feather", "2")
    page.pick("background", "gradient")
    page.page.select_option("#gradient-way", "135")
    page.page.locator("#spots button").nth(7).click()
    page.page.fill("#subject-size", "60")
    image = page.picture(tmp_path)
    assert image.size == (1080, 1080)
    options = command_options(page)
    assert (options.canvas, options.position, options.subject_size, options.feather) == ("1080x1080", "50%,100%", 60, 2)
    expected = np.asarray(Image.open(io.BytesIO(render(remove(examples / "coffee.jpg"), options).content)))
    away = np.abs(np.asarray(image).astype(int) - expected)
    assert (away > 1).mean() < 0.001

    for _ in range(3):
        page.page.click("#undo")
    assert settings(page)["subjectSize"] == 100
    assert settings(page)["gradientWay"] == "180"
    page.page.select_option("#canvas", "passport")
    assert page.picture(tmp_path).info["dpi"] == pytest.approx((300, 300), abs=0.01)
    assert "413" in page.page.inner_text("#canvas-facts")
    page.page.select_option("#canvas", "own")
    page.page.select_option("#canvas-unit", "px")
    page.page.fill("#canvas-width", "320")
    page.page.fill("#canvas-height", "200")
    page.page.press("#canvas-height", "Enter")
    page.pick("background", "none")
    own = page.picture(tmp_path)
    assert (own.size, own.mode) == ((320, 200), "RGBA")


def test_the_subject_is_moved_and_sized_by_hand_and_by_keys(page: Page, examples: Path) -> None:
    page.cut(examples / "coffee.jpg")
    page.page.select_option("#canvas", "story")
    before = frame(page)
    middle = (before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    drag(page, middle, (0, 60))
    moved = frame(page)
    assert moved["y"] == pytest.approx(before["y"] + 60, abs=2)
    corner = (moved["x"] + moved["width"], moved["y"])
    drag(page, corner, (-60, 60))
    smaller = frame(page)
    assert smaller["width"] == pytest.approx(moved["width"] - 60, abs=5)
    assert smaller["x"] == pytest.approx(moved["x"], abs=3)
    assert smaller["y"] + smaller["height"] == pytest.approx(moved["y"] + moved["height"], abs=3)

    page.page.focus("#subject-frame")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        page.page.keyboard.press(key)
    after = frame(page)
    assert after["x"] > smaller["x"]
    assert after["y"] < smaller["y"]
    assert "%" in page.page.inner_text("#announcer")
    size = settings(page)["subjectSize"]
    page.page.keyboard.press("+")
    assert settings(page)["subjectSize"] == size + 2
    page.page.focus("#margin-handle")
    page.page.keyboard.press("PageUp")
    assert settings(page)["margin"] == 140

    for _ in range(10):
        if page.page.locator("#undo").is_disabled() or settings(page)["position"] == "50%,50%":
            break
        page.page.click("#undo")
    assert frame(page) == pytest.approx(before, abs=1)
    page.page.click("#undo")
    page.page.locator("#subject-frame").wait_for(state="hidden")
    page.page.click("#redo")
    assert frame(page) == pytest.approx(before, abs=1)


@pytest.mark.long
def test_brushes_work_on_the_photo_while_there_is_a_canvas(page: Page, examples: Path, tmp_path: Path) -> None:
    page.cut(examples / "coffee.jpg")
    page.page.select_option("#canvas", "square")
    frame(page)
    page.pick("background", "none")
    whole = alpha_of(page.picture(tmp_path))
    page.pick("tool", "erase")
    page.page.locator("#subject-frame").wait_for(state="hidden")
    page.stroke("erase", (0.4, 0.5), (0.6, 0.5))
    page.pick("tool", "look")
    frame(page)
    erased = alpha_of(page.picture(tmp_path))
    assert erased.shape == whole.shape
    assert (whole.astype(int) - erased).max() == 255
    page.page.click("#undo")
    assert np.array_equal(alpha_of(page.picture(tmp_path)), whole)


def test_a_phone_places_the_subject_with_a_finger(opened: Callable[..., Page], place: Path, examples: Path) -> None:
    with hosting(place) as host:
        page = opened(host.address, **PHONE)
        page.cut(examples / "coffee.jpg")
        page.page.select_option("#canvas", "story")
        before = frame(page)
        touch = page.page.context.new_cdp_session(page.page)
        x, y = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
        for kind, at in (("touchStart", y), ("touchMove", y + 20), ("touchMove", y + 40), ("touchEnd", None)):
            points = [] if at is None else [{"x": x, "y": at}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.page.wait_for_function(
            "JSON.parse(localStorage.getItem('liftout-preferences')).options.position !== '50%,50%'"
        )
        assert frame(page)["y"] == pytest.approx(before["y"] + 40, abs=3)
        assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert not page.errors


@pytest.mark.long
def test_what_the_stage_shows_is_what_the_file_holds(page: Page, examples: Path, tmp_path: Path) -> None:
    page.cut(examples / "coffee.jpg")
    page.page.select_option("#canvas", "square")
    page.page.check("#shadow", force=True)
    frame(page)
    page.pick("background", "colour")
    composed(page)
    page.page.evaluate(
        "for (const id of ['subject-frame', 'margin-frame', 'margin-handle']) document.getElementById(id).style.opacity = 0"
    )
    box = page.page.locator("#scene").locator("xpath=..").bounding_box()
    clip = {key: box[key] for key in ("x", "y", "width", "height")}
    seen = Image.open(io.BytesIO(page.page.screenshot(clip=clip))).convert("RGB")
    saved = page.picture(tmp_path).convert("RGB").resize(seen.size)
    away = np.abs(np.asarray(seen).astype(int) - np.asarray(saved)).mean(axis=2)
    assert away.mean() < 3, json.dumps(settings(page))
