"""How close alphas are to masks, or to other alphas."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from liftout.tuning.checking import overlap

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Figures:
    """Means over photos. iou: intersection over union, decided at one half. mae: mean error of alpha, from 0 to 1."""

    photos: int
    iou: float
    mae: float

    def to_dict(self) -> dict[str, float]:
        """For a manifest."""
        return {name: round(value, 5) for name, value in asdict(self).items()}


def figures(alphas: UInt8, masks: UInt8) -> Figures:
    """Of alphas against masks, both uint8 [N, h, w]. Nothing measured counts as no error."""
    if not len(alphas):
        return Figures(0, 1.0, 0.0)
    overlaps = [overlap(alpha, mask) for alpha, mask in zip(alphas, masks, strict=True)]
    errors = [
        float(np.abs(alpha.astype(np.int16) - mask).mean()) / 255 for alpha, mask in zip(alphas, masks, strict=True)
    ]
    return Figures(len(alphas), float(np.mean(overlaps)), float(np.mean(errors)))
