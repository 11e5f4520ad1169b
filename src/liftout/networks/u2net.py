"""U2-Net: a U-Net whose every stage is itself a residual U-block.

Source: Qin et al. 2020, doi:10.1016/j.patcog.2020.107404. `u2net` (also u2net_human_seg), `u2netp` and the four-class
`u2net_cloth_seg` are the same structure with different widths.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from liftout.networks.residual_u import ResidualUBlock, halve, resize_like

FULL_WIDTHS = {
    "stage1": (3, 32, 64),
    "stage2": (64, 32, 128),
    "stage3": (128, 64, 256),
    "stage4": (256, 128, 512),
    "stage5": (512, 256, 512),
    "stage6": (512, 256, 512),
    "stage5d": (1024, 256, 512),
    "stage4d": (1024, 128, 256),
    "stage3d": (512, 64, 128),
    "stage2d": (256, 32, 64),
    "stage1d": (128, 16, 64),
}
"""Channels in, in the middle and out of every stage, in the order of the checkpoint."""

SMALL_WIDTHS = {name: (3 if name == "stage1" else 128 if name.endswith("d") else 64, 16, 64) for name in FULL_WIDTHS}

STAGE_DEPTHS = {"stage1": 7, "stage2": 6, "stage3": 5, "stage4": 4, "stage5": 4, "stage6": 4}
"""Levels of each stage; a decoder stage is as deep as its encoder stage."""

DILATED_STAGES = ("stage5", "stage6", "stage5d")


class U2Net(nn.Module):
    """The mask of the salient object, or logits of `classes`.

    input float32 [N, 3, h, w], any size; returns [N, classes, h, w]. The seven maps that training supervises differ in
    the checkpoint only by their side convolutions; the fused first one is the published mask.
    sigmoid: end in a probability, as the authors' network does; cloth_seg ends in logits.
    """

    def __init__(self, widths: dict[str, tuple[int, int, int]], *, classes: int = 1, sigmoid: bool = True) -> None:
        super().__init__()
        self.sigmoid = sigmoid
        for name, (inputs, middle, outputs) in widths.items():
            self.add_module(name, u2net_stage(name, inputs, middle, outputs))
        sides = ("stage1d", "stage2d", "stage3d", "stage4d", "stage5d", "stage6")
        for number, stage in enumerate(sides, start=1):
            self.add_module(f"side{number}", nn.Conv2d(widths[stage][2], classes, 3, padding=1))
        self.outconv = nn.Conv2d(6 * classes, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        decoded = nested_u(self, x)
        sides: list[Tensor] = [self.get_submodule(f"side{n}")(y) for n, y in enumerate(decoded, start=1)]
        fused: Tensor = self.outconv(torch.cat([resize_like(side, sides[0]) for side in sides], dim=1))
        return torch.sigmoid(fused) if self.sigmoid else fused


def u2net_stage(name: str, inputs: int, middle: int, outputs: int) -> ResidualUBlock:
    """The residual U-block called `name` in U2-Net and IS-Net.

    inputs, middle, outputs: channels of the block.
    """
    return ResidualUBlock(STAGE_DEPTHS[name.removesuffix("d")], inputs, middle, outputs, dilated=name in DILATED_STAGES)


def nested_u(network: nn.Module, x: Tensor) -> list[Tensor]:
    """Outputs of stages 1d to 5d and 6, finest first: each half the size of the one before, rounded up.

    network: with the stages as attributes. x: float32 [N, 3, h, w].
    """
    stages: dict[str, nn.Module] = dict(network.named_children())
    encoded: list[Tensor] = [stages["stage1"](x)]
    for number in range(2, 7):
        encoded.append(stages[f"stage{number}"](halve(encoded[-1])))
    decoded = [encoded[-1]]
    for number in range(5, 0, -1):
        skip = encoded[number - 1]
        decoded.insert(0, stages[f"stage{number}d"](torch.cat((resize_like(decoded[0], skip), skip), dim=1)))
    return decoded
