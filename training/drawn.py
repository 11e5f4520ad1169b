"""Drawn pictures without a subject: pages, posters, screens, charts, diagrams, maps, sheets of photos, textures, scenery.

The training photos show things; what people also drop on such a tool - a scanned page, a screenshot, a map - is hardly among
them. These are drawn from a seed alone (sheets of photos borrow pieces of training photos), and their alpha is zero.
"""

from __future__ import annotations

import string

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

UInt8Array = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
Draw = ImageDraw.ImageDraw


def draw_all(numbers: npt.NDArray[np.int64], side: int, seed: int, photos: UInt8Array) -> UInt8Array:
    """uint8 [len(numbers), side, side, 3], sRGB: each picture follows from the seed and its number.

    photos: uint8 [N, S, S, 3], to borrow from for sheets of photos."""
    pictures = np.empty((len(numbers), side, side, 3), np.uint8)
    for place, number in enumerate(numbers.tolist()):
        chance = np.random.default_rng([seed, number])
        painter = PAINTERS[number % len(PAINTERS)]
        picture = painter(int(side * 1.25), chance, photos)
        pictures[place] = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))
    return pictures


def _page(side: int, chance: np.random.Generator, photos: UInt8Array) -> Image.Image:
    """Columns of small text under a heading, with a picture here and there."""
    paper, ink = _paper_and_ink(chance)
    picture = _ground(side, paper, chance)
    draw = ImageDraw.Draw(picture)
    columns = int(chance.integers(1, 4))
    margin = int(side * chance.uniform(0.02, 0.1))
    top = margin
    if chance.random() < 0.7:
        size = int(side * chance.uniform(0.05, 0.12))
        _text(draw, (margin, top), _words(chance, 3), ink, size)
        top += int(size * 1.5)
    width = (side - 2 * margin) // columns
    size = int(side * chance.uniform(0.018, 0.05))
    for column in range(columns):
        left, y = margin + column * width, top
        while y < side - margin * chance.uniform(0.3, 2):
            if chance.random() < 0.03:
                high = int(side * chance.uniform(0.08, 0.25))
                _put_photo(picture, (left, y, left + int(width * 0.9), y + high), chance, photos)
                y += high + size
                continue
            letters = max(3, int(width * 0.92 / (size * 0.55) * (1 if chance.random() < 0.8 else chance.random())))
            _text(draw, (left, y), _words(chance, 20)[:letters], ink, size)
            y += int(size * 1.35) + (size if chance.random() < 0.12 else 0)
    return picture


def _poster(side: int, chance: np.random.Generator, photos: UInt8Array) -> Image.Image:
    """A few large words, centred, in frames and bands."""
    paper, ink = _paper_and_ink(chance)
    picture = _ground(side, paper, chance)
    draw = ImageDraw.Draw(picture)
    for _ in range(int(chance.integers(0, 4))):
        inset = int(side * chance.uniform(0, 0.1))
        draw.rectangle(
            (inset, inset, side - inset, side - inset), outline=_colour(chance), width=int(chance.integers(2, 14))
        )
    for _ in range(int(chance.integers(0, 3))):
        y = int(side * chance.random())
        draw.rectangle((0, y, side, y + int(side * chance.uniform(0.03, 0.25))), fill=_colour(chance))
    y = int(side * chance.uniform(0.05, 0.2))
    while y < side * 0.9:
        size = int(side * chance.uniform(0.05, 0.2))
        text = _words(chance, int(chance.integers(1, 4)))
        font = ImageFont.load_default(size)
        left = (side - draw.textlength(text, font)) / 2 if chance.random() < 0.7 else side * 0.06
        draw.text((left, y), text, ink if chance.random() < 0.7 else _colour(chance), font)
        y += int(size * chance.uniform(1.1, 1.8))
    return picture


