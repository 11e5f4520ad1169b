"""What a run is shown at which step: photos with their masks, and pictures of other kinds, on which the answer must stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from liftout.tuning.drawn import draw_scene
from liftout.tuning.examples import Examples
from liftout.tuning.network import SIZE
from liftout.tuning.recipe import Recipe
from liftout.tuning.views import View, normalised

UInt8 = npt.NDArray[np.uint8]
DRAWN = 0.3
"""Of the pictures of other kinds, how many are drawn."""
_FEATURES, _STEPS = 1, 2
"""What numbers are drawn for, so that the same step never repeats what the features hold."""


class Batch(NamedTuple):
    """photos: float32 [B, 3, S, S], normalised as ImageNet's; the last `others` are of other kinds. alphas: float32 [B - others, 1, S/2, S/2]."""

    photos: Tensor
    alphas: Tensor
    others: int


@dataclass(frozen=True)
class Lessons:
    """training: to learn from. others: photos of other kinds, may be none."""

    training: Examples
    others: Examples
    recipe: Recipe

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
        """Photos from whose statistics the norms start, [count, 3, S, S]."""
        chance = np.random.default_rng([self.recipe.seed, 0])
        return self._batch(chance, count - count // 3, count // 3).photos

    def _batch(self, chance: np.random.Generator, count: int, others: int) -> Batch:
        photos, alphas = [], []
        for row in chance.integers(len(self.training), size=count):
            view = View.draw(chance, self.recipe.crops)
            photos.append(seen(self.training.pixels[row], view))
            mask = np.asarray(view.of(self.training.masks[row]), np.float32) / 255
            alphas.append(torch.from_numpy(mask.reshape(SIZE // 2, 2, SIZE // 2, 2).mean((1, 3))))
        photos += [self._other(chance) for _ in range(others)]
        stacked = torch.stack(photos).contiguous(memory_format=torch.channels_last)
        return Batch(stacked, torch.stack(alphas)[:, None], others)

    def _other(self, chance: np.random.Generator) -> Tensor:
        if not len(self.others) or chance.random() < DRAWN:
            return seen(draw_scene(int(chance.integers(2**31))), View.draw(chance, 0))
        row = int(chance.integers(len(self.others)))
        return seen(self.others.pixels[row], View.draw(chance, self.recipe.crops))


def seen(pixels: UInt8, view: View = View()) -> Tensor:  # noqa: B008 - a tuple
    """A photo as a view shows it: float32 [3, S, S]."""
    shown = np.asarray(view.of(pixels), np.float32)
    return normalised((shown * np.array(view.light, np.float32)).clip(0, 255))
