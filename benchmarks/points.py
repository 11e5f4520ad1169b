"""Pictures of docs/points.md: five example photos before and after one click. `python benchmarks/points.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from liftout import Remover

ROOT = Path(__file__).resolve().parent.parent
CLICKS = {
    "astronaut": ("drop", (445, 420), True),
    "cat": ("keep", (60, 40), True),
    "coffee": ("keep", (305, 110), False),
    "officer": ("keep", (70, 300), True),
    "rocket": ("keep", (325, 235), False),
}
"""Photo -> what is said, where, and whether it corrects the automatic alpha."""
HEIGHT = 260
LIGHT, DARK, SQUARE = 235, 205, 8


def over_squares(pixels: np.ndarray, alpha: np.ndarray) -> Image.Image:
    """A photo, uint8 [H, W, 3], over grey squares where its alpha, uint8 [H, W], lets them through; HEIGHT pixels high."""
    width = round(pixels.shape[1] * HEIGHT / pixels.shape[0])
    photo = Image.fromarray(pixels).resize((width, HEIGHT))
    rows, columns = np.mgrid[:HEIGHT, :width] // SQUARE
    ground = Image.fromarray(np.where((rows + columns) % 2, LIGHT, DARK).astype(np.uint8)).convert("RGB")
    ground.paste(photo, (0, 0), Image.fromarray(alpha).resize((width, HEIGHT)))
    return ground


def main() -> None:
    """Draw them all."""
    folder = ROOT / "docs" / "points"
    folder.mkdir(exist_ok=True)
    with Remover() as remover:
        for name, (kind, at, corrects) in CLICKS.items():
            pixels = np.asarray(Image.open(ROOT / "examples" / f"{name}.jpg").convert("RGB"))
            before = remover(pixels).alpha
            start = before if corrects else None
            points = {kind: [at]}
            after = remover(pixels, keep=points.get("keep", ()), drop=points.get("drop", ()), start=start).alpha
            pair = [over_squares(pixels, alpha) for alpha in (before, after)]
            sheet = Image.new("RGB", (2 * pair[0].width + 10, HEIGHT), "white")
            x, y = (value * HEIGHT / pixels.shape[0] for value in at)
            for place, picture in enumerate(pair):
                sheet.paste(picture, (place * (picture.width + 10), 0))
            pen = ImageDraw.Draw(sheet)
            pen.ellipse((x - 6, y - 6, x + 6, y + 6), (30, 160, 60) if kind == "keep" else (210, 40, 40), "white", 2)
            sheet.save(folder / f"{name}.webp", quality=82)


if __name__ == "__main__":
    main()
