"""How a photo is shown to the network that learns: in part, mirrored, in another light."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from liftout.models.spec import InputSpec
from liftout.tuning.network import SIZE

UInt8 = npt.NDArray[np.uint8]

INPUT = InputSpec(size=(SIZE, SIZE))
"""How the built-in model sees a photo."""
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


def normalised(pixels: npt.NDArray[Any], seen_as: InputSpec = INPUT) -> Tensor:
    """uint8 or float [h, w, 3] in 0 to 255 -> float32 [3, h, w], scaled and normalised as `seen_as` says."""
    levels = np.asarray(pixels, np.float32)
    largest = max(float(levels.max()), 1.0) if seen_as.scale == "max" else 255
    scaled = (levels / largest - np.array(seen_as.mean, np.float32)) / np.array(seen_as.std, np.float32)
    return torch.from_numpy(scaled).permute(2, 0, 1)


def seen(pixels: UInt8, view: View = View(), seen_as: InputSpec = INPUT) -> Tensor:  # noqa: B008 - a tuple
    """A photo as a view shows it: float32 [3, h, w]. pixels: uint8 [h, w, 3]."""
    shown = np.asarray(view.of(pixels), np.float32)
    return normalised((shown * np.array(view.light, np.float32)).clip(0, 255), seen_as)
