"""Draw photos beside their alpha and their cutouts on white, black and a checkerboard, one row each.

python examples/contact_sheet.py SHEET.png PHOTO=CUTOUT [PHOTO=CUTOUT ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CELL = 240
GAP = 8
HEADS = ("photo", "alpha", "on white", "on black", "on a checkerboard")


def checkerboard(size: tuple[int, int], square: int = 12) -> Image.Image:
    """Light and dark grey squares; size is (width, height)."""
    y, x = np.mgrid[: size[1], : size[0]] // square
    return Image.fromarray(np.where((x + y) % 2, 255, 190).astype(np.uint8)).convert("RGB")


def row(photo: Path, cutout: Path) -> list[Image.Image]:
    """The five pictures of one photo, each at most CELL wide and high."""
    subject = Image.open(cutout).convert("RGBA")
    subject.thumbnail((CELL, CELL))
    original = Image.open(photo).convert("RGB").resize(subject.size)
    pictures = [original, subject.getchannel("A").convert("RGB")]
    for behind in (Image.new("RGB", subject.size, "white"), Image.new("RGB", subject.size), checkerboard(subject.size)):
        behind.paste(subject, mask=subject.getchannel("A"))
        pictures.append(behind)
    return pictures


def sheet(pairs: list[tuple[Path, Path]]) -> Image.Image:
    """All rows under their headings."""
    head = 24
    page = Image.new("RGB", (len(HEADS) * (CELL + GAP) + GAP, len(pairs) * (CELL + GAP) + GAP + head), (120, 120, 120))
    draw = ImageDraw.Draw(page)
    for i, text in enumerate(HEADS):
        draw.text((GAP + i * (CELL + GAP), 6), text, fill="white")
    for j, (photo, cutout) in enumerate(pairs):
        for i, picture in enumerate(row(photo, cutout)):
            page.paste(picture, (GAP + i * (CELL + GAP), head + GAP + j * (CELL + GAP)))
    return page


if __name__ == "__main__":
    target, *given = sys.argv[1:]
    pairs = [(Path(photo), Path(cutout)) for photo, cutout in (pair.split("=", 1) for pair in given)]
    sheet(pairs).save(target)
    sys.stdout.write(f"{target}\n")
