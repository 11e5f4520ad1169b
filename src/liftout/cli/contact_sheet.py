"""A sheet that shows one photo as several models cut it out, with the time and the memory that each took."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

TILE = 480
"""Longest side of a picture on the sheet, in pixels."""
_GAP, _LINE, _SQUARE = 16, 22, 16
_PAPER, _INK, _LIGHT, _DARK = (255, 255, 255), (30, 30, 35), (235, 235, 235), (205, 205, 205)


@dataclass(frozen=True, kw_only=True)
class LabelledPicture:
    """One picture of the sheet, RGB or RGBA, with the lines below it."""

    picture: Image.Image
    lines: tuple[str, ...]


def draw(pictures: Sequence[LabelledPicture]) -> bytes:
    """The sheet as a PNG, pictures side by side in rows that make it about as wide as high."""
    columns = max(1, round(len(pictures) ** 0.5))
    columns += columns * columns < len(pictures)
    tiles = [_tile(item) for item in pictures]
    width = max(tile.width for tile in tiles)
    height = max(tile.height for tile in tiles)
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP), _PAPER)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet.paste(tile, (_GAP + column * (width + _GAP), _GAP + row * (height + _GAP)))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def _tile(item: LabelledPicture) -> Image.Image:
    picture = item.picture.copy()
    picture.thumbnail((TILE, TILE))
    tile = Image.new("RGB", (TILE, picture.height + _LINE * len(item.lines) + 6), _PAPER)
    left = (TILE - picture.width) // 2
    if picture.mode == "RGBA":
        ground = _checks(picture.size)
        ground.paste(picture, (0, 0), picture)
        picture = ground
    tile.paste(picture, (left, 0))
    pen, font = ImageDraw.Draw(tile), ImageFont.load_default(16)
    for number, line in enumerate(item.lines):
        pen.text((0, picture.height + 4 + number * _LINE), line, fill=_INK, font=font)
    return tile


def _checks(size: tuple[int, int]) -> Image.Image:
    ground = Image.new("RGB", size, _LIGHT)
    pen = ImageDraw.Draw(ground)
    for top in range(0, size[1], _SQUARE):
        for left in range(0, size[0], _SQUARE):
            if (top // _SQUARE + left // _SQUARE) % 2:
                pen.rectangle((left, top, left + _SQUARE - 1, top + _SQUARE - 1), fill=_DARK)
    return ground
