"""Scenes that are drawn from a number: a ground and one to three smooth bodies on it. What the model answers on them is kept."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from liftout.tuning.network import SIZE
from liftout.tuning.pages import draw_page
from liftout.tuning.reading import draw_ground

UInt8 = npt.NDArray[np.uint8]
_PAGES = 0.35
"""How often a page is drawn instead."""


def draw_scene(seed: int, size: int = SIZE) -> UInt8:
    """uint8 [size, size, 3]. One seed, one picture."""
    chance = np.random.default_rng([seed, 78])
    if chance.random() < _PAGES:
        return draw_page(seed, size)
    scene: npt.NDArray[np.float32] = draw_ground((size, size), seed).astype(np.float32)
    for number in range(int(chance.integers(1, 4))):
        body = draw_ground((size, size), seed * 4 + number + 1).astype(np.float32)
        first, last = (float(level) for level in chance.uniform(0.5, 1.3, 2))
        light = np.linspace(first, last, size).astype(np.float32)
        body *= light[:, None, None] if chance.random() < 0.5 else light[None, :, None]
        shape = _body(chance, size)[..., None].astype(np.float32) / 255
        scene += (body.clip(0, 255) - scene) * shape
    return np.rint(scene).clip(0, 255).astype(np.uint8)


def _body(chance: np.random.Generator, size: int) -> UInt8:
    """A round outline with some waves, uint8 [size, size]."""
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radii = np.full(72, chance.uniform(0.1, 0.3) * size)
    for wave in range(2, 6):
        radii *= 1 + chance.uniform(0, 0.35) / wave * np.sin(wave * angles + chance.uniform(0, 2 * np.pi))
    stretch = chance.uniform(0.6, 1.6)
    x, y = chance.uniform(0.25, 0.75, 2) * size
    canvas = Image.new("L", (size, size))
    points = zip(x + radii * np.cos(angles) * stretch, y + radii * np.sin(angles) / stretch, strict=True)
    ImageDraw.Draw(canvas).polygon([(float(a), float(b)) for a, b in points], fill=255)
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(float(chance.uniform(0.5, 2)))))
