"""A published network as it learns: one for all families, which differ by `liftout.tuning.families` alone.

The photos of a step go through the network one by one, and their gradients are added: batch norms keep their statistics, so that this is the
same as all at once, and one photo decides the memory. On pictures of other kinds the answer of the network as it was is what is to be answered.
"""

from __future__ import annotations

import copy
import functools
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from liftout.errors import OutOfMemory
from liftout.remedies import UseOption
from liftout.tuning.families import Family
from liftout.tuning.lessons import Lessons
from liftout.tuning.loss import mask_loss, stays
from liftout.tuning.low_rank import is_adapter, merge_adapters
from liftout.tuning.recipe import Recipe


class PublishedLearner:
    """See `liftout.tuning.start.Learner`.

    network: that gives logits, on its device; what of it learns is copied. recompute: units again in the backward pass. bf16: compute in
    it where torch knows that it is enough.
    """

    def __init__(
        self,
        network: nn.Module,
        family: Family,
        recipe: Recipe,
        lessons: Lessons,
        *,
        bf16: bool,
        recompute: bool,
        frozen_backbone: bool,
    ) -> None:
        self.recipe, self.lessons, self.step = recipe, lessons, 0
        self._bf16 = bf16
        family.prepare(network, frozen_backbone=frozen_backbone, seed=recipe.seed)
        self.network, self._device = network, next(network.parameters()).device
        self.learnt = {name: values for name, values in network.named_parameters() if values.requires_grad}
        self._start = {name: values.detach().clone() for name, values in self.learnt.items()}
        for values in self.learnt.values():
            values.data = values.data.clone()  # a checkpoint on the CPU is shared with whoever reads it again
        self._averaged = {name: values.clone() for name, values in self._start.items()}
        if recompute:
            for _, unit in family.units_of(network):
                unit.forward = functools.partial(
                    checkpoint, unit.forward, use_reentrant=False, preserve_rng_state=False
                )
        adapters = [values for name, values in self.learnt.items() if is_adapter(name)]
        others = [values for name, values in self.learnt.items() if not is_adapter(name)]
        groups = [{"params": others, "scale": 1.0}, {"params": adapters, "scale": family.adapter_rate}]
        self._optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]], weight_decay=recipe.decay, betas=(0.9, 0.99)
        )

    def advance(self) -> float:
        """See `Learner`. Raises OutOfMemory."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.rate_at(self.step) * group["scale"]
        self._optimizer.zero_grad()
        try:
            loss = self._backward()
        except torch.OutOfMemoryError:
            raise OutOfMemory("the GPU's memory ran out", remedy=(UseOption("size"), "free some of it")) from None
        nn.utils.clip_grad_norm_(self.learnt.values(), 2.0)
        self._optimizer.step()
        self.step += 1
        kept = min(self.recipe.averaging, self.step / (self.step + 20))
        for name, values in self._averaged.items():
            values.lerp_(self.learnt[name].detach(), 1 - kept)
        return loss

    def weights(self) -> dict[str, Tensor]:
        """See `Learner`."""
        return {name: values.cpu().clone() for name, values in self._averaged.items()}

    def at_share(self, share: float, weights: dict[str, Tensor] | None = None) -> nn.Module:
        """See `Learner`."""
        mixed = copy.deepcopy(self.network).requires_grad_(False)
        for module in mixed.modules():
            module.__dict__.pop("forward", None)  # without computing units again
        parameters, chosen = dict(mixed.named_parameters()), weights or self._averaged
        for name, values in self._start.items():
            new = chosen[name].to(values.device)
            parameters[name].data.copy_(new if is_adapter(name) else values.lerp(new, share))
        merge_adapters(mixed, share)
        return mixed

    def state(self) -> dict[str, Any]:
        """See `Learner`."""
        return {
            "step": self.step,
            "learnt": {name: values.detach() for name, values in self.learnt.items()},
            "averaged": self._averaged,
            "optimizer": self._optimizer.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """See `Learner`."""
        self.step = state["step"]
        for name, values in self.learnt.items():
            values.data.copy_(state["learnt"][name])
            self._averaged[name].copy_(state["averaged"][name])
        self._optimizer.load_state_dict(state["optimizer"])

    def _backward(self) -> float:
        """Gradients of a batch; returns its loss."""
        batch, recipe, total = self.lessons.at(self.step), self.recipe, 0.0
        own = len(batch.alphas)
        for row in range(len(batch.photos)):
            photo = batch.photos[row : row + 1].to(self._device)
            if row < own:
                alpha = batch.alphas[row : row + 1].to(self._device)
                loss = mask_loss(self._logits(photo), alpha, recipe.overlap) / own
            else:
                with torch.no_grad(), self._autocast():
                    before = torch.func.functional_call(self.network, self._start, (photo,)).float()
                loss = stays(self._logits(photo), before) * (recipe.keeping / batch.others)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def _logits(self, photos: Tensor) -> Tensor:
        with self._autocast():
            logits: Tensor = self.network(photos)
        return logits.float()

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16)
