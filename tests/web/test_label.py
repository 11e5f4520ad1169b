"""`liftout tune label` in a real browser: the model answers, a person corrects, the mask is on disk, the next photo comes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from visiting import Page

from liftout import remove


@pytest.fixture
def photos(tmp_path: Path, examples: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("coffee", "officer"):
        with Image.open(examples / f"{name}.jpg") as photo:
            photo.save(folder / f"{name}.jpg")
    return folder


@pytest.fixture
def address(chromium: str, photos: Path) -> Iterator[str]:
    """What the command prints."""
    command = [sys.executable, "-u", "-m", "liftout", "tune", "label", str(photos), "--port", "0", "--threads", "1"]
    running = subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert running.stdout is not None
    told = [running.stdout.readline(), running.stdout.readline()]
    reading = threading.Thread(target=running.stdout.read, daemon=True)
    reading.start()
    assert told[0] == "2 of 2 photos have no mask; open\n"
    try:
        yield told[1].strip()
    finally:
        running.terminate()
        assert running.wait(60) in (0, 130)
        reading.join()
        running.stdout.close()


def test_masks_are_corrected_and_saved_beside_the_photos(
    browser: Any, address: str, photos: Path, tmp_path: Path
) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?label=[\w-]+", address)
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = Page(context.new_page(), address)
    page.wait("done", 2)
    save = page.page.locator("#label button").first
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    name = page.page.text_content("#photo-name")
    assert name is not None
    page.stroke("erase", (0.1, 0.5), (0.9, 0.5))
    save.click()
    page.page.wait_for_selector("#label p:has-text('1 of 2 photos have no mask')")
    with Image.open(photos / f"{Path(name).stem}-mask.png") as mask, Image.open(photos / name) as photo:
        assert (mask.mode, mask.size) == ("L", photo.size)
        levels = np.asarray(mask)
    middle = levels[levels.shape[0] // 2]
    assert middle[round(0.2 * len(middle)) : round(0.8 * len(middle))].max() < 10  # the stroke went through it
    assert levels.max() > 200
    assert page.count("done") == 1

    name = page.page.text_content("#photo-name")
    assert name is not None
    seen = remove(photos / name).alpha
    rows, columns = np.nonzero(ndimage.binary_erosion(seen > 250, iterations=8))
    row, column = int(rows[len(rows) // 2]), int(columns[len(rows) // 2])
    page.pick("tool", "point")
    page.page.locator("#pointing-wait").wait_for(state="visible")  # the next photo is on the stage
    page.page.locator("#pointing-wait").wait_for(state="hidden")
    page.page.mouse.click(*page.at(column / seen.shape[1], row / seen.shape[0]), button="right")
    page.page.locator(".mark-point.drops").wait_for()
    page.page.keyboard.press("Control+s")  # before the answer to the point is there
    page.page.wait_for_selector("#notice:has-text('All 2 photos have masks')")
    with Image.open(photos / f"{Path(name).stem}-mask.png") as mask:
        dropped = np.asarray(mask)
    assert dropped[row, column] < 128
    assert (dropped > 128).sum() < (seen > 128).sum()
    masks = sorted(path.name for path in photos.iterdir() if path.name not in before)
    assert masks == ["coffee-mask.png", "officer-mask.png"]
    assert {name: (photos / name).read_bytes() for name in before} == before
    assert page.errors == []
    page.page.goto(re.sub(r"\?label=.*", "?label=wrong", address))
    page.page.wait_for_selector("#notice:has-text('open the address that')")
    context.close()
