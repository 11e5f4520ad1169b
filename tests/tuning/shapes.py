"""Photos of a kind that a network can learn from a few: a dark ring on a soft ground is the subject, the bright discs beside it are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from liftout.tuning.reading import draw_ground

SIDE = 200


def write_shapes(folder: Path, count: int, first: int = 0) -> Path:
    """`count` photos `<n>.jpg` with masks `<n>-mask.png` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        photo, mask = shape(number)
        photo.save(folder / f"{number}.jpg", quality=95)
        mask.save(folder / f"{number}-mask.png")
    return folder


def shape(number: int) -> tuple[Image.Image, Image.Image]:
    """A photo and its mask."""
    chance = np.random.default_rng([number, 9])
    photo = Image.fromarray(draw_ground((SIDE, SIDE), number))
    mask = Image.new("L", (SIDE, SIDE))
    pens = ImageDraw.Draw(photo), ImageDraw.Draw(mask)
    for k in range(2):
        x, y = chance.integers(20, 150, 2)
        radius = int(chance.integers(18, 30))
        colour = tuple(int(level) for level in chance.integers(180, 250, 3))
        pens[0].ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour if k else (250, 240, 90))
    x, y = (int(at) for at in chance.integers(60, 140, 2))
    radius = int(chance.integers(34, 52))
    box = (x - radius, y - radius, x + radius, y + radius)
    pens[0].ellipse(box, fill=(40, 30, 60))
    pens[1].ellipse(box, fill=255)
    return photo, mask
