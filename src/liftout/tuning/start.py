"""What a model must offer to be tuned. The built-in one does it here, those of published checkpoints in `liftout.tuning.published`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from liftout.graphs import finish
from liftout.models import packs
from liftout.models.catalog import find
from liftout.models.spec import ModelSpec
from liftout.options import DEFAULT_MODEL
from liftout.progress import Progress
from liftout.tuning.graph import read_network, store_as_bytes, to_onnx, write
from liftout.tuning.lessons import Lessons
from liftout.tuning.network import PocketNetwork
from liftout.tuning.pocket_learner import PocketLearner
from liftout.tuning.recipe import DEPTH_COST, Recipe
from liftout.tuning.views import seen

UInt8 = npt.NDArray[np.uint8]
DEPTH_SHARE = 0.3
"""Of the time that the built-in model learns, for the stages at depth alone."""
_AT_ONCE_PIXELS = 4 * 320 * 320
"""Of photos that are answered together: four of 320 x 320 pixels, one of 640 x 640 and above."""


class Learner(Protocol):
    """A network that learns, step by step. `step` counts what is done."""

    step: int

    def advance(self) -> float:
        """One step; returns its loss."""

    def weights(self) -> dict[str, Tensor]:
        """What is worth keeping: a copy of the averaged weights of what learns."""

    def at_share(self, share: float, weights: dict[str, Tensor] | None = None) -> nn.Module:
        """The network between its start, 0, and what was learnt, 1: often better than both, and nearer to what it knew.

        weights: as `weights` gives them, by default those of now. Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models",
        CVPR.
        """

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""


class Start(Protocol):
    """A model that is tuned. spec: of it, at the size at which it is tuned. file: that holds its weights. settings: all else that decides
    what a run comes to, for its fingerprint."""

    spec: ModelSpec
    file: Path
    settings: list[object]

    def check_memory(self, photos: int) -> None:
        """Raise UsageError where a run with so many photos would not fit into memory."""

    def recipe(self, steps: int, seed: int) -> Recipe:
        """How it learns in so many steps."""

    def network(self) -> nn.Module:
        """The network as it is."""

    def learner(self, recipe: Recipe, lessons: Lessons) -> Learner:
        """The network that learns."""

    def predictions(self, network: nn.Module, photos: Tensor) -> Tensor:
        """What the pack of a network gives for photos, float32 [B, 3, h, w] -> [B, 1, h, w], on the CPU."""

    def write(self, network: nn.Module, folder: Path, progress: Progress | None = None) -> int | None:
        """Write the files of a pack without its manifest; returns the memory that a run takes at its peak, in bytes, where it is known."""


class BuiltIn:
    """The built-in model as a start, with the weights that it ships with. Its memory is not looked at: it takes half a gigabyte."""

    def __init__(self) -> None:
        pack = packs.built_in(DEFAULT_MODEL)
        assert pack is not None  # noqa: S101 - it ships
        self.spec, self.file = find(DEFAULT_MODEL), pack.network
        self.settings: list[object] = []

    def check_memory(self, photos: int) -> None:
        """See `Start`."""

    def recipe(self, steps: int, seed: int) -> Recipe:
        """So many steps, shared so that the stages at depth alone have their part of the time."""
        depth = round(steps * (DEPTH_SHARE / DEPTH_COST) / (DEPTH_SHARE / DEPTH_COST + 1 - DEPTH_SHARE))
        return Recipe(depth_steps=depth, decoder_steps=steps - depth, seed=seed)

    def network(self) -> PocketNetwork:
        """See `Start`."""
        network: PocketNetwork = read_network(self.file).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def learner(self, recipe: Recipe, lessons: Lessons) -> PocketLearner:
        """See `Start`."""
        return PocketLearner(self.network(), recipe, lessons)

    def predictions(self, network: nn.Module, photos: Tensor) -> Tensor:
        """See `Start`."""
        logits = _pocket(network).logits(photos.contiguous(memory_format=torch.channels_last))[0]
        return torch.sigmoid(functional.interpolate(logits, scale_factor=2.0, mode="bilinear"))

    def write(self, network: nn.Module, folder: Path, progress: Progress | None = None) -> None:
        """See `Start`."""
        write(store_as_bytes(to_onnx(_pocket(network))), folder / packs.NETWORK)


def answers(start: Start, network: nn.Module, pixels: UInt8) -> UInt8:
    """The alphas of photos at the network's size, as its pack gives them. pixels: uint8 [N, h, w, 3]. Returns uint8 [N, h, w]."""
    alphas = np.zeros(pixels.shape[:3], np.uint8)
    size = pixels.shape[1], pixels.shape[2]
    at_once = max(1, _AT_ONCE_PIXELS // (size[0] * size[1]))
    for first in range(0, len(pixels), at_once):
        photos = torch.stack([seen(photo, seen_as=start.spec.input) for photo in pixels[first : first + at_once]])
        with torch.no_grad():
            predictions = start.predictions(network, photos).numpy()
        for row, prediction in enumerate(predictions, first):
            alphas[row] = finish(prediction[None], size, start.spec.output)
    return alphas


def _pocket(network: nn.Module) -> PocketNetwork:
    assert isinstance(network, PocketNetwork)  # noqa: S101 - of this start
    return network
