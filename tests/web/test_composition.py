"""Canvases, shadows, feathered edges and gradients: the same pixels in the browser as in Python."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Visit
from PIL import Image

from liftout.cutout import Cutout
from liftout.images import decode
from liftout.options import ResultOptions
from liftout.render import render

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

OPTIONS: list[dict[str, Any]] = [
    {"feather": 3},
    {"feather": 9, "crop": True, "margin": 5, "background": "#1e90ff"},
    {"shadow": True},
    {"shadow": True, "crop": True, "background": "white"},
    {"contact_shadow": True, "background": "#f4f4f0"},
    {"shadow": True, "contact_shadow": True, "crop": True, "margin": 12},
    {"canvas": "120x160"},
    {"canvas": "500x400", "enlarge": True, "margin": 17, "position": "bottom-left", "background": "white"},
    {"canvas": "300x300", "enlarge": True, "subject_size": 60, "position": "20%,85.5%", "shadow": True},
    {"canvas": "20x25mm", "margin": 9, "contact_shadow": True, "feather": 2, "background": "linear:white:#c8d0d8"},
    {"canvas": "200x120", "background": "blur:6"},
    {"canvas": "90x90", "mask": True, "subjects": "largest", "threshold": 100},
    {"background": "linear:#ff8800:#0044aa:37"},
    {"background": "radial:white:#667788", "crop": True, "fill_holes": True},
    {"background": "blur:14"},
]


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


@pytest.fixture
def photo(examples: Path) -> bytes:
    """A photo with an alpha of its own: two subjects, one of them with a hole, and haze."""
    with Image.open(examples / "cat.jpg") as image:
        pixels = np.asarray(image.convert("RGB").resize((211, 140)))
    y, x = np.mgrid[:140, :211]
    large = 255 * (44 - np.hypot(y - 78, x - 84)) / 6
    hole = 255 * (np.hypot(y - 70, x - 80) - 9) / 4
    small = 255 * (15 - np.hypot(y - 40, x - 176)) / 3
    alpha = np.clip(np.maximum(np.minimum(large, hole), small), 4 * (y > 120), 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.dstack([pixels, alpha])).save(stream, "PNG")
    return stream.getvalue()


def test_what_is_composed_has_the_pixels_of_python(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str], photo: bytes
) -> None:
    found = visit().run(
        """
        const lifter = await Lifter.load("opaque");
        const result = [];
        for (const options of argument[1]) {
          result.push(await bytesOf((await lifter.cut(await photo(argument[0]), options)).blob));
        }
        return result;
        """,
        [put_photo("composed.png", photo), [{camel(name): value for name, value in one.items()} for one in OPTIONS]],
    )
    assert isinstance(found, list), found
    decoded = decode(photo)
    assert decoded.alpha is not None
    wrong = []
    for content, given in zip(found, OPTIONS, strict=True):
        options = ResultOptions(**given)
        expected = pixels_of(render(Cutout(decoded, decoded.alpha), options).content)
        actual = pixels_of(content.encode("latin1"))
        # a blur is sharpened again by a bicubic filter: ties may fall the other way
        allowed = 0.001 if str(options.background).startswith("blur") else 0
        away = np.abs(actual.astype(int) - expected) if actual.shape == expected.shape else np.full(1, 255)
        if away.max() > (1 if allowed else 0) or (away > 0).mean() > allowed:
            wrong.append((given, actual.shape, expected.shape, away.max(), (away > 0).mean()))
    assert not wrong, "\n".join(map(str, wrong))


def test_a_print_says_its_resolution_and_what_cannot_be_is_refused(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str], photo: bytes
) -> None:
    found = visit().run(
        """
        const lifter = await Lifter.load("opaque");
        const result = [];
        for (const options of argument[1]) {
          try {
            result.push(await bytesOf((await lifter.cut(await photo(argument[0]), options)).blob));
          } catch (error) {
            result.push(`${error.name}: ${error.message}`);
          }
        }
        return result;
        """,
        [
            put_photo("print.png", photo),
            [
                {"canvas": "20x25mm"},
                {"canvas": "20x25mm", "format": "jpeg"},
                {"canvas": "40x40", "margin": 20},
                {"background": "linear:white"},
                {"background": "linear:white:nothing"},
                {"background": "blur:0"},
            ],
        ],
    )
    for content in found[:2]:
        with Image.open(io.BytesIO(content.encode("latin1"))) as image:
            assert image.size == (236, 295)
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    said = ("leaves no room", "is not a gradient", "is not a gradient", "radius must be")
    for line, words in zip(found[2:], said, strict=True):
        assert line.startswith("UsageError: ")
        assert words in line


def pixels_of(content: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(content)))
