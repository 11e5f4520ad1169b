"""Low-rank adapters: beside a linear layer that stays, a product of two thin matrices that learns.

    y = x W^T + b + (x D^T) U^T,  D [rank, inputs], U [outputs, rank]

U starts at zero, so that at first nothing is changed; at the end U D is added to W, and the network has its own form again.

Source: Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models", ICLR, arXiv:2106.09685.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional

RANK = 8


class LowRank(nn.Module):
    """A linear layer with its adapter. generator: D is drawn with it."""

    def __init__(self, linear: nn.Linear, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        weight, bound = linear.weight, linear.in_features**-0.5
        down = torch.empty(RANK, linear.in_features, device="cpu").uniform_(-bound, bound, generator=generator)
        self.down = nn.Parameter(down.to(weight.device))
        self.up = nn.Parameter(torch.zeros(linear.out_features, RANK, device=weight.device))

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]."""
        y: Tensor = self.linear(x)
        return y + functional.linear(functional.linear(x, self.down), self.up)

    def merged(self, share: float) -> nn.Linear:
        """The layer with so much of the adapter in its weights."""
        with torch.no_grad():
            self.linear.weight.add_(self.up @ self.down, alpha=share)
        return self.linear


def add_adapters(network: nn.Module, pattern: str, generator: torch.Generator) -> None:
    """Put an adapter beside each linear layer whose whole name matches."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Linear) and re.fullmatch(pattern, name):
            network.set_submodule(name, LowRank(module, generator))


def merge_adapters(network: nn.Module, share: float) -> None:
    """Take the adapters out again, with so much of each in its layer."""
    for name, module in list(network.named_modules()):
        if isinstance(module, LowRank):
            network.set_submodule(name, module.merged(share))


def is_adapter(parameter: str) -> bool:
    """Whether a parameter, by its name, belongs to an adapter."""
    return parameter.endswith((".down", ".up"))
