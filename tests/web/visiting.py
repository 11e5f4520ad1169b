"""The page as a person has it, for the tests of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from liftout import Remover


class Page:
    """The page as a person has it: what can be chosen, pressed, seen and saved."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        page.set_default_timeout(120_000)  # the processor is shared with other tests
        page.goto(address)
        self.ready()

    def begin_anew(self) -> None:
        """Forget photos and choices, and open the page again."""
        self.page.goto(f"{self.address}icon.svg")  # of the same origin, but holds no data open
        self.page.evaluate(
            """() => new Promise((resolve, reject) => {
              localStorage.clear();
              Object.assign(indexedDB.deleteDatabase("liftout-page"), { onsuccess: resolve, onerror: reject });
            })"""
        )
        self.errors.clear()
        self.page.goto(self.address)
        self.ready()

    def ready(self) -> None:
        self.page.wait_for_selector("html[data-ready]")

    def give(self, *photos: Path) -> None:
        self.page.set_input_files("#photo-input", [str(photo) for photo in photos])

    def cut(self, *photos: Path) -> None:
        """Give photos and wait until all are done."""
        before = self.count("done")
        self.give(*photos)
        self.wait("done", before + len(photos))

    def wait(self, stage: str, count: int = 1) -> None:
        self.page.locator(f"#strip li.{stage}").nth(count - 1).wait_for()

    def count(self, stage: str) -> int:
        return int(self.page.locator(f"#strip li.{stage}").count())

    def pick(self, name: str, value: str) -> None:
        self.page.check(f"input[name={name}][value={value}]", force=True)

    def saved(self, button: str, folder: Path) -> Path:
        """The file that a button gives, on disk."""
        with self.page.expect_download() as waiting:
            self.page.click(button)
        path = folder / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path

    def picture(self, folder: Path) -> Image.Image:
        with Image.open(self.saved("#download", folder)) as image:
            image.load()
            return image

    def at(self, across: float, down: float) -> tuple[float, float]:
        """A point of the picture on the screen, in shares of its sides."""
        box = self.page.locator("#before").bounding_box()
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def stroke(self, tool: str, *points: tuple[float, float]) -> None:
        """Paint, and wait until the cutout has been written anew."""
        self.pick("tool", tool)
        before = self.page.get_attribute("#strip [aria-current=true] img", "src")
        self.page.wait_for_timeout(300)
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=6)
        self.page.mouse.up()
        self.renewed(before)

    def renewed(self, before: str | None) -> None:
        self.page.wait_for_function(
            "before => document.querySelector('#strip [aria-current=true] img').src !== before", arg=before
        )
        self.page.wait_for_timeout(100)  # it is kept a moment later

    def thumb(self) -> str | None:
        return str(self.page.get_attribute("#strip [aria-current=true] img", "src"))


def two_subjects(examples: Path, path: Path) -> Path:
    """Write a photo of two things that stand apart: a cup, and a smaller cat at its right; 720 x 400 pixels."""
    sheet = Image.new("RGB", (720, 400), (203, 210, 214))
    with Remover() as remover:
        for name, corner in (("coffee.jpg", (20, 110)), ("cat.jpg", (380, 60))):
            cutout = remover(examples / name).largest().crop().image
            cutout = cutout.resize((330, round(cutout.height * 330 / cutout.width)))
            sheet.paste(cutout, corner, cutout)
    sheet.save(path)
    return path


def alpha_of(image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(image.getchannel("A"))
