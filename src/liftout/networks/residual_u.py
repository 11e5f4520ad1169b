"""Residual U-blocks: the building block of U2-Net and IS-Net, a small U-Net with a shortcut around it.

Source: Qin et al. 2020, "U2-Net: Going Deeper with Nested U-Structure for Salient Object Detection", Pattern Recognition
106, doi:10.1016/j.patcog.2020.107404. Parameter names are those of the published checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualUBlock(nn.ModuleDict):
    """`depth` levels of 3x3 convolutions, down and up again, added to the block's first convolution.

    float32 [N, inputs, h, w] -> [N, outputs, h, w]. Every level halves the map (rounding up); `dilated` blocks, the
    paper's RSU-4F, keep its size and widen the kernels instead.
    """

    def __init__(self, depth: int, inputs: int, middle: int, outputs: int, *, dilated: bool = False) -> None:
        super().__init__()
        self.depth = depth
        self.dilated = dilated
        spacing = [kernel_dilation(level, depth, dilated=dilated) for level in range(1, depth + 1)]
        self["rebnconvin"] = _ConvNormRelu(inputs, outputs)
        for level in range(1, depth + 1):
            self[f"rebnconv{level}"] = _ConvNormRelu(outputs if level == 1 else middle, middle, spacing[level - 1])
        for level in range(depth - 1, 0, -1):
            width = outputs if level == 1 else middle
            self[f"rebnconv{level}d"] = _ConvNormRelu(2 * middle, width, spacing[level - 1])

    def forward(self, x: Tensor) -> Tensor:
        shortcut: Tensor = self["rebnconvin"](x)
        levels: list[Tensor] = [self["rebnconv1"](shortcut)]
        for level in range(2, self.depth):
            above = levels[-1] if self.dilated else halve(levels[-1])
            levels.append(self[f"rebnconv{level}"](above))
        y: Tensor = self[f"rebnconv{self.depth}"](levels[-1])
        for level in range(self.depth - 1, 0, -1):
            skip = levels[level - 1]
            y = self[f"rebnconv{level}d"](torch.cat((resize_like(y, skip), skip), dim=1))
        return y + shortcut


def kernel_dilation(level: int, depth: int, *, dilated: bool) -> int:
    """Spacing of the kernel taps at `level` (from 1), on the way down and on the way up."""
    if dilated:
        return int(2 ** (level - 1))
    return 2 if level == depth else 1


class _ConvNormRelu(nn.Module):
    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn_s1(self.conv_s1(x)))


def halve(x: Tensor) -> Tensor:
    """Maximum over 2x2 cells; odd sizes round up, so that no row or column is lost."""
    return functional.max_pool2d(x, 2, 2, ceil_mode=True)


def resize_like(x: Tensor, other: Tensor) -> Tensor:
    """`x` at the height and width of `other`, bilinear, pixel centres at halves."""
    return functional.interpolate(x, size=other.shape[2:], mode="bilinear", align_corners=False)
