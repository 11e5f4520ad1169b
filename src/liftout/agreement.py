"""How close two forms of a network are, told on photos.

    agreement = measure(reduced, original, spec, photos)
    agreement.meets(BARS["int8"])

The same figures decide whether a reduced pack may be made (`liftout.convert.precision`) and whether a faster precision may be
used on this machine (`liftout.engines.choice`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from liftout import graphs
from liftout.models.spec import ModelSpec

UInt8 = npt.NDArray[np.uint8]


class Runs(Protocol):
    """What is compared: anything with an engine's `run`."""

    def run(self, tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """See `liftout.engines.Network.run`."""


@dataclass(frozen=True)
class Bar:
    """What a reduced network must reach: mean difference of alpha in [0, 1] at most, IoU at 128 at least. Both bound averages over
    the photos; one photo may be worse, and the report names the worst by either."""

    mean: float
    iou: float

    def to_dict(self) -> dict[str, Any]:
        """What a manifest records."""
        return {"mean_difference": self.mean, "iou_at_128": self.iou, "bounds": "averages over the photos"}


BARS = {"fp16": Bar(0.005, 0.995), "bf16": Bar(0.005, 0.995), "int8": Bar(0.02, 0.97)}


@dataclass(frozen=True, kw_only=True)
class OnPhoto:
    """Agreement on one photo. difference: mean absolute, of alpha in [0, 1]. iou: of the parts with alpha of 128 or more,
    1.0 where neither has any. high: 99.9th percentile of the difference."""

    name: str
    difference: float
    high: float
    iou: float

    def to_dict(self) -> dict[str, Any]:
        """What a manifest records."""
        return {
            "photo": self.name,
            "mean_difference": round(self.difference, 6),
            "iou_at_128": round(self.iou, 6),
        }


@dataclass(frozen=True)
class Agreement:
    """Agreement over photos."""

    photos: tuple[OnPhoto, ...]
    high: float
    """99.9th percentile of the absolute difference over all pixels of all photos."""

    @property
    def difference(self) -> float:
        """Mean over photos of the mean absolute difference of alpha in [0, 1]."""
        return float(np.mean([photo.difference for photo in self.photos]))

    @property
    def iou(self) -> float:
        """Mean over photos of the IoU at 128."""
        return float(np.mean([photo.iou for photo in self.photos]))

    @property
    def worst(self) -> OnPhoto:
        """The photo with the largest mean difference."""
        return max(self.photos, key=lambda photo: photo.difference)

    @property
    def worst_iou(self) -> OnPhoto:
        """The photo with the smallest IoU: another one than `worst` where little of a photo is subject."""
        return min(self.photos, key=lambda photo: photo.iou)

    def meets(self, bar: Bar) -> bool:
        """Whether the bar is reached; no photos reach none."""
        return bool(self.photos) and self.difference <= bar.mean and self.iou >= bar.iou

    def to_dict(self) -> dict[str, Any]:
        """What a manifest records."""
        return {
            "photos": len(self.photos),
            "mean_difference": round(self.difference, 6),
            "p99_9_difference": round(self.high, 6),
            "iou_at_128": round(self.iou, 6),
            "worst": self.worst.to_dict(),
            "worst_iou": self.worst_iou.to_dict(),
        }


def compare(alpha: UInt8, reference: UInt8, name: str) -> tuple[OnPhoto, npt.NDArray[np.int64]]:
    """Two alphas uint8 [H, W] of one photo, and how many pixels differ by how many levels: int64 [256]."""
    levels = np.bincount(np.abs(alpha.astype(np.int16) - reference).ravel(), minlength=256)
    one, other = alpha >= 128, reference >= 128
    either = int((one | other).sum())
    iou = int((one & other).sum()) / either if either else 1.0
    difference = float((levels * np.arange(256)).sum() / levels.sum() / 255)
    return OnPhoto(name=name, difference=difference, high=_percentile(levels), iou=iou), levels


def measure(network: Runs, reference: Runs, spec: ModelSpec, photos: Iterable[tuple[str, UInt8]]) -> Agreement:
    """Run both on every photo (name, uint8 [H, W, 3] sRGB) and compare the alphas at the photo's size."""
    photos_compared, total = [], np.zeros(256, np.int64)
    for name, photo in photos:
        tensor, box = graphs.prepare(photo, spec.input)
        size = (photo.shape[0], photo.shape[1])
        alpha = graphs.finish(network.run(tensor), size, spec.output, box=box)
        reference_alpha = graphs.finish(reference.run(tensor), size, spec.output, box=box)
        one, levels = compare(alpha, reference_alpha, name)
        photos_compared.append(one)
        total += levels
    return Agreement(tuple(photos_compared), _percentile(total) if photos_compared else 0.0)


def _percentile(levels: npt.NDArray[np.int64], share: float = 0.999) -> float:
    """The difference in [0, 1] that `share` of all pixels do not exceed."""
    return float(np.searchsorted(np.cumsum(levels), share * levels.sum()) / 255)
