"""InSPyReNet: a Swin backbone and a saliency pyramid, each step of which adds the detail that the one before lacks.

Source: Kim et al. 2022, "Revisiting Image Pyramid Structure for High Resolution Salient Object Detection", ACCV,
arXiv:2209.09475, as the authors' package transparent-background runs it: one pass, no blending of two sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from liftout.networks.swin import SwinSize, SwinTransformer

DEPTH = 64
"""Channels of everything behind the backbone."""

RECEPTIVE = (3, 5, 7)
"""Lengths of the strip convolutions in the branches of a context block."""

_STEPS = torch.arange(7, dtype=torch.float64) - 3
_BELL = torch.exp(-(_STEPS**2) / 2)
BLUR = torch.outer(_BELL, _BELL) / _BELL.sum() ** 2
"""float64 [7, 7]: the Gaussian of deviation 1 by which the pyramid is enlarged; OpenCV's getGaussianKernel(7, 1)."""


class InSPyReNet(nn.Module):
    """The most salient object of a photo.

    input float32 [N, 3, h, w], h and w multiples of 32; returns [N, 1, h, w].
    base: (height, width) that the weights were trained at; what `_Refinement` sums up is sized after it, whatever the photo's
    size. sigmoid: end in a probability. The authors' network also stretches it to 0..1, which the catalogue does here.
    """

    def __init__(self, size: SwinSize, *, base: tuple[int, int], sigmoid: bool = True) -> None:
        super().__init__()
        self.sigmoid = sigmoid
        self.backbone = SwinTransformer(size)
        widths = (size.channels, *(size.channels * 2**i for i in range(4)))
        self.context1, self.context2, self.context3, self.context4, self.context5 = map(_Context, widths)
        self.decoder = _Decoder()
        self.attention0 = _Refinement(DEPTH, base, with_detail=True)
        self.attention1 = _Refinement(2 * DEPTH, (base[0] // 2, base[1] // 2), with_detail=True)
        self.attention2 = _Refinement(2 * DEPTH, (base[0] // 4, base[1] // 4), with_detail=False)

    def forward(self, photo: Tensor) -> Tensor:
        height, width = photo.shape[2:]
        quarter, half = (height // 4, width // 4), (height // 2, width // 2)
        x1, x2, x3, x4, x5 = self.backbone.with_embedding(photo)
        features, saliency = self.decoder(self.context3(x3), self.context4(x4), self.context5(x5))

        x = torch.cat((self.context2(x2), _resized(features, quarter)), dim=1)
        features, detail = self.attention2(x, saliency)
        saliency = _enlarged(saliency) + detail
        x = torch.cat((_resized(self.context1(x1), half), _resized(features, half)), dim=1)
        features, detail = self.attention1(x, saliency, detail)
        saliency = _enlarged(saliency) + detail
        _, detail = self.attention0(_resized(features, (height, width)), saliency, detail)
        logits = _enlarged(saliency) + detail
        return torch.sigmoid(logits) if self.sigmoid else logits


class _Conv(nn.Module):
    """Convolution without bias, output as large as the input."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], dilation: int = 1) -> None:
        super().__init__()
        padding = (dilation * (kernel[0] // 2), dilation * (kernel[1] // 2))
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class _ConvNorm(_Conv):
    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], dilation: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, dilation)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn(self.conv(x))
        return y


class _ConvNormReLU(_ConvNorm):
    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(super().forward(x))


class _AxisAttention(nn.Module):
    """The map, read as a list of lists of `x.shape[axis]` values, whose places attend to each other.

    As the authors wrote it: along the height, too, the memory of the map is cut row by row.
    """

    def __init__(self, channels: int, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.gamma = nn.Parameter(torch.zeros(1))
        self.query_conv = _ConvNorm(channels, channels // 8, (1, 1))
        self.key_conv = _ConvNorm(channels, channels // 8, (1, 1))
        self.value_conv = _ConvNorm(channels, channels, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            conv(x).view(len(x), -1, x.shape[self.axis]) for conv in (self.query_conv, self.key_conv, self.value_conv)
        )
        attention = torch.softmax(query.transpose(1, 2) @ key, dim=-1)
        y: Tensor = self.gamma * (value @ attention.transpose(1, 2)).view(x.shape) + x
        return y


class _Branch(nn.Module):
    def __init__(self, inputs: int, receptive: int) -> None:
        super().__init__()
        self.conv0 = _ConvNorm(inputs, DEPTH, (1, 1))
        self.conv1 = _ConvNorm(DEPTH, DEPTH, (1, receptive))
        self.conv2 = _ConvNorm(DEPTH, DEPTH, (receptive, 1))
        self.conv3 = _ConvNorm(DEPTH, DEPTH, (3, 3), dilation=receptive)
        self.Hattn = _AxisAttention(DEPTH, 2)
        self.Wattn = _AxisAttention(DEPTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.conv1(self.conv0(x)))
        y: Tensor = self.conv3(self.Hattn(x) + self.Wattn(x))
        return y


class _Context(nn.Module):
    """Parallel axial attention: [N, inputs, h, w] -> [N, 64, h, w]."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch0 = _ConvNorm(inputs, DEPTH, (1, 1))
        self.branch1, self.branch2, self.branch3 = (_Branch(inputs, receptive) for receptive in RECEPTIVE)
        self.conv_cat = _ConvNorm(4 * DEPTH, DEPTH, (3, 3))
        self.conv_res = _ConvNorm(inputs, DEPTH, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        branches = [branch(x) for branch in (self.branch0, self.branch1, self.branch2, self.branch3)]
        return functional.relu(self.conv_cat(torch.cat(branches, dim=1)) + self.conv_res(x))


class _Decoder(nn.Module):
    """Features and saliency at an eighth of the photo's size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(3 * DEPTH, DEPTH, (3, 3))
        self.conv2, self.conv3, self.conv4 = (_ConvNorm(DEPTH, DEPTH, (3, 3)) for _ in range(3))
        self.conv5 = _Conv(DEPTH, 1, (3, 3))
        self.Hattn = _AxisAttention(DEPTH, 2)
        self.Wattn = _AxisAttention(DEPTH, 3)

    def forward(self, x3: Tensor, x4: Tensor, x5: Tensor) -> tuple[Tensor, Tensor]:
        size = x3.shape[2:]
        x4, x5 = (functional.interpolate(x, size, mode="bilinear", align_corners=True) for x in (x4, x5))
        x = self.conv1(torch.cat((x5, x4, x3), dim=1))
        x = self.conv4(self.conv3(self.conv2(self.Hattn(x) + self.Wattn(x))))
        return x, self.conv5(x)


class _Refinement(nn.Module):
    """Scale-invariant context attention: [N, channels, h, w] and the saliency so far -> features and detail of that size.

    Pixels that are surely subject, surely not, and unsure each give a sum of features; every pixel attends to these sums.
    base: the size at which they are taken. with_detail: whether the detail of the step before gives two more.
    """

    def __init__(self, channels: int, base: tuple[int, int], *, with_detail: bool) -> None:
        super().__init__()
        self.base = base
        self.threshold = nn.Parameter(torch.full((1,), 0.5))
        if with_detail:
            self.lthreshold = nn.Parameter(torch.full((1,), 0.5))
        self.conv_query, self.conv_key, self.conv_value = (
            nn.Sequential(_ConvNormReLU(channels, DEPTH, kernel), _ConvNormReLU(DEPTH, DEPTH, kernel))
            for kernel in ((3, 3), (1, 1), (1, 1))
        )
        self.conv_out1 = _ConvNormReLU(DEPTH, DEPTH, (3, 3))
        self.conv_out2 = _ConvNormReLU(channels + DEPTH, DEPTH, (3, 3))
        self.conv_out3 = _ConvNormReLU(DEPTH, DEPTH, (3, 3))
        self.conv_out4 = _ConvNorm(DEPTH, 1, (1, 1))

    def forward(self, x: Tensor, saliency: Tensor, detail: Tensor | None = None) -> tuple[Tensor, Tensor]:
        n, channels, height, width = x.shape
        over = torch.sigmoid(_resized(saliency, (height, width))) - self.threshold
        regions = [over.clip(0, 1), (-over).clip(0, 1), self.threshold - over.abs()]
        if detail is not None:
            over = torch.sigmoid(_resized(detail, (height, width))) - self.lthreshold
            regions += [over.clip(0, 1), (-over).clip(0, 1)]
        weights = _resized(torch.cat(regions, dim=1), self.base).flatten(2)
        # The authors read the map's memory as [pixels, channels] though it is [channels, pixels]; the weights know it so.
        features = _resized(x, self.base).view(n, -1, channels)
        sums = (weights @ features).transpose(1, 2).unsqueeze(3)

        query = self.conv_query(x).flatten(2).transpose(1, 2)
        key = self.conv_key(sums).flatten(2)
        value = self.conv_value(sums).flatten(2).transpose(1, 2)
        attended = torch.softmax(DEPTH**-0.5 * (query @ key), dim=-1) @ value
        context = self.conv_out1(attended.transpose(1, 2).reshape(n, DEPTH, height, width))
        y = self.conv_out3(self.conv_out2(torch.cat((x, context), dim=1)))
        return y, self.conv_out4(y)


def _enlarged(x: Tensor) -> Tensor:
    """Twice as large: pixels spread on zeros, then blurred; mirrored at the borders."""
    zeros = torch.zeros_like(x)
    spread = functional.pixel_shuffle(torch.cat((x, zeros, zeros, zeros), dim=1), 2)
    spread = functional.pad(spread, (3, 3, 3, 3), mode="reflect")
    return functional.conv2d(spread, 4 * BLUR.to(x)[None, None])


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
