"""The built-in network as it learns, step by step.

First only the stages at depth learn: they decide what the subject is, cost a sixth of a whole step, and see features of the first
stages that are computed once. Then everything behind the first two stages learns. On pictures of other kinds the answer of the network as it
was is what is to be answered (Li and Hoiem 2017, "Learning without Forgetting", doi:10.1109/TPAMI.2017.2773081).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from liftout.tuning.lessons import Lessons
from liftout.tuning.loss import mask_loss, stays
from liftout.tuning.network import SIDES, PocketNetwork, add_norms, average, folded, halve
from liftout.tuning.recipe import Recipe

NORM_PHOTOS = 24
"""Photos from whose statistics the norms start."""
_FINEST = SIDES[0]


@dataclass(frozen=True)
class _Features:
    """Of views: details, what stage 3 sees, float16 [V, 64, S/4, S/4]; alphas, float32 [V, 1, S/2, S/2], of the first V - O; kept, the logits of the
    network as it was on the last O, float32 [O, 1, S/4, S/4]."""

    details: Tensor
    alphas: Tensor
    kept: Tensor


class PocketLearner:
    """See `liftout.tuning.start.Learner`."""

    def __init__(self, start: PocketNetwork, recipe: Recipe, lessons: Lessons) -> None:
        self.recipe, self.lessons = recipe, lessons
        self.old = _laid_out(start)
        self.network = _laid_out(copy.deepcopy(start))
        learnt = [self.network.depth, self.network.fine]
        for part in learnt:
            part.requires_grad_(True)
        for number in SIDES[1:]:  # masks that only a longer training has
            self.network.depth.get_submodule(f"side{number}").requires_grad_(False)
        photos = lessons.sample(NORM_PHOTOS)
        add_norms(learnt, lambda: self.network(photos))
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self._parameters = {
            "depth": [weight for weight in self.network.depth.parameters() if weight.requires_grad],
            "decoder": [weight for part in learnt for weight in part.parameters() if weight.requires_grad],
        }
        self.optimizer = self._optimizer("depth" if recipe.depth_steps else "decoder")
        self.step = 0
        self._features: _Features | None = None

    def advance(self) -> float:
        """One step; returns its loss."""
        part = self.recipe.part_at(self.step)
        if self.step == self.recipe.depth_steps and self.step:
            self.begin_decoder()
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate_at(self.step)
        loss = self._depth_loss() if part == "depth" else self._decoder_loss()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters[part], 2.0)
        self.optimizer.step()
        self.step += 1
        since = self.step if part == "depth" else self.step - self.recipe.depth_steps + 20
        average(self.averaged, self.network, 1 - min(self.recipe.averaging, since / (since + 20)))
        return float(loss.detach())

    def begin_decoder(self) -> None:
        """The second part starts from the averaged weights of the first; the features are given back."""
        self.network.load_state_dict(self.averaged.state_dict())
        self.optimizer = self._optimizer("decoder")
        self._features = None

    def weights(self) -> dict[str, Tensor]:
        """Those averaged, copied."""
        return copy.deepcopy(self.averaged.state_dict())

    def at_share(self, share: float, weights: dict[str, Tensor] | None = None) -> PocketNetwork:
        """The network between its start, 0, and what was learnt, 1, without norms. weights: by default those of now."""
        learnt = self.averaged
        if weights is not None:
            learnt = copy.deepcopy(self.averaged)
            learnt.load_state_dict(weights)
        mixed = copy.deepcopy(self.old)
        average(mixed, folded(learnt), share)
        return mixed

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.step = state["step"]
        self.optimizer = self._optimizer(self.recipe.part_at(self.step - 1) if self.step else "depth")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _optimizer(self, part: str) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self._parameters[part], weight_decay=self.recipe.decay, betas=(0.9, 0.99))

    def _depth_loss(self) -> Tensor:
        if self._features is None:
            self._features = self._computed_features()
        features, recipe = self._features, self.recipe
        chance = np.random.default_rng([recipe.seed, 4, self.step])
        others = recipe.others_in_batch
        own = chance.choice(len(features.alphas), recipe.batch - others, replace=False)
        other = chance.choice(len(features.kept), others, replace=False) if others else np.zeros(0, np.int64)
        rows = torch.from_numpy(np.concatenate([own, len(features.alphas) + other]))
        details = features.details[rows].float().contiguous(memory_format=torch.channels_last)
        logits = self.network.depth(details)[1][_FINEST]
        alphas = functional.avg_pool2d(features.alphas[torch.from_numpy(own)], 2)
        loss = mask_loss(logits[: len(own)], alphas, recipe.overlap)
        if others:
            loss = loss + recipe.keeping * stays(logits[len(own) :], features.kept[torch.from_numpy(other)])
        return loss

    def _decoder_loss(self) -> Tensor:
        batch, recipe = self.lessons.at(self.step), self.recipe
        with torch.no_grad():
            details = self.network.encoder(batch.photos)
            small = halve(details)
        deep, logits, means = self.network.depth(small)
        coarse = logits[_FINEST]
        fine = self.network.fine(details, deep, coarse) + self.network.presence(means)
        own, alphas = len(batch.alphas), functional.avg_pool2d(batch.alphas, 2)
        loss = mask_loss(fine[:own] / 2, alphas, recipe.overlap)
        loss = loss + mask_loss(coarse[:own], functional.avg_pool2d(alphas, 2), recipe.overlap)
        if batch.others:
            with torch.no_grad():
                old_deep, old_logits, old_means = self.old.depth(small[own:])
                old_fine = self.old.fine(details[own:], old_deep, old_logits[_FINEST]) + self.old.presence(old_means)
            kept = stays(coarse[own:], old_logits[_FINEST]) + stays(fine[own:] / 2, old_fine / 2)
            loss = loss + recipe.keeping * kept
        return loss

    def _computed_features(self) -> _Features:
        """Features of as many views as the recipe says, by batches as they would be drawn."""
        recipe = self.recipe
        own = recipe.batch - recipe.others_in_batch
        views = min(recipe.most_views, recipe.views * len(self.lessons.training) * recipe.batch // own)
        views = min(views, max(2 * recipe.batch, recipe.depth_steps * recipe.batch // 2))  # each is seen twice at least
        details, alphas, other_details, kept = [], [], list[Tensor](), list[Tensor]()
        for number in range(max(1, views // recipe.batch)):
            batch = self.lessons.for_features(number)
            with torch.no_grad():
                small = halve(self.network.encoder(batch.photos))
                if batch.others:
                    kept.append(self.old.depth(small[own:])[1][_FINEST])
                    other_details.append(small[own:].half())
                details.append(small[:own].half())
            alphas.append(functional.avg_pool2d(batch.alphas, 2))
        nothing = [torch.zeros((0, 1, 1, 1))]
        return _Features(torch.cat([*details, *other_details]), torch.cat(alphas), torch.cat(kept or nothing))


def _laid_out(network: PocketNetwork) -> PocketNetwork:
    laid_out: PocketNetwork = network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return laid_out.requires_grad_(False)
