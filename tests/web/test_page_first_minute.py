"""The first minute on the page: something to try, what to do where the result is not yet right, and no words of engineers."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hosting import hosting
from PIL import Image
from visiting import Page, alpha_of


def test_a_visitor_without_a_photo_has_one_to_try(page: Page) -> None:
    page.page.wait_for_function("[...document.querySelectorAll('.demo img')].every((image) => image.naturalWidth > 0)")
    shown = "getComputedStyle(document.querySelector('.demo-after')).clipPath"
    before = page.page.evaluate(shown)
    page.page.focus("#demo-split")
    page.page.keyboard.press("PageUp")
    assert page.page.evaluate(shown) != before
    page.page.click("[data-sample='coffee.jpg']")
    page.wait("done")
    assert page.page.inner_text("#photo-name") == "coffee.jpg"


def test_holes_are_filled_and_what_is_not_the_subject_goes(page: Page, examples: Path, tmp_path: Path) -> None:
    page.cut(examples / "coffee.jpg")
    page.page.click("[data-repair=largest]")
    page.page.click("[data-repair=fill]")  # so that the hole below is the only one
    whole = alpha_of(page.picture(tmp_path))
    page.pick("tool", "erase")
    page.page.fill("#brush-size", "20")
    page.stroke("erase", (0.48, 0.5), (0.52, 0.5))
    assert alpha_of(page.picture(tmp_path))[200, 300] == 0
    page.page.click("[data-repair=fill]")
    assert abs(alpha_of(page.picture(tmp_path)).astype(int) - whole).max() == 0
    page.page.click("#undo")
    assert alpha_of(page.picture(tmp_path))[200, 300] == 0
    page.page.click("#redo")

    corner = (3 / 600, 3 / 400)
    assert whole[:30, :40].max() == 0
    page.stroke("restore", corner, (0.01, 0.01))
    assert alpha_of(page.picture(tmp_path))[3, 4] == 255
    page.page.click("[data-repair=largest]")
    kept = alpha_of(page.picture(tmp_path))
    assert kept[:30, :40].max() == 0
    assert kept[200, 300] == 255

    page.page.click("[data-repair=softer]")
    soft = alpha_of(page.picture(tmp_path))
    page.page.click("[data-repair=harder]")
    page.page.click("[data-repair=harder]")
    hard = alpha_of(page.picture(tmp_path))
    between = [((image > 0) & (image < 255)).sum() for image in (soft, kept, hard)]
    assert between[0] > between[1]
    assert between[0] > between[2]


def test_no_subject_is_a_verdict_and_stays_out_of_the_zip(page: Page, examples: Path, tmp_path: Path) -> None:
    Image.new("RGB", (120, 80), "teal").save(tmp_path / "plain.png")
    page.cut(examples / "cat.jpg", examples / "coffee.jpg", tmp_path / "plain.png")
    page.page.click("#strip li:nth-child(3) .thumb")
    assert page.page.inner_text("#verdict-title") == "No subject found"
    assert "No subject" in page.page.inner_text("#photo-facts")
    with zipfile.ZipFile(page.saved("#zip", tmp_path)) as members:
        assert members.namelist() == ["cat-cutout.png", "coffee-cutout.png"]
    page.page.click("#keep-empty")
    assert page.page.locator("#verdict").is_hidden()
    with zipfile.ZipFile(page.saved("#zip", tmp_path)) as members:
        assert "plain-cutout.png" in members.namelist()


@pytest.mark.long
def test_a_better_model_is_offered_in_plain_words(opened: Callable[..., Page], place: Path, examples: Path) -> None:
    listed = json.loads((place / "packs" / "index.json").read_text())
    for row in listed:
        if row["name"] == "blocks":
            row.update(bytes=180_000_000, summary="General objects, fine structures")
    with hosting(place) as host:
        host.faults["packs/index.json"] = lambda handler: handler.answer(json.dumps(listed).encode())
        page = opened(host.address)
        page.cut(examples / "cat.jpg")
        page.page.locator("#offer").wait_for()
        text = page.page.inner_text("#offer")
        assert "General objects, fine structures" in text
        assert "180 MB to download" in text
        assert "s here" in text, "what the present model took"
        shown = page.page.inner_text("body")
        assert not [word for word in ("WASM", "WebAssembly", "WebGPU", "fp32", "thread") if word in shown]
        page.page.click("#offer-take")
        page.page.wait_for_function("document.getElementById('photo-facts').textContent.includes('blocks')")
        page.page.click("#work [data-models]")
        row = page.page.locator("#model-list > li", has_text="blocks")
        assert row.inner_text().startswith("General objects, fine structures")
        assert "s a photo on this device" in row.inner_text()
        assert not page.errors
