"""Pictures without a subject, drawn from a number: pages of text, tables, charts, maps, drawings of lines, textures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from liftout.tuning.network import SIZE

UInt8Array = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
_LETTERS = "eeeeaaaooittnnssrrhlldcumfpgwybv"


def draw_page(seed: int, size: int = SIZE) -> UInt8Array:
    """A page of text, a table, a chart, a map, a drawing of lines, or a texture: uint8 [size, size, 3]. One seed, one picture."""
    chance = np.random.default_rng([seed, 77])
    kind = (_text, _text, _table, _chart, _map, _lines, _texture)[chance.integers(7)]
    paper = (255, 255, 255) if chance.random() < 0.4 else _colour(chance, float(chance.choice([0.0, 0.75])), 1.0)
    page = Image.new("RGB", (2 * size, 2 * size), paper)
    kind(page, chance, paper)
    small = page.resize((size, size), Image.Resampling.BILINEAR, _part(chance, 2 * size))
    noise = chance.normal(0, chance.uniform(0, 6), (size, size, 1))
    return (np.asarray(small, np.float32) + noise).clip(0, 255).astype(np.uint8)


def _part(chance: np.random.Generator, size: int) -> tuple[int, int, int, int]:
    side = round(size * float(chance.uniform(0.5, 1)))
    left, top = (int(at) for at in chance.integers(0, size - side + 1, 2))
    return left, top, left + side, top + side


def _colour(chance: np.random.Generator, low: float, high: float) -> Colour:
    red, green, blue = (chance.uniform(low, high) + chance.uniform(-0.1, 0.1, 3)).clip(0, 1) * 255
    return int(red), int(green), int(blue)


def _ink(chance: np.random.Generator, paper: Colour) -> Colour:
    return _colour(chance, 0.0, 0.4) if sum(paper) > 380 else _colour(chance, 0.7, 1.0)


def _words(chance: np.random.Generator, count: int) -> str:
    return " ".join("".join(chance.choice(list(_LETTERS), chance.integers(2, 10))) for _ in range(count)).capitalize()


def _text(page: Image.Image, chance: np.random.Generator, paper: Colour) -> None:
    draw, size, columns = ImageDraw.Draw(page), page.width, int(chance.integers(1, 4))
    width, ink = size // columns, _ink(chance, paper)
    for column in range(columns):
        y, margin = float(chance.uniform(0, 60)), float(chance.uniform(8, 30))
        while y < size:
            height = int(chance.choice([12, 14, 18, 24, 40, 64], p=[0.25, 0.25, 0.2, 0.15, 0.1, 0.05]))
            font = ImageFont.load_default(height)
            for _ in range(int(chance.integers(1, 9))):
                line = _words(chance, max(1, round(width / height / 3)))
                while draw.textlength(line, font) > width - 2 * margin and len(line) > 1:
                    line = line[:-1]
                draw.text((column * width + margin, y), line, ink, font)
                y += height * 1.35
            y += height
            if chance.random() < 0.15:
                box = (column * width + margin, y, (column + 1) * width - margin, y + float(chance.uniform(20, 90)))
                draw.rectangle(box, _colour(chance, 0.2, 1), ink)
                y = box[3] + 12


def _table(page: Image.Image, chance: np.random.Generator, paper: Colour) -> None:
    draw, size = ImageDraw.Draw(page), page.width
    ink, row, column = _ink(chance, paper), int(chance.integers(24, 80)), int(chance.integers(60, 220))
    font = ImageFont.load_default(int(chance.integers(11, row // 2 + 6)))
    shaded = _colour(chance, 0.5, 1) if chance.random() < 0.5 else paper
    for number, y in enumerate(range(0, size, row)):
        if number % 2:
            draw.rectangle((0, y, size, y + row), shaded)
        for x in range(0, size, column):
            draw.text((x + 5, y + 4), _words(chance, 1), ink, font)
        draw.line((0, y, size, y), ink, 2)
    for x in range(0, size, column):
        draw.line((x, 0, x, size), ink, int(chance.integers(1, 4)))


def _chart(page: Image.Image, chance: np.random.Generator, paper: Colour) -> None:
    draw, size = ImageDraw.Draw(page), page.width
    ink, step = _ink(chance, paper), int(chance.integers(30, 90))
    for at in range(0, size, step):
        draw.line((0, at, size, at), ink, 1)
        draw.text((2, at + 2), str(chance.integers(1, 1000)), ink, ImageFont.load_default(14))
    for _ in range(int(chance.integers(1, 5))):
        heights = size / 2 + np.cumsum(chance.normal(0, size / 14, 24))
        draw.line(
            [(k * size / 23, float(y)) for k, y in enumerate(heights)],
            _colour(chance, 0, 0.9),
            int(chance.integers(2, 7)),
        )


def _map(page: Image.Image, chance: np.random.Generator, paper: Colour) -> None:
    draw, size = ImageDraw.Draw(page), page.width
    centres = chance.uniform(0, size, (int(chance.integers(8, 40)), 2))
    grid = np.arange(0, size, 4)
    wobble = 14 * np.sin(grid / chance.uniform(9, 30))
    ys, xs = np.meshgrid(grid, grid, indexing="ij")
    distances = [(ys + wobble[None] - y) ** 2 + (xs + wobble[:, None] - x) ** 2 for y, x in centres]
    nearest = np.argmin(distances, axis=0)
    colours = np.array([_colour(chance, 0.5, 1) for _ in centres], np.uint8)
    land = Image.fromarray(colours[nearest]).resize((size, size), Image.Resampling.NEAREST)
    page.paste(land)
    for y, x in centres:
        draw.text(
            (x - 20, y),
            _words(chance, 1),
            _ink(chance, (255, 255, 255)),
            ImageFont.load_default(int(chance.integers(12, 30))),
        )


def _lines(page: Image.Image, chance: np.random.Generator, paper: Colour) -> None:
    draw, size, ink = ImageDraw.Draw(page), page.width, _ink(chance, paper)
    for _ in range(int(chance.integers(20, 90))):
        start, way = chance.uniform(0, size, 2), chance.normal(0, size / 8, (int(chance.integers(2, 8)), 2))
        points = start + np.cumsum(way, axis=0)
        draw.line([(float(x), float(y)) for x, y in points], ink, int(chance.integers(1, 5)))


def _texture(page: Image.Image, chance: np.random.Generator, paper: Colour) -> None:
    size = page.width
    total = np.zeros((size, size, 3), np.float32)
    for _ in range(int(chance.integers(1, 4))):
        rows, columns = (int(side) for side in chance.integers(3, 160, 2))
        small = (chance.uniform(0, 1, (rows, columns, 1)) * np.array(_colour(chance, 0, 1))).astype(np.uint8)
        way = Image.Resampling.BICUBIC if chance.random() < 0.7 else Image.Resampling.NEAREST
        total += np.asarray(Image.fromarray(small).resize((size, size), way), np.float32)
    mixed = np.asarray(paper, np.float32) * 0.5 + total * 0.5
    page.paste(Image.fromarray(mixed.clip(0, 255).astype(np.uint8)))
