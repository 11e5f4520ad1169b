"""Points and boxes: the same alphas in the browser as in Python, and the Point tool of the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Visit
from PIL import Image
from test_pixels import png
from visiting import Page, alpha_of

from liftout import remove
from liftout.models import packs

PROMPTS: list[dict[str, Any]] = [
    {"keep": [[300, 200]]},
    {"keep": ["50%,50%", "10%,10%"], "drop": [[500, 350]]},
    {"box": [150, 60, 420, 300]},
    {"box": "20%,10%,80%,90%", "drop": [[300, 200]]},
    {"drop": [[300, 200]]},
    {"keep": [[300, 200]], "edges": "plain"},
]


@pytest.fixture(autouse=True)
def _needs_the_network() -> None:
    if packs.built_in("points") is None:
        pytest.skip("needs the network that reads points and boxes")


def test_prompts_give_the_alphas_of_python(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str], examples: Path
) -> None:
    with Image.open(examples / "coffee.jpg") as image:
        photo = png(np.asarray(image.convert("RGB")))
    found = visit().run(
        """
        const lifter = await Lifter.load({ onnx: "/pocket.onnx", like: "pocket" });
        const file = await photo(argument[0]);
        const result = [];
        const first = await lifter.cut(file);
        for (const prompts of argument[1]) result.push(await bytesOf(new Blob([(await lifter.cut(file, prompts)).alpha])));
        const corrected = await lifter.point(file, { start: first.alpha.slice(), drop: [[300, 200]], keep: [[20, 20]] });
        result.push(await bytesOf(new Blob([corrected.alpha])));
        const again = await lifter.point(file, { start: new Blob([first.alpha]), drop: [[300, 200]], keep: [[20, 20]] });
        if (again.alpha.some((level, i) => level !== corrected.alpha[i])) throw new Error("the same question, another answer");
        const refused = [];
        for (const wrong of [{ keep: [[700, 10]] }, { keep: [[1]] }, { box: [10, 10, 5, 20] }, { drop: "here" }]) {
          refused.push(await lifter.point(file, wrong).then(() => "", (error) => `${error.name}: ${error.message}`));
        }
        return [result, refused];
        """,
        [put_photo("pointed.png", photo), PROMPTS],
    )
    assert isinstance(found, list), found
    start = remove(photo).alpha
    expected = [remove(photo, **prompts) for prompts in PROMPTS]
    expected.append(remove(photo, start=start, drop=[(300, 200)], keep=[(20, 20)]))
    for content, cutout, prompts in zip(found[0], expected, [*PROMPTS, "start"], strict=True):
        alpha = np.frombuffer(content.encode("latin1"), np.uint8).reshape(cutout.alpha.shape)
        away = np.abs(alpha.astype(int) - cutout.alpha)
        assert (away > 1).mean() < 0.001, (prompts, away.max(), (away > 1).mean())
    for line in found[1]:
        assert line.startswith("UsageError: "), line


def said(page: Page) -> None:
    """The answer is on the stage."""
    page.page.wait_for_timeout(100)
    page.page.locator("#pointing-wait").wait_for(state="hidden")


def marks(page: Page) -> int:
    return int(page.page.locator(".mark-point:visible").count())


def test_clicks_keep_and_drop_and_can_be_undone(page: Page, examples: Path, tmp_path: Path) -> None:
    page.cut(examples / "coffee.jpg")
    whole = alpha_of(page.picture(tmp_path))
    page.pick("tool", "point")
    said(page)
    page.page.mouse.click(*page.at(0.5, 0.5), button="right")
    page.page.locator(".mark-point.drop").wait_for()
    said(page)
    dropped = alpha_of(page.picture(tmp_path))
    assert dropped[200, 300] < 128 < whole[200, 300]
    page.page.keyboard.down("Alt")
    page.page.mouse.click(*page.at(0.3, 0.6))
    page.page.keyboard.up("Alt")
    said(page)
    assert marks(page) == 2
    page.page.click("#undo")
    page.page.click("#undo")
    assert marks(page) == 0
    assert np.array_equal(alpha_of(page.picture(tmp_path)), whole)
    page.page.click("#redo")
    assert marks(page) == 1
    assert np.array_equal(alpha_of(page.picture(tmp_path)), dropped)

    mark = page.page.locator(".mark-point")
    box = mark.bounding_box()
    at = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.page.mouse.move(*at)
    page.page.mouse.down()
    page.page.mouse.move(at[0] - 60, at[1] + 20, steps=5)
    page.page.mouse.up()
    said(page)
    assert mark.bounding_box()["x"] == pytest.approx(box["x"] - 60, abs=2)
    mark.click()
    said(page)
    assert marks(page) == 0
    assert np.array_equal(alpha_of(page.picture(tmp_path)), whole)


def test_keys_and_a_finger_can_point_and_a_drag_is_a_box(page: Page, examples: Path, tmp_path: Path) -> None:
    page.cut(examples / "coffee.jpg")
    whole = alpha_of(page.picture(tmp_path))
    page.pick("tool", "point")
    said(page)
    page.pick("mark", "drop")
    page.page.focus("#stage")
    for key in ("ArrowRight", "ArrowDown", "Space"):
        page.page.keyboard.press(key)
    page.page.locator(".mark-point.drop").wait_for()
    said(page)
    assert "%" in page.page.inner_text("#announcer")
    assert "from the left" in str(page.page.locator(".mark-point").get_attribute("aria-label"))
    page.page.focus(".mark-point")
    page.page.keyboard.press("Delete")
    said(page)
    assert marks(page) == 0

    page.page.mouse.move(*page.at(0.2, 0.1))
    page.page.mouse.down()
    page.page.mouse.move(*page.at(0.9, 0.9), steps=6)
    page.page.mouse.up()
    page.page.locator(".mark-box-drop").wait_for()
    said(page)
    boxed = alpha_of(page.picture(tmp_path))
    assert not boxed[:, :80].any()
    page.page.click(".mark-box-drop")
    said(page)
    assert np.array_equal(alpha_of(page.picture(tmp_path)), whole)
