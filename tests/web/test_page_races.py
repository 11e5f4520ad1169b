"""What a hand did on the page is never lost: strokes before and while things get ready, and files that leave at once."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hosting import hosting
from PIL import Image
from visiting import Page, alpha_of

SLOW_DECODE = """
  const decode = self.createImageBitmap;
  self.createImageBitmap = async (source, ...rest) => {
    const bitmap = await decode.call(self, source, ...rest);
    if (source.type === "image/png") await new Promise((go) => setTimeout(go, %d));
    return bitmap;
  };
"""
"""Reading a cutout takes as long as it does for a large photo on a small machine, in the page and in its worker."""


@pytest.fixture
def slow_page(opened: Callable[..., Page], place: Path) -> Iterator[Callable[[int], Page]]:
    """Open the page where reading a cutout takes so many milliseconds more."""
    with hosting(place) as host:
        visits = []

        def open_(milliseconds: int) -> Page:
            visit = opened(host.address, service_workers="block")  # it would fetch the worker past the route below
            code = SLOW_DECODE % milliseconds
            visit.page.evaluate(f"() => {{{code}}}")
            visit.page.route(
                "**/page-worker.js",
                lambda route: route.fulfill(response=(answer := route.fetch()), body=code + answer.text()),
            )
            visits.append(visit)
            return visit

        yield open_
        assert not any(visit.errors for visit in visits)


def quick_stroke(page: Page, tool: str, *points: tuple[float, float]) -> None:
    """Choose a brush and paint at once, without waiting for anything."""
    page.pick("tool", tool)
    page.page.mouse.move(*page.at(*points[0]))
    page.page.mouse.down()
    for point in points[1:]:
        page.page.mouse.move(*page.at(*point), steps=6)
    page.page.mouse.up()


def test_files_hold_the_last_stroke(page: Page, examples: Path, tmp_path: Path) -> None:
    page.cut(examples / "cat.jpg", examples / "coffee.jpg")
    page.page.click("#strip li:nth-child(2) .thumb")
    page.page.wait_for_timeout(1000)
    quick_stroke(page, "erase", (0.4, 0.5), (0.6, 0.5))
    assert alpha_of(page.picture(tmp_path))[200, 252:346].max() == 0, "download"

    quick_stroke(page, "erase", (0.4, 0.6), (0.6, 0.6))
    page.page.click("#copy")
    page.page.wait_for_function("document.getElementById('notice').textContent === 'Copied'")
    copied = page.page.evaluate(
        """async () => {
          const [item] = await navigator.clipboard.read();
          const bitmap = await createImageBitmap(await item.getType("image/png"));
          const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
          context.drawImage(bitmap, 0, 0);
          return context.getImageData(300, 240, 1, 1).data[3];
        }"""
    )
    assert copied == 0, "copy"

    quick_stroke(page, "erase", (0.4, 0.4), (0.6, 0.4))
    page.page.click("#strip li:nth-child(1) .thumb")  # the photo leaves the stage with its stroke
    with (
        zipfile.ZipFile(page.saved("#zip", tmp_path)) as members,
        Image.open(io.BytesIO(members.read("coffee-cutout.png"))) as image,
    ):
        assert alpha_of(image)[160, 252:346].max() == 0, "zip"


@pytest.mark.long
def test_a_stroke_waits_for_its_brush(slow_page: Callable[[int], Page], examples: Path, tmp_path: Path) -> None:
    page = slow_page(6000)
    page.cut(examples / "coffee.jpg")
    page.page.wait_for_timeout(7000)  # the stage has drawn its cutout
    before = page.at(0.5, 0.5)
    page.pick("tool", "erase")
    page.page.locator("#preparing").wait_for(timeout=5000)
    quick_stroke(page, "erase", (0.4, 0.5), (0.6, 0.5))
    assert page.at(0.5, 0.5) == before, "the picture must not move under the brush"
    page.page.locator("#preparing").wait_for(state="hidden")
    page.page.wait_for_function("!document.getElementById('undo').disabled")
    assert alpha_of(page.picture(tmp_path))[200, 252:346].max() == 0


@pytest.mark.long
def test_an_undo_is_seen_at_once(slow_page: Callable[[int], Page], examples: Path) -> None:
    page = slow_page(800)
    page.cut(examples / "coffee.jpg")
    page.page.wait_for_timeout(3000)
    page.pick("tool", "erase")
    page.page.wait_for_timeout(1500)
    page.pick("background", "colour")
    page.page.click("#swatches button:nth-child(3)")
    page.page.wait_for_timeout(300)
    whole = seen(page)
    quick_stroke(page, "erase", (0.4, 0.5), (0.6, 0.5))
    page.page.wait_for_function("!document.getElementById('undo').disabled")
    page.page.mouse.move(0, 0)
    page.page.wait_for_timeout(300)
    assert differ(seen(page), whole), "the stroke is on the stage"
    page.page.wait_for_function("document.getElementById('photo-facts').textContent.includes('edited')")
    page.page.wait_for_timeout(200)  # the cutout is written, and about to be drawn again
    page.page.evaluate("document.getElementById('undo').click()")
    for _ in range(8):
        page.page.wait_for_timeout(250)
        assert not differ(seen(page), whole), "what was undone must not come back"


def seen(page: Page) -> np.ndarray[Any, Any]:
    """The middle of the picture on the screen."""
    (x, y), (right, bottom) = page.at(0.45, 0.46), page.at(0.55, 0.54)
    clip = {"x": x, "y": y, "width": right - x, "height": bottom - y}
    with Image.open(io.BytesIO(page.page.screenshot(clip=clip))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def differ(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    return bool(np.abs(one - other).mean() > 20)


@pytest.mark.long
def test_one_photo_is_cancelled_or_all_and_all_resume_at_once(page: Page, examples: Path, tmp_path: Path) -> None:
    copies = []
    for n in range(4):
        copies.append(tmp_path / f"{n}.jpg")
        copies[-1].write_bytes((examples / "cat.jpg").read_bytes())
    page.page.click("#welcome [data-models]")
    page.page.get_by_role("button", name="Use this model: slow").click()
    page.give(*copies)
    page.wait("working")
    first = page.page.inner_text("#doing-title")
    page.page.click("#cancel")
    page.page.wait_for_function(
        "first => document.querySelector('#strip li.working') && document.getElementById('doing-title').textContent !== first",
        arg=first,
    )
    assert page.count("stopped") == 1, "only the one that ran"
    page.page.click("#cancel-all")
    page.wait("stopped", 4)
    page.page.click("#work [data-models]")
    page.page.get_by_role("button", name="Use this model: pocket").click()
    assert page.page.inner_text("#resume-all") == "Cut out all 4"
    page.page.click("#resume-all")
    page.wait("done", 4)


def test_a_photo_given_while_the_page_isolates_itself_stays(
    opened: Callable[..., Page], place: Path, examples: Path
) -> None:
    give = """async (name) => {
      const bytes = await (await fetch("/cat.jpg")).arrayBuffer();
      const data = new DataTransfer();
      data.items.add(new File([bytes], name, { type: "image/jpeg" }));
      const input = document.getElementById("photo-input");
      navigator.serviceWorker.addEventListener("controllerchange", () => {
        input.files = data.files; // the page has just asked for its reload
        input.dispatchEvent(new Event("change"));
      });
    }"""
    with hosting(place, isolated=False) as host:
        content = (examples / "cat.jpg").read_bytes()
        (place / "cat.jpg").write_bytes(content)
        host.faults["sw.js"] = lambda _: time.sleep(5) is not None  # it takes over after the page is ready
        page = opened(host.address)
        page.page.evaluate(give, "chosen.jpg")
        page.wait("done")
        assert page.page.inner_text("#photo-name") == "chosen.jpg"