def _screen(side: int, chance: np.random.Generator, photos: UInt8Array) -> Image.Image:
    """Windows with bars, buttons, lists and icons."""
    picture = _ground(side, _colour(chance), chance)
    draw = ImageDraw.Draw(picture)
    for _ in range(int(chance.integers(1, 5))):
        left, top = (int(side * chance.uniform(-0.1, 0.5)) for _ in range(2))
        right, bottom = left + int(side * chance.uniform(0.35, 1)), top + int(side * chance.uniform(0.35, 1))
        body, ink = _paper_and_ink(chance)
        draw.rectangle((left, top, right, bottom), fill=body, outline=(90, 90, 90))
        bar = int(side * chance.uniform(0.03, 0.07))
        draw.rectangle((left, top, right, top + bar), fill=_colour(chance))
        _text(draw, (left + 4, top + bar // 6), _words(chance, 3), _colour(chance), max(6, int(bar * 0.6)))
        cell = int(side * chance.uniform(0.07, 0.2))
        for y in range(top + bar + 6, min(bottom, side) - cell // 2, cell):
            for x in range(left + 6, min(right, side) - cell // 2, cell):
                kind = chance.random()
                if kind < 0.25:
                    _put_photo(picture, (x, y, x + int(cell * 0.8), y + int(cell * 0.7)), chance, photos)
                elif kind < 0.6:
                    _text(draw, (x, y), _words(chance, 4)[: max(2, cell // 8)], ink, max(6, cell // 5))
                elif kind < 0.75:
                    draw.rectangle((x, y, x + int(cell * 0.8), y + cell // 3), fill=_colour(chance), outline=ink)
    return picture


def _chart(side: int, chance: np.random.Generator, photos: UInt8Array) -> Image.Image:
    """Axes, a grid, curves or bars or points, a legend."""
    paper, ink = _paper_and_ink(chance)
    picture = _ground(side, paper, chance)
    draw = ImageDraw.Draw(picture)
    left, top = (int(side * chance.uniform(0.03, 0.2)) for _ in range(2))
    right, bottom = (side - int(side * chance.uniform(0.03, 0.2)) for _ in range(2))
    if chance.random() < 0.4:
        draw.rectangle((left, top, right, bottom), fill=_colour(chance))
    for place in np.linspace(0, 1, int(chance.integers(3, 16))):
        x, y = left + place * (right - left), top + place * (bottom - top)
        draw.line((x, top, x, bottom), fill=ink)
        draw.line((left, y, right, y), fill=ink)
        _text(draw, (x, bottom + 2), str(chance.integers(0, 999)), ink, max(7, side // 36))
        _text(draw, (2, y), str(chance.integers(0, 999)), ink, max(7, side // 36))
    for _ in range(int(chance.integers(1, 5))):
        colour, count = _colour(chance), int(chance.integers(5, 60))
        xs = np.linspace(left, right, count)
        ys = np.clip(np.cumsum(chance.normal(0, 1, count)) / np.sqrt(count) * 0.25 + chance.random(), 0, 1)
        ys = top + ys * (bottom - top)
        if chance.random() < 0.6:
            draw.line(list(zip(xs.tolist(), ys.tolist(), strict=True)), fill=colour, width=int(chance.integers(1, 6)))
        elif count < 25:
            wide = (right - left) / count * 0.35
            for x, y in zip(xs, ys, strict=True):
                draw.rectangle((x - wide, y, x + wide, bottom), fill=colour)
        else:
            for x, y in zip(xs, ys, strict=True):
                draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
    _text(draw, (left, top // 3), _words(chance, 4), ink, max(8, side // 20))
    return picture


def _diagram(side: int, chance: np.random.Generator, photos: UInt8Array) -> Image.Image:
    """Boxes and ellipses with words, joined by lines."""
    paper, ink = _paper_and_ink(chance)
    picture = _ground(side, paper, chance)
    draw = ImageDraw.Draw(picture)
    places = chance.uniform(0.05, 0.85, (int(chance.integers(4, 16)), 2)) * side
    for one, other in zip(places, np.roll(places, 1, 0), strict=True):
        draw.line((*one, *other), fill=ink, width=int(chance.integers(1, 5)))
    filled = chance.random() < 0.6
    for x, y in places.tolist():
        wide, high = side * chance.uniform(0.06, 0.25), side * chance.uniform(0.04, 0.14)
        shape = draw.ellipse if chance.random() < 0.4 else draw.rectangle
        shape((x, y, x + wide, y + high), fill=_colour(chance) if filled else paper, outline=ink, width=2)
        _text(draw, (x + 4, y + high * 0.3), _words(chance, 1), ink, max(7, int(high * 0.35)))
    return picture


def _map(side: int, chance: np.random.Generator, photos: UInt8Array) -> Image.Image:
    """Land, water, borders, roads and names."""
    height = _noise(side, chance, chance.uniform(1.6, 2.6), int(chance.integers(2, 6)))
    levels = np.sort(chance.random(int(chance.integers(1, 5))))
    picture = Image.fromarray(_palette(np.searchsorted(levels, height), chance))
    draw = ImageDraw.Draw(picture)
    ink = _colour(chance)
    for _ in range(int(chance.integers(2, 16))):
        count = int(chance.integers(3, 20))
        steps = np.cumsum(chance.normal(0, side * 0.06, (count, 2)), 0) + chance.random(2) * side
        draw.line([tuple(step) for step in steps.tolist()], fill=_colour(chance), width=int(chance.integers(1, 7)))
    if chance.random() < 0.4:
        for place in np.arange(0, side, int(side * chance.uniform(0.05, 0.2))).tolist():
            draw.line((place, 0, place, side), fill=ink)
            draw.line((0, place, side, place), fill=ink)
    for _ in range(int(chance.integers(3, 40))):
        x, y = (chance.random(2) * side).tolist()
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=ink)
        _text(draw, (x + 5, y - 5), _words(chance, 1), ink, int(side * chance.uniform(0.02, 0.05)))
    return picture


def _sheet(side: int, chance: np.random.Generator, photos: UInt8Array) -> Image.Image:
    """Many small photos side by side or in a heap."""
    picture = _ground(side, _colour(chance), chance)
    if chance.random() < 0.5:
        cells = int(chance.integers(4, 9))
        cell = side / cells
        gap = int(cell * chance.uniform(0, 0.2))
        for row in range(cells):
            for column in range(cells):
                x, y = int(column * cell), int(row * cell)
                _put_photo(picture, (x, y, int(x + cell) - gap, int(y + cell) - gap), chance, photos)
        return picture
    for _ in range(int(chance.integers(50, 140))):
        wide, high = (int(side * chance.uniform(0.1, 0.3)) for _ in range(2))
        x, y = (int(side * chance.uniform(-0.15, 1)) for _ in range(2))
        piece = _piece(wide, high, chance, photos).convert("RGBA")
        piece = piece.rotate(chance.uniform(-60, 60), expand=True)
        picture.paste(piece, (x, y), piece)
    return picture


def _texture(side: int, chance: np.random.Generator, photos: UInt8Array) -> Image.Image:
    """Clouds, sand, rock, water, fabric, stars: noise of many scales, stretched, coloured."""
    height = _noise(side, chance, chance.uniform(0.6, 2.2), int(chance.integers(2, 12)), chance.uniform(0.3, 3))
    if chance.random() < 0.3:
        height = np.abs(2 * height - 1)
    if chance.random() < 0.3:
        slope = np.gradient(height, axis=int(chance.integers(2)))
        height = np.clip(0.5 + slope / (4 * slope.std() + 1e-6), 0, 1)
    picture = _graded(height, chance)
    if chance.random() < 0.15:
        stars = np.array(picture) // 5
        where = chance.random((side, side)) > 0.996
        stars[where] = 255
        picture = Image.fromarray(stars).filter(ImageFilter.GaussianBlur(0.7))
    return picture


def _scenery(side: int, chance: np.random.Generator, photos: UInt8Array) -> Image.Image:
    """A sky and ridges one before the other, each with its own texture."""
    picture = np.array(_graded(_noise(side, chance, 2.2, 2, 3.0) * 0.4 + np.linspace(0, 0.6, side)[:, None], chance))
    horizon = chance.uniform(0.15, 0.6)
    for _ in range(int(chance.integers(1, 6))):
        line = _noise(side, chance, chance.uniform(1, 2), 3)[0]
        edge = (horizon + chance.uniform(0.05, 0.4) * (line - 0.5)) * side
        inside = np.arange(side)[:, None] > edge[None]
        ridge = np.array(_graded(_noise(side, chance, chance.uniform(0.3, 1.5), 8, chance.uniform(0.2, 4)), chance))
        picture = np.where(inside[..., None], ridge, picture)
        horizon += chance.uniform(0.05, 0.25)
        if horizon > 1:
            break
    return Image.fromarray(picture)


def _pattern(side: int, chance: np.random.Generator, photos: UInt8Array) -> Image.Image:
    """One small motif again and again: tiles, wallpaper, windows of a facade, ornaments."""
    picture = _ground(side, _colour(chance), chance)
    wide, high = (int(side * chance.uniform(0.06, 0.25)) for _ in range(2))
    if chance.random() < 0.4:
        motif = _piece(wide, high, chance, photos)
    else:
        motif = Image.new("RGB", (wide, high), _colour(chance))
        draw = ImageDraw.Draw(motif)
        for _ in range(int(chance.integers(1, 6))):
            xs, ys = np.sort(chance.random(2) * wide), np.sort(chance.random(2) * high)
            shape = draw.ellipse if chance.random() < 0.5 else draw.rectangle
            shape((xs[0], ys[0], xs[1], ys[1]), fill=_colour(chance))
    gap = int(wide * chance.choice([0, 0, 0.2, 0.5]))
    shift = int(wide * chance.choice([0, 0, 0.5]))
    for row, y in enumerate(range(0, side, high + gap)):
        for x in range(-wide + (row % 2) * shift, side, wide + gap):
            picture.paste(motif, (x, y))
    return picture


PAINTERS = (_page, _poster, _screen, _chart, _diagram, _map, _sheet, _texture, _scenery, _pattern)


def _colour(chance: np.random.Generator) -> Colour:
    colour = chance.integers(0, 256, 3)
    if chance.random() < 0.6:
        colour = (colour.mean() + chance.uniform(0.1, 0.5) * (colour - colour.mean())).astype(np.int64)
    red, green, blue = colour.tolist()
    return red, green, blue


def _paper_and_ink(chance: np.random.Generator) -> tuple[Colour, Colour]:
    """Half of the time black on white or the like, else two colours that can be told apart."""
    if chance.random() < 0.5:
        light, dark = int(chance.integers(215, 256)), int(chance.integers(0, 70))
        paper, ink = (light, light, light - int(chance.integers(0, 30))), (dark, dark, dark)
        return (ink, paper) if chance.random() < 0.2 else (paper, ink)
    paper, ink = _colour(chance), _colour(chance)
    while abs(sum(paper) - sum(ink)) < 200:
        paper, ink = _colour(chance), _colour(chance)
    return paper, ink


def _ground(side: int, colour: Colour, chance: np.random.Generator) -> Image.Image:
    """One colour, often uneven as a scan or a photo of a page is."""
    if chance.random() < 0.5:
        return Image.new("RGB", (side, side), colour)
    uneven = 1 + chance.uniform(0.05, 0.5) * (_noise(side, chance, 2.5, 1) - 0.5)
    return Image.fromarray(np.clip(uneven[..., None] * np.array(colour), 0, 255).astype(np.uint8))


def _words(chance: np.random.Generator, count: int) -> str:
    letters = list(string.ascii_lowercase)
    words = ["".join(chance.choice(letters, int(chance.integers(2, 10)))) for _ in range(count)]
    text = " ".join(words)
    return text.upper() if chance.random() < 0.3 else text.capitalize()


def _text(draw: Draw, where: tuple[float, float], text: str, colour: Colour, size: int) -> None:
    draw.text(where, text, colour, ImageFont.load_default(max(6, size)))


def _piece(wide: int, high: int, chance: np.random.Generator, photos: UInt8Array) -> Image.Image:
    return Image.fromarray(photos[int(chance.integers(len(photos)))]).resize((max(1, wide), max(1, high)))


def _put_photo(
    picture: Image.Image, box: tuple[int, int, int, int], chance: np.random.Generator, photos: UInt8Array
) -> None:
    left, top, right, bottom = box
    picture.paste(_piece(right - left, bottom - top, chance, photos), (left, top))


def _noise(
    side: int, chance: np.random.Generator, fall: float, coarsest: int, stretch: float = 1.0
) -> npt.NDArray[np.float32]:
    """[side, side] in [0, 1]: octaves of random grids, each finer one weaker by 2 ** -fall; `stretch` squeezes them sideways."""
    total = np.zeros((side, side), np.float32)
    cells, weight = coarsest, 1.0
    while cells < side:
        grid = chance.random((cells + 1, max(2, int(cells * stretch) + 1))).astype(np.float32)
        octave = Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC)
        total += weight * np.asarray(octave)
        cells, weight = cells * 2, weight * 2**-fall
    low, high = np.percentile(total, (1, 99))
    return np.clip((total - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)


def _graded(height: npt.NDArray[np.floating], chance: np.random.Generator) -> Image.Image:
    """Heights in [0, 1] through a ramp of a few related colours."""
    stops = int(chance.integers(2, 5))
    base = chance.random(3)
    colours = np.clip(base + chance.normal(0, chance.uniform(0.1, 0.45), (stops, 3)), 0, 1)
    places = np.linspace(0, 1, stops)
    channels = [np.interp(np.clip(height, 0, 1), places, colours[:, channel]) for channel in range(3)]
    return Image.fromarray((np.stack(channels, 2) * 255).astype(np.uint8))


def _palette(index: npt.NDArray[np.integer], chance: np.random.Generator) -> UInt8Array:
    colours = chance.integers(0, 256, (int(index.max()) + 1, 3)).astype(np.uint8)
    return colours[index]
