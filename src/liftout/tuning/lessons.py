"""What a run is shown at which step: photos with their masks, and pictures of other kinds, on which the answer must stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from liftout.models.spec import InputSpec
from liftout.tuning.drawn import draw_scene
from liftout.tuning.examples import Examples, shrunk
from liftout.tuning.recipe import Recipe
from liftout.tuning.views import INPUT, View, seen

UInt8 = npt.NDArray[np.uint8]
DRAWN = 0.3
"""Of the pictures of other kinds, how many are drawn."""
_FEATURES, _STEPS = 1, 2
"""What numbers are drawn for, so that the same step never repeats what the features hold."""


class Batch(NamedTuple):
    """photos: float32 [B, 3, h, w], as the network sees them; the last `others` are of other kinds. alphas: float32 [B - others, 1, h, w]."""

    photos: Tensor
    alphas: Tensor
    others: int


@dataclass(frozen=True)
class Lessons:
    """training: to learn from. others: photos of other kinds, may be none. seen_as: by the network."""

    training: Examples
    others: Examples
    recipe: Recipe
    seen_as: InputSpec = INPUT

    def at(self, step: int) -> Batch:
        """The batch of a step."""
        others = self.recipe.others_in_batch
        return self._batch(np.random.default_rng([self.recipe.seed, _STEPS, step]), self.recipe.batch - others, others)

    def for_features(self, number: int) -> Batch:
        """A batch whose features are computed once."""
        others = self.recipe.others_in_batch
        chance = np.random.default_rng([self.recipe.seed, _FEATURES, number])
        return self._batch(chance, self.recipe.batch - others, others)

    def sample(self, count: int) -> Tensor:
        """Photos from whose statistics the norms start, [count, 3, h, w]."""
        chance = np.random.default_rng([self.recipe.seed, 0])
        return self._batch(chance, count - count // 3, count // 3).photos

    def _batch(self, chance: np.random.Generator, count: int, others: int) -> Batch:
        photos, alphas = [], []
        for row in chance.integers(len(self.training), size=count):
            view = View.draw(chance, self.recipe.crops)
            photos.append(seen(self.training.pixels[row], view, self.seen_as))
            alphas.append(torch.from_numpy(np.asarray(view.of(self.training.masks[row]), np.float32) / 255))
        photos += [self._other(chance) for _ in range(others)]
        stacked = torch.stack(photos).contiguous(memory_format=torch.channels_last)
        return Batch(stacked, torch.stack(alphas)[:, None], others)

    def _other(self, chance: np.random.Generator) -> Tensor:
        if not len(self.others) or chance.random() < DRAWN:
            return seen(scene(int(chance.integers(2**31)), self.seen_as), View.draw(chance, 0), self.seen_as)
        row = int(chance.integers(len(self.others)))
        return seen(self.others.pixels[row], View.draw(chance, self.recipe.crops), self.seen_as)


def scene(seed: int, seen_as: InputSpec) -> UInt8:
    """A drawn scene at the network's size, uint8 [h, w, 3]."""
    drawn = draw_scene(seed)
    return drawn if drawn.shape[:2] == seen_as.size else shrunk(drawn, seen_as)[0]
