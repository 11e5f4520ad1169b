"""Sheets: photos with masks and answers side by side, a row for each, as a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

UInt8 = npt.NDArray[np.uint8]
CELL, CAPTION, GAP = 200, 40, 6
_DIMMED = 0.25
"""How much of the photo shows where a mask has nothing."""
_RED = np.array([226, 52, 52], np.float32)


@dataclass(frozen=True)
class Row:
    """caption: lines above the pictures. size: (height, width) of the photo, whose shape the pictures get. photo: uint8 [S, S, 3]. masks: one
    picture each, uint8 [S, S]."""

    caption: tuple[str, ...]
    size: tuple[int, int]
    photo: UInt8
    masks: tuple[UInt8, ...]


def draw(heads: Sequence[str], rows: Sequence[Row], columns: int = 2) -> bytes:
    """heads: what each picture of a row is, the photo first. columns: rows that stand side by side."""
    columns = min(columns, len(rows)) or 1
    width = len(heads) * (CELL + GAP) + 2 * GAP
    height = CELL + CAPTION + 2 * GAP
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * width, lines * height + 30), "white")
    pen, font, large = ImageDraw.Draw(sheet), ImageFont.load_default(13), ImageFont.load_default(15)
    for column in range(columns):
        for place, head in enumerate(heads):
            pen.text((column * width + GAP + place * (CELL + GAP), 6), head, fill="black", font=large)
    for number, row in enumerate(rows):
        left, top = number % columns * width + GAP, number // columns * height + 30
        for k, line in enumerate(row.caption[:2]):
            pen.text((left, top + 4 + k * 17), _cut(line, width - 2 * GAP, pen, font), fill="black", font=font)
        for place, pixels in enumerate((row.photo, *(lifted(row.photo, mask) for mask in row.masks))):
            picture = _shaped(pixels, row.size)
            sheet.paste(picture, (left + place * (CELL + GAP), top + CAPTION))
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def lifted(photo: UInt8, mask: UInt8) -> UInt8:
    """The photo, dimmed towards red where the mask has nothing."""
    share = mask[..., None].astype(np.float32) / 255
    ground = photo * _DIMMED + _RED * (1 - _DIMMED)
    return np.rint(photo * share + ground * (1 - share)).astype(np.uint8)


def _shaped(pixels: UInt8, size: tuple[int, int]) -> Image.Image:
    height, width = size
    scale = CELL / max(height, width)
    fitted = max(1, round(width * scale)), max(1, round(height * scale))
    return Image.fromarray(pixels).resize(fitted, Image.Resampling.BILINEAR)


def _cut(text: str, width: int, pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """A text that fits into so many pixels."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    while len(text) > 4 and pen.textlength(text, font) > width:
        text = f"{text[:-4]}..."
    return text
