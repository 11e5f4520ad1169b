"""The pocket network: a photo in, the alpha of its subject out.

Made for CPUs and WASM, where the cost of a layer is memory traffic as much as arithmetic: an eight-pixel patch stem goes
to a quarter of the size at once, everything after it is dense 3x3 convolutions at a quarter of the size and below (they
reach ten times the arithmetic rate of depthwise ones there), and the last map is predicted at half size by moving channels
into pixels. The encoder is a small residual network (He et al. 2016, "Deep Residual Learning", CVPR) whose deepest stage
sees the whole photo; the decoder adds what each stage knows about detail (Lin et al. 2017, "Feature Pyramid Networks",
CVPR) and is supervised at every depth while it is trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

SIZE = 256
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
WIDTHS = (32, 64, 160, 224)
"""Channels at 1/4, 1/8, 1/16 and 1/32 of the size."""


class PocketNetwork(nn.Module):
    """RGB float32 [B, 3, S, S], ImageNet-normalised, S a multiple of 32 -> alpha float32 [B, 1, S, S] in [0, 1].

    `logits` gives the same before the sigmoid together with the coarser maps that training supervises.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, depths: Sequence[int] = (2, 3, 2)):
        super().__init__()
        quarter, eighth, sixteenth, last = widths
        self.stem = _unit(3, quarter, kernel=8, stride=4, padding=2)
        self.quarter = Residual(quarter)
        self.eighth = _stage(quarter, eighth, depths[0])
        self.sixteenth = _stage(eighth, sixteenth, depths[1])
        self.last = _stage(sixteenth, last, depths[2])
        self.scene = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(last, last, 1))
        self.from_last = _unit(last, 96, kernel=1)
        self.from_sixteenth = _unit(sixteenth, 96, kernel=1)
        self.at_sixteenth = _unit(96, 64)
        self.from_eighth = _unit(eighth, 64, kernel=1)
        self.at_eighth = _unit(64, 48)
        self.from_quarter = _unit(quarter, 48, kernel=1)
        self.at_quarter = _unit(48, 32)
        self.alpha = nn.Sequential(nn.Conv2d(32, 4, 3, padding=1), nn.PixelShuffle(2))
        self.coarse = nn.ModuleList([nn.Conv2d(96, 1, 1), nn.Conv2d(64, 1, 1), nn.Conv2d(48, 1, 1)])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, Residual):
                # A block that starts as the identity lets a large learning rate work from the first step.
                nn.init.zeros_(module.second[1].weight)

    def forward(self, photo: Tensor) -> Tensor:
        return torch.sigmoid(_double(self.logits(photo)[0]))

    def logits(self, photo: Tensor) -> list[Tensor]:
        """Logits at 1/2, 1/32, 1/16 and 1/8 of the size: float32 [B, 1, ...]."""
        return self.logits_and_maps(photo)[0]

    def logits_and_maps(self, photo: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The logits, and the maps that they are made from, by the names of the teacher's maps at the same place (`map_channels`)."""
        quarter = self.quarter(self.stem(photo))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        last = self.last(sixteenth)
        deep = self.from_last(functional.relu(last + self.scene(last)))
        middle = self.at_sixteenth(_double(deep) + self.from_sixteenth(sixteenth))
        fine = self.at_eighth(_double(middle) + self.from_eighth(eighth))
        finest = self.at_quarter(_double(fine) + self.from_quarter(quarter))
        coarse = [head(x) for head, x in zip(self.coarse, (deep, middle, fine), strict=True)]
        maps = {"stage4": eighth, "stage5": sixteenth, "stage6": deep, "stage5d": middle, "stage4d": fine}
        return [self.alpha(finest), *coarse], maps


def map_channels(widths: Sequence[int] = WIDTHS) -> dict[str, int]:
    """Channels of the maps that stand where the teacher has its stages: encoder at 1/8 and 1/16, decoder at 1/32, 1/16 and 1/8."""
    return {"stage4": widths[1], "stage5": widths[2], "stage6": 96, "stage5d": 64, "stage4d": 48}


def take_over(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Give `network` the weights of a narrower one such that it computes the same: what is new is read by nothing yet.

    New channels start at random, and the columns that read them at zero, from where training takes them.
    Raises ValueError where a weight is missing or larger than the network's.
    """
    state = network.state_dict()
    if unknown := sorted(set(weights) ^ set(state)):
        raise ValueError(f"these weights are of another network: {unknown[0]} is in one of the two only")
    for name, mine in state.items():
        given = weights[name].to(mine.device)
        if given.ndim != mine.ndim or any(small > large for small, large in zip(given.shape, mine.shape, strict=True)):
            raise ValueError(f"{name} is {tuple(given.shape)}, which does not fit into {tuple(mine.shape)}")
        if mine.ndim == 4:
            mine[: given.shape[0], given.shape[1] :] = 0
        mine[tuple(slice(0, size) for size in given.shape)] = given
    network.load_state_dict(state)


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut; the channels stay as they are."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = _unit(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


def _unit(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int | None = None) -> nn.Sequential:
    padding = kernel // 2 if padding is None else padding
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    return nn.Sequential(_unit(inputs, outputs, stride=2), *[Residual(outputs) for _ in range(depth)])


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
