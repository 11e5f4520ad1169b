"""How a photo is shown to the network that learns: in part, mirrored, in another light."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from liftout.tuning.network import MEAN, STD

UInt8 = npt.NDArray[np.uint8]

SMALLEST_CROP = 0.7
"""Of a photo's sides, where a part of it is shown."""


class View(NamedTuple):
    """How a photo is shown. box: left, top, right, bottom, as shares of its sides. light: factor of each colour."""

    mirrored: bool = False
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @classmethod
    def draw(cls, chance: np.random.Generator, crops: float) -> View:
        """Half of the views are mirrored; a share `crops` shows a part."""
        sides = chance.uniform(SMALLEST_CROP, 1, 2) if chance.random() < crops else np.ones(2)
        left, top = chance.uniform(0, 1, 2) * (1 - sides)
        light = chance.uniform(0.75, 1.25) * chance.uniform(0.93, 1.07, 3)
        box = (float(left), float(top), float(left + sides[0]), float(top + sides[1]))
        return cls(bool(chance.integers(2)), box, tuple(light.tolist()))

    def of(self, picture: UInt8) -> Image.Image:
        """The part of `picture`, uint8 [h, w] or [h, w, 3], that is shown, at the size of the whole."""
        seen = Image.fromarray(np.ascontiguousarray(picture[:, ::-1] if self.mirrored else picture))
        if self.box == (0.0, 0.0, 1.0, 1.0):
            return seen
        box = tuple(share * seen.size[place % 2] for place, share in enumerate(self.box))
        return seen.resize(seen.size, Image.Resampling.BILINEAR, box)  # type: ignore[arg-type]


def normalised(pixels: npt.NDArray[Any]) -> Tensor:
    """uint8 or float [h, w, 3] in 0 to 255 -> float32 [3, h, w], normalised as ImageNet's photos are."""
    scaled = (np.asarray(pixels, np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return torch.from_numpy(scaled).permute(2, 0, 1)
