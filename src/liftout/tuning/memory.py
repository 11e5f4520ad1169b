"""How much memory the tuning of a published network takes, worked out before it starts.

The network runs once without values, on torch's `meta` device, and what it keeps for the backward pass is counted: that grows with the pixels,
weights and optimizer do not. Where it is too much, units keep their input alone and compute the rest again (Chen et al. 2016,
"Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174); then one unit's maps at a time are there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from liftout.networks import ARCHITECTURES
from liftout.tuning.families import Family

COPIES = 6
"""Of what learns: gradients, both moments of AdamW, the average, the start, and what a step of the optimizer needs."""
WORKING = 3.0
"""Largest maps that a backward pass holds beside those that are counted: gradients of inputs and outputs."""
MARGIN = 1.15
"""By how much kernels keep more than is counted: on a processor up to a seventh, in BiRefNet."""
RUNTIME = 600_000_000
"""PyTorch itself, and a GPU's context."""


@dataclass(frozen=True)
class Need:
    """Bytes. network: its weights. learning: all that goes with what learns. maps: kept for the backward pass. recomputed: the same where units
    are computed again. working: beside either."""

    network: int
    learning: int
    maps: int
    recomputed: int
    working: int

    def total(self, *, recompute: bool) -> int:
        """In all, with or without computing units again. To be measured, the network is copied, when there are no maps."""
        maps = self.recomputed if recompute else self.maps
        return RUNTIME + self.network + self.learning + self.working + max(maps, self.network)

    def scaled(self, factor: float) -> Need:
        """Of so many times the pixels."""
        maps, recomputed, working = (round(factor * part) for part in (self.maps, self.recomputed, self.working))
        return Need(self.network, self.learning, maps, recomputed, working)


def need(architecture: str, family: Family, size: tuple[int, int], *, bf16: bool, frozen_backbone: bool) -> Need:
    """Of a step with photos of a size, (height, width), one by one."""
    with torch.device("meta"):
        network = ARCHITECTURES[architecture].build(sigmoid=False)
        family.prepare(network, frozen_backbone=frozen_backbone, seed=0)
        count = _Count({values.untyped_storage()._cdata for values in network.state_dict(keep_vars=True).values()})
        for _, unit in family.units_of(network):
            unit.register_forward_pre_hook(count.enter)
            unit.register_forward_hook(count.leave)
        with torch.autograd.graph.saved_tensors_hooks(count.save, _given_back):
            result: Tensor = network(torch.zeros(1, 3, *size))
    share = family.bf16_share if bf16 else 1.0
    weights = sum(values.nbytes for values in network.state_dict().values())
    learnt = sum(values.nbytes for values in network.parameters() if values.requires_grad)
    outside = sum(count.outside.values())
    inside = [sum(unit.values()) for unit in count.units]
    inputs = {key: size for key, size in count.inputs.items() if key not in count.outside}
    largest = max([*count.outside.values(), *(size for unit in count.units for size in unit.values())], default=0)
    del result
    return Need(
        network=round(weights * (1.5 if bf16 else 1)),  # autocast keeps them in bf16 as well
        learning=COPIES * learnt,
        maps=round(MARGIN * share * (outside + sum(inside))),
        recomputed=round(MARGIN * share * (outside + sum(inputs.values()) + max(inside, default=0))),
        working=round(share * WORKING * largest),
    )


@dataclass
class _Count:
    """Bytes by storage. weights: storages that are no maps. outside: kept outside of units. units: kept in each. inputs: of the units."""

    weights: set[int]
    outside: dict[int, int] = field(default_factory=dict)
    units: list[dict[int, int]] = field(default_factory=list)
    inputs: dict[int, int] = field(default_factory=dict)
    _inside: bool = False
    _seen: set[int] = field(default_factory=set)
    _held: list[Tensor] = field(default_factory=list)

    def enter(self, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        """A unit begins."""
        self._inside = True
        self.units.append({})
        self._held.extend(given)  # or another tensor would get a key of these
        for values in given:
            self.inputs[values.untyped_storage()._cdata] = values.untyped_storage().nbytes()

    def leave(self, *_: object) -> None:
        """It ends."""
        self._inside = False

    def save(self, values: Tensor) -> Tensor:
        """A tensor is kept."""
        storage = values.untyped_storage()
        key = storage._cdata
        if key not in self.weights and key not in self._seen:
            self._seen.add(key)
            self._held.append(values)
            (self.units[-1] if self._inside else self.outside)[key] = storage.nbytes()
        return values


def _given_back(values: Tensor) -> Tensor:
    return values
