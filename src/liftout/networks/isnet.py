"""IS-Net: U2-Net's structure at half the input's resolution, trained with intermediate supervision.

Source: Qin et al. 2022, "Highly Accurate Dichotomous Image Segmentation", ECCV, doi:10.1007/978-3-031-19797-0_3.
RMBG-1.4, ormbg and isnet-anime have the same parameters under the same names.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from liftout.networks.residual_u import resize_like
from liftout.networks.u2net import FULL_WIDTHS, nested_u, u2net_stage


class ISNet(nn.Module):
    """The mask of the foreground.

    input float32 [N, 3, h, w], any size; returns [N, 1, h, w]. Checkpoints carry six side convolutions; only the first
    makes the mask, the others serve training.
    sigmoid: end in a probability, as the authors' network does; isnet-anime's ends in logits.
    """

    def __init__(self, *, sigmoid: bool = True) -> None:
        super().__init__()
        self.sigmoid = sigmoid
        self.conv_in = nn.Conv2d(3, 64, 3, stride=2, padding=1)
        for name, (inputs, middle, outputs) in ISNET_WIDTHS.items():
            self.add_module(name, u2net_stage(name, inputs, middle, outputs))
        for number, stage in enumerate(("stage1d", "stage2d", "stage3d", "stage4d", "stage5d", "stage6"), start=1):
            self.add_module(f"side{number}", nn.Conv2d(ISNET_WIDTHS[stage][2], 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        finest = nested_u(self, self.conv_in(x))[0]
        mask = resize_like(self.get_submodule("side1")(finest), x)
        return torch.sigmoid(mask) if self.sigmoid else mask


ISNET_WIDTHS = FULL_WIDTHS | {"stage1": (64, 32, 64)}
