"""How well a network does on photos with masks, and how much it still answers what another one answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from liftout.tuning.checking import overlap
from liftout.tuning.lessons import seen
from liftout.tuning.network import PocketNetwork

UInt8 = npt.NDArray[np.uint8]
_AT_ONCE = 4


@dataclass(frozen=True)
class Figures:
    """Means over photos. iou: intersection over union, decided at one half. mae: mean error of alpha, from 0 to 1."""

    photos: int
    iou: float
    mae: float

    def to_dict(self) -> dict[str, float]:
        """For a manifest."""
        return {name: round(value, 5) for name, value in asdict(self).items()}


def answers(network: PocketNetwork, pixels: UInt8) -> UInt8:
    """The alphas of photos, as the network's file gives them. pixels: uint8 [N, S, S, 3]. Returns uint8 [N, S, S]."""
    alphas = np.zeros(pixels.shape[:3], np.uint8)
    for start in range(0, len(pixels), _AT_ONCE):
        photos = torch.stack([seen(photo) for photo in pixels[start : start + _AT_ONCE]])
        with torch.no_grad():
            logits = network.logits(photos.contiguous(memory_format=torch.channels_last))[0]
            whole = torch.sigmoid(functional.interpolate(logits, scale_factor=2.0, mode="bilinear"))
        alphas[start : start + _AT_ONCE] = torch.round(whole[:, 0] * 255).to(torch.uint8).numpy()
    return alphas


def figures(alphas: UInt8, masks: UInt8) -> Figures:
    """Of alphas against masks, both uint8 [N, S, S]. Nothing measured counts as no error."""
    if not len(alphas):
        return Figures(0, 1.0, 0.0)
    overlaps = [overlap(alpha, mask) for alpha, mask in zip(alphas, masks, strict=True)]
    errors = [
        float(np.abs(alpha.astype(np.int16) - mask).mean()) / 255 for alpha, mask in zip(alphas, masks, strict=True)
    ]
    return Figures(len(alphas), float(np.mean(overlaps)), float(np.mean(errors)))
