"""Subjects as layers: told apart, left out and taken back, and saved as files of their own, equal to `--subjects each`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hosting import hosting
from PIL import Image
from visiting import Page, alpha_of, two_subjects

from liftout import Remover
from liftout.models import packs
from liftout.options import ResultOptions
from liftout.render import render_each


@pytest.fixture(autouse=True)
def _needs_the_network() -> None:
    if packs.built_in("points") is None:
        pytest.skip("needs the network that reads points and boxes")


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    return two_subjects(examples, tmp_path_factory.mktemp("layers") / "pair.png")


def apart(page: Page, photo: Path) -> None:
    """Cut a photo and tell its subjects apart."""
    page.cut(photo)
    page.page.check("#each", force=True)
    page.page.locator("#layers li").nth(1).wait_for()
    page.page.locator(".layer-number").nth(1).wait_for()


def test_each_subject_is_a_file_equal_to_pythons(page: Page, pair: Path, tmp_path: Path) -> None:
    apart(page, pair)
    assert page.page.inner_text("#download") == "Download 2 files"
    assert "--subjects each" in str(page.page.text_content("#command"))
    page.page.check("#crop", force=True)
    page.pick("background", "colour")
    with zipfile.ZipFile(page.saved("#download", tmp_path)) as members:
        assert members.namelist() == ["pair-cutout-1.png", "pair-cutout-2.png"]
        files = [members.read(name) for name in members.namelist()]
    one = page.saved("#layers li:nth-child(2) .icon", tmp_path)
    assert one.name == "pair-cutout-2.png"
    assert one.read_bytes() == files[1]

    options = ResultOptions(subjects="each", crop=True, background="#ffffff")
    with Remover() as remover:
        cutout = remover(pair)
        expected = [picture.content for _, picture in render_each(cutout, options, subjects=remover.subjects(cutout))]
    assert len(expected) == 2
    for found, wanted in zip(files, expected, strict=True):
        mine, theirs = (np.asarray(Image.open(io.BytesIO(content))).astype(int) for content in (found, wanted))
        assert mine.shape == theirs.shape
        assert (np.abs(mine - theirs) > 1).mean() < 0.001


def test_a_subject_is_left_out_and_taken_back_by_click_keys_and_undo(page: Page, pair: Path, tmp_path: Path) -> None:
    apart(page, pair)
    page.page.uncheck("#each", force=True)
    whole = alpha_of(page.picture(tmp_path))
    assert whole[250, 170] == whole[200, 560] == 255
    page.page.check("#each", force=True)
    page.page.locator(".layer-number").nth(1).wait_for()

    page.page.mouse.click(*page.at(560 / 720, 200 / 400))
    page.page.locator(".layer-pick[aria-pressed=false]").wait_for()
    page.page.wait_for_function("document.getElementById('announcer').textContent.trim() === 'Subject 2 left out'")
    assert page.page.locator(".layer-ghost:visible").count() == 1
    cup = page.saved("#download", tmp_path)
    assert cup.name == "pair-cutout-1.png"
    page.page.uncheck("#each", force=True)
    alone = alpha_of(page.picture(tmp_path))
    assert alone[250, 170] == 255
    assert alone[:, 400:].max() < 128
    page.page.click("#undo")  # the switch
    page.page.click("#undo")  # the subject
    page.page.locator(".layer-pick[aria-pressed=true]").nth(1).wait_for()
    page.page.uncheck("#each", force=True)
    assert np.array_equal(alpha_of(page.picture(tmp_path)), whole)

    page.page.check("#each", force=True)
    page.page.focus("#layers li:nth-child(1) .layer-pick")
    page.page.keyboard.press("Space")
    first = page.page.locator("#layers li:nth-child(1) .layer-pick")
    assert first.get_attribute("aria-pressed") == "false"
    assert first.get_attribute("aria-label") == "Subject 1 of 2, left out: press to take it back"
    page.page.keyboard.press("Space")
    assert first.get_attribute("aria-pressed") == "true"
    page.page.uncheck("#each", force=True)
    assert np.array_equal(alpha_of(page.picture(tmp_path)), whole)


def test_what_was_left_out_stays_where_a_brush_changes_the_rest(
    page: Page, pair: Path, examples: Path, tmp_path: Path
) -> None:
    apart(page, pair)
    page.page.click("#layers li:nth-child(2) .layer-pick")
    page.page.locator(".layer-pick[aria-pressed=false]").wait_for()
    page.stroke("erase", (170 / 720, 0.2), (170 / 720, 1))  # through the cup
    page.pick("tool", "look")
    page.page.wait_for_function("document.querySelectorAll('#layers li').length === 3")
    pressed = [item.get_attribute("aria-pressed") for item in page.page.locator(".layer-pick").all()]
    assert pressed == ["true", "true", "false"]
    page.cut(examples / "cat.jpg")
    with zipfile.ZipFile(page.saved("#zip", tmp_path)) as members:
        assert members.namelist() == ["pair-cutout-1.png", "pair-cutout-2.png", "cat-cutout-1.png"]


def test_a_model_is_chosen_by_what_it_is_for(opened: Callable[..., Page], place: Path, examples: Path) -> None:
    rows = {row["name"]: row for row in json.loads((place / "packs" / "index.json").read_text())}
    rows["blocks"]["model"] = "birefnet-portrait"
    rows["opaque"] = {**rows["blocks"], "name": "opaque", "model": "birefnet-hr", "peak_bytes": 9 * 2**30}
    rows["paid"]["model"] = "toonout"
    listed = json.dumps(list(rows.values())).encode()
    with hosting(place) as host:
        host.faults["packs/index.json"] = lambda handler: handler.answer(listed)
        page = opened(host.address)
        select = page.page.locator("#welcome [data-purpose]")
        offered = select.locator("option").all_inner_texts()
        assert offered == ["Not chosen", "People", "Hair", "Fast"], "as far as there are models"
        select.select_option("people")
        assert page.page.inner_text("#welcome [data-model-name]") == "blocks"
        page.cut(examples / "cat.jpg")
        assert "blocks" in page.page.inner_text("#photo-facts")

        page.page.reload()
        page.ready()
        assert page.page.locator("#work [data-purpose]").input_value() == "people"
        page.page.click("#work [data-models]")
        assert page.page.locator("#purpose-list li").count() == 3
        assert "Portraits and whole people" in page.page.inner_text("#purpose-list")
        page.page.locator("#model-list > li", has_text="paid").last.get_by_role("checkbox").check()
        page.page.get_by_role("button", name="Use: Anime").click()
        assert page.page.inner_text("#work [data-model-name]") == "paid"
        page.page.click("#work [data-models]")
        page.page.get_by_role("button", name="Use this model: pocket").click()
        assert page.page.locator("#work [data-purpose]").input_value() == ""
        assert not page.errors
