"""The decoder block of BiRefNet: two convolutions around parallel deformable convolutions of several kernel sizes.

Source: Zheng et al. 2024, "Bilateral Reference for High-Resolution Dichotomous Image Segmentation", CAAI Artificial
Intelligence Research 3, doi:10.26599/AIR.2024.9150038, after the atrous spatial pyramid pooling of Chen et al. 2017,
arXiv:1706.05587.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from liftout.networks.deformable import deformable_conv2d

INNER_CHANNELS = 64
BRANCH_CHANNELS = 256
KERNELS = (1, 3, 7)
"""Kernel sizes of the parallel deformable convolutions, beside `aspp1`, which is another of size 1."""


class DecoderBlock(nn.Module):
    """[N, inputs, h, w] -> [N, outputs, h, w] by way of 64 channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(inputs, INNER_CHANNELS, 3, padding=1)
        self.dec_att = _DeformablePyramid()
        self.conv_out = nn.Conv2d(INNER_CHANNELS, outputs, 3, padding=1)
        self.bn_in = nn.BatchNorm2d(INNER_CHANNELS)
        self.bn_out = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn_in(self.conv_in(x)))
        y: Tensor = self.bn_out(self.conv_out(self.dec_att(x)))
        return y


class _DeformablePyramid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.aspp1 = _Branch(1)
        self.aspp_deforms = nn.ModuleList(_Branch(kernel) for kernel in KERNELS)
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(INNER_CHANNELS, BRANCH_CHANNELS, 1, bias=False),
            nn.BatchNorm2d(BRANCH_CHANNELS),
            nn.ReLU(),
        )
        self.conv1 = nn.Conv2d((2 + len(KERNELS)) * BRANCH_CHANNELS, INNER_CHANNELS, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(INNER_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        branches = [self.aspp1(x), *(branch(x) for branch in self.aspp_deforms)]
        whole = self.global_avg_pool(x).expand(-1, -1, *x.shape[2:])
        return functional.relu(self.bn1(self.conv1(torch.cat((*branches, whole), dim=1))))


class _Branch(nn.Module):
    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.atrous_conv = _DeformableConvolution(kernel)
        self.bn = nn.BatchNorm2d(BRANCH_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.atrous_conv(x)))


class _DeformableConvolution(nn.Module):
    """Deformable convolution whose offsets and modulator are convolutions of the same map."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        taps, padding = kernel * kernel, kernel // 2
        self.offset_conv = nn.Conv2d(INNER_CHANNELS, 2 * taps, kernel, padding=padding)
        self.modulator_conv = nn.Conv2d(INNER_CHANNELS, taps, kernel, padding=padding)
        self.regular_conv = nn.Conv2d(INNER_CHANNELS, BRANCH_CHANNELS, kernel, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        modulator = 2 * torch.sigmoid(self.modulator_conv(x))
        return deformable_conv2d(x, self.offset_conv(x), modulator, self.regular_conv.weight)
