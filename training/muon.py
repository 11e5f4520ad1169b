"""Muon: momentum whose matrices are made orthogonal before they are followed.

A gradient of a convolution is mostly a few strong directions; a step of equal length in all of them teaches the rare ones too. Here
it reaches in 90 steps what Adam reaches in 220, for a tenth more time a step (see RUNS.md). Kernels [O, I, h, w] count as matrices [O, I h w].

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; coefficients of the iteration from there.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
STEP = 0.2
"""Liu et al. 2025, "Muon is scalable for LLM training", section 2.2."""


class Muon(torch.optim.Optimizer):
    """parameters: of two or more dimensions. lr: a step changes a weight by a fifth of it, root mean square, which is about what
    Adam does at the same rate. momentum: Nesterov's. decay: share of a weight that a step at rate 1 takes away."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.0):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                update = weight.grad.lerp(state["momentum"], group["momentum"])
                matrix = orthogonal(update.flatten(1))
                scale = STEP * max(matrix.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["decay"])
                weight.add_(matrix.view(weight.shape), alpha=-group["lr"] * scale)


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix whose singular values are all about one. float32 [m, n] -> the same."""
    a, b, c = COEFFICIENTS
    wide = matrix.shape[0] <= matrix.shape[1]
    x = (matrix if wide else matrix.T).float()
    x = x / (x.norm() + 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else x.T
