"""Make the pictures of docs/page.md from the example photos: `make screenshots`.

A site with the built-in model on loopback, a real Chromium, the page as a person has it: empty, working, done, failed, pointing, with its
subjects apart; narrow and wide, light and dark, English and Chinese. Chinese needs a Chinese font on this machine and is left out
without one.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from liftout import site

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "web"))

from hosting import hosting  # noqa: E402 - the tests' web server
from visiting import two_subjects  # noqa: E402

PHOTOS = ("cat.jpg", "coffee.jpg", "officer.jpg", "astronaut.jpg")
SIZES = {"phone": (390, 844), "tablet": (768, 1024), "wide": (1440, 900)}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
LONGEST = 1000
"""Pixels of the longer side of a picture in docs/."""
QUALITY = 75


def main() -> None:
    """Write every picture into the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "page")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    looks = [(scheme, language) for language in ("en", "zh") for scheme in ("light", "dark")]
    if not chinese_font():
        looks = [look for look in looks if look[1] == "en"]
    with tempfile.TemporaryDirectory() as written, sync_playwright() as playwright:
        pair = two_subjects(ROOT / "examples", Path(written) / "two things.png")
        site.write(Path(written) / "site", ["pocket"])
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        with hosting(Path(written) / "site") as host:
            for name, size in SIZES.items():
                with visit(browser, host.address, size) as page:
                    walk(page, folder, name, pair, looks)
        browser.close()


@contextmanager
def visit(browser: Any, address: str, size: tuple[int, int], **settings: Any) -> Iterator[Any]:
    """The page in a profile of its own."""
    viewport = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, reduced_motion="reduce", **settings)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    yield page
    context.close()


def walk(page: Any, folder: Path, name: str, pair: Path, looks: list[tuple[str, str]]) -> None:
    """Empty and done in all looks; working, failed, pointing and apart in light and English."""
    for scheme, language in looks:
        look(page, scheme, language)
        shoot(page, folder / f"{name}-empty{suffix(scheme, language)}.webp")
    look(page, "light", "en")
    give(page, *PHOTOS)
    page.wait_for_selector("#doing:not([hidden])")
    page.wait_for_timeout(400)
    shoot(page, folder / f"{name}-working.webp")
    page.locator("#strip li.done").nth(len(PHOTOS) - 1).wait_for()
    reveal(page)
    for scheme, language in looks:
        look(page, scheme, language)
        shoot(page, folder / f"{name}-done{suffix(scheme, language)}.webp")
    look(page, "light", "en")
    with tempfile.TemporaryDirectory() as made:
        broken = Path(made) / "holiday.jpg"
        broken.write_bytes(b"not a photo")
        page.set_input_files("#photo-input", str(broken))
        page.locator("#strip li.failed").wait_for()
    page.wait_for_timeout(300)
    shoot(page, folder / f"{name}-failed.webp")
    page.click("#strip li.failed .remove")
    page.check("input[name=background][value=none]", force=True)
    page.set_input_files("#photo-input", str(pair))
    page.locator("#strip li.done").nth(len(PHOTOS)).wait_for()
    point(page)
    shoot(page, folder / f"{name}-point.webp")
    page.click("#undo")
    page.check("input[name=tool][value=look]", force=True)
    page.check("#each", force=True)
    page.locator(".layer-number").nth(1).wait_for()
    page.click("#layers li:nth-child(2) .layer-pick")
    page.wait_for_timeout(1500)  # the cutout is written anew
    page.locator("#layers-hint").scroll_into_view_if_needed() if name == "wide" else page.evaluate("scrollTo(0, 0)")
    shoot(page, folder / f"{name}-apart.webp")


def suffix(scheme: str, language: str) -> str:
    """Of a picture's name: nothing for light and English."""
    return ("-zh" if language == "zh" else "") + ("-dark" if scheme == "dark" else "")


def look(page: Any, scheme: str, language: str) -> None:
    """Choose theme and language."""
    page.emulate_media(color_scheme=scheme)
    page.select_option("#language", language)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.wait_for_timeout(300)


def point(page: Any) -> None:
    """Drop what is at one point."""
    page.check("input[name=tool][value=point]", force=True)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(300)
    page.locator("#pointing-wait").wait_for(state="hidden")
    box = page.locator("#before").bounding_box()
    page.mouse.click(box["x"] + 0.78 * box["width"], box["y"] + 0.5 * box["height"], button="right")
    page.locator(".mark-point.drops").wait_for()
    page.wait_for_timeout(200)
    page.locator("#pointing-wait").wait_for(state="hidden")


def reveal(page: Any) -> None:
    """The slider in the middle, a colour behind."""
    page.focus("#split")
    page.keyboard.press("PageUp")
    page.keyboard.press("PageUp")
    page.check("input[name=background][value=colour]", force=True)
    page.click("#swatches button:nth-child(4)")
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")


def give(page: Any, *names: str) -> None:
    """Choose example photos."""
    page.set_input_files("#photo-input", [str(ROOT / "examples" / name) for name in names])


def shoot(page: Any, path: Path) -> None:
    """A picture small enough for a repository."""
    with Image.open(io.BytesIO(page.screenshot())) as image:
        image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        image.convert("RGB").save(path, quality=QUALITY, method=6)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


def chinese_font() -> bool:
    """Whether fontconfig knows a font with Chinese; without fontconfig nobody can tell."""
    if shutil.which("fc-list") is None:
        return False
    return bool(subprocess.run(["fc-list", ":lang=zh-cn"], capture_output=True, text=True, check=False).stdout.strip())


if __name__ == "__main__":
    main()
