"""Files in and out of the page: folders, formats that a browser does not know, and what is seen while one is written."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from visiting import Page


def test_a_folder_is_dropped_with_what_lies_in_it(page: Page, examples: Path, tmp_path: Path) -> None:
    inner = tmp_path / "holiday" / "first day"
    inner.mkdir(parents=True)
    shutil.copyfile(examples / "cat.jpg", inner / "photo 10.jpg")
    shutil.copyfile(examples / "coffee.jpg", tmp_path / "holiday" / "photo 9.jpg")
    (tmp_path / "holiday" / "notes.txt").write_text("no photo")
    client = page.page.context.new_cdp_session(page.page)
    data = {"items": [], "files": [str(tmp_path / "holiday")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        client.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": data})
    page.wait("done", 2)
    names = page.page.locator("#strip .thumb").evaluate_all("(all) => all.map(({ title }) => title)")
    assert names == ["photo 9.jpg", "photo 10.jpg"]


def test_a_photo_that_no_browser_reads_says_so_and_can_be_removed(page: Page, tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    photo = tmp_path / "IMG_0001.HEIC"
    heif.from_pillow(Image.new("RGB", (64, 48), "teal")).save(photo)
    page.give(photo)
    page.wait("failed")
    assert "is a HEIC photo, which this browser cannot read; save it as JPEG" in page.page.inner_text("#verdict-text")
    assert page.page.locator("#retry").is_hidden()
    page.page.click("#discard")
    assert page.page.locator("#welcome").is_visible()


def test_jpeg_shows_its_white_and_copying_is_seen(page: Page, examples: Path) -> None:
    page.cut(examples / "cat.jpg")
    backdrop = "getComputedStyle(document.getElementById('backdrop')).backgroundColor"
    assert page.page.evaluate(backdrop) == "rgba(0, 0, 0, 0)"
    page.pick("format", "jpeg")
    assert page.page.evaluate(backdrop) == "rgb(255, 255, 255)"
    page.pick("format", "png")
    assert page.page.evaluate(backdrop) == "rgba(0, 0, 0, 0)"
    page.page.evaluate(
        """() => {
          window.said = [];
          const label = document.querySelector("#copy span");
          new MutationObserver(() => said.push(label.textContent)).observe(label, { childList: true });
        }"""
    )
    page.page.check("#crop", force=True)
    page.page.click("#copy")
    page.page.wait_for_function("document.getElementById('notice').textContent === 'Copied'")
    assert "Copying…" in page.page.evaluate("said")
    assert page.page.inner_text("#copy") == "Copy"


@pytest.mark.long
def test_the_command_makes_the_same_file(page: Page, examples: Path, tmp_path: Path) -> None:
    photo = tmp_path / "my cat's photo.jpg"
    shutil.copyfile(examples / "cat.jpg", photo)
    page.cut(photo)
    page.pick("background", "colour")
    page.page.click("#swatches button:nth-child(3)")
    page.page.check("#crop", force=True)
    page.page.fill("#margin", "12")
    (tmp_path / "ours").mkdir()
    ours = page.saved("#download", tmp_path / "ours")
    words = shlex.split(str(page.page.text_content("#command")))
    assert words[:3] == ["liftout", "cut", photo.name]
    done = subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Image.open(ours) as mine, Image.open(tmp_path / ours.name) as theirs:
        assert mine.size == theirs.size
        away = np.abs(np.asarray(mine.convert("RGB")).astype(int) - np.asarray(theirs.convert("RGB")))
    assert (away > 2).mean() < 0.001  # decoders of JPEG differ by a level here and there
