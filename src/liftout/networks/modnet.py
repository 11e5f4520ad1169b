"""MODNet: a portrait's alpha in one pass over the photo, small enough for phones.

Source: Ke et al. 2022, "MODNet: Real-Time Trimap-Free Portrait Matting via Objective Decomposition", AAAI,
doi:10.1609/aaai.v36i1.19999. A MobileNetV2 (Sandler et al. 2018) is the backbone; one branch finds roughly where the person is,
one works on details at half the size, and a third joins both. Heads that only training reads (`lr_branch.conv_lr`,
`hr_branch.conv_hr`) are in the checkpoints and so in the module, as is the backbone under two names.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Of MobileNetV2: expansion, channels, blocks, stride of the first block."""

LAST_CHANNELS = 1280
TAPS = {1: "half", 3: "quarter", 18: "coarsest"}
"""Which of the backbone's 19 layers are read, by what size their maps have."""

_HALF, _QUARTER, _EIGHTH, _SIXTEENTH = 16, 24, 32, 96
DETAIL = 32
"""Channels of the detail branch."""


class MODNet(nn.Module):
    """The alpha of the people in a photo.

    input float32 [N, 3, h, w], h and w multiples of 32; returns [N, 1, h, w].
    sigmoid: end in a probability, as the authors' network does.
    """

    def __init__(self, *, sigmoid: bool = True) -> None:
        super().__init__()
        self.sigmoid = sigmoid
        self.backbone = _Backbone()
        self.lr_branch = _LowBranch(self.backbone)
        self.hr_branch = _DetailBranch()
        self.f_branch = _FusionBranch()

    def forward(self, photo: Tensor) -> Tensor:
        low, half, quarter = self.lr_branch(photo)
        detail = self.hr_branch(photo, half, quarter, low)
        matte: Tensor = self.f_branch(photo, low, detail)
        return torch.sigmoid(matte) if self.sigmoid else matte


class _Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv_norm(3, 32, kernel=3, stride=2)]
        width = 32
        for expansion, channels, count, stride in STAGES:
            for number in range(count):
                layers.append(_InvertedResidual(width, channels, stride if number == 0 else 1, expansion))
                width = channels
        layers.append(_conv_norm(width, LAST_CHANNELS, kernel=1))
        self.model = nn.Module()
        self.model.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = {}
        for number, layer in enumerate(self.model.features):  # type: ignore[arg-type]
            x = layer(x)
            if number in TAPS:
                maps[TAPS[number]] = x
        return maps


def _conv_norm(inputs: int, outputs: int, *, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class _InvertedResidual(nn.Module):
    """Wider, filtered channel by channel, narrower."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        middle = inputs * expansion
        widened = [] if expansion == 1 else list(_conv_norm(inputs, middle, kernel=1))
        filtered = _conv_norm(middle, middle, kernel=3, stride=stride, groups=middle)
        narrowed = [nn.Conv2d(middle, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*widened, *filtered, *narrowed)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


class _HalfNorm(nn.Module):
    """Batch norm for the first half of the channels, instance norm for the others."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bnorm = nn.BatchNorm2d(channels // 2)
        self.inorm = nn.InstanceNorm2d(channels - channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        known = self.bnorm.num_features
        return torch.cat((self.bnorm(x[:, :known].contiguous()), self.inorm(x[:, known:].contiguous())), dim=1)


class _Conv(nn.Module):
    """A convolution, then, but for the heads, norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, head: bool = False) -> None:
        super().__init__()
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        self.layers = nn.Sequential(convolution, *([] if head else [_HalfNorm(outputs), nn.ReLU()]))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


class _Attention(nn.Module):
    """Channels weighted by what the whole map holds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // 4, bias=False),
            nn.ReLU(),
            nn.Linear(channels // 4, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.fc(x.mean(dim=(2, 3)))[..., None, None]
        return y


class _LowBranch(nn.Module):
    def __init__(self, backbone: _Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.se_block = _Attention(LAST_CHANNELS)
        self.conv_lr16x = _Conv(LAST_CHANNELS, _SIXTEENTH, 5)
        self.conv_lr8x = _Conv(_SIXTEENTH, _EIGHTH, 5)
        self.conv_lr = _Conv(_EIGHTH, 1, 3, stride=2, head=True)

    def forward(self, photo: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.backbone(photo)
        low = self.conv_lr16x(_scaled(self.se_block(maps["coarsest"]), 2))
        return self.conv_lr8x(_scaled(low, 2)), maps["half"], maps["quarter"]


class _DetailBranch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        width = DETAIL
        self.tohr_enc2x = _Conv(_HALF, width, 1)
        self.conv_enc2x = _Conv(width + 3, width, 3, stride=2)
        self.tohr_enc4x = _Conv(_QUARTER, width, 1)
        self.conv_enc4x = _Conv(2 * width, 2 * width, 3)
        self.conv_hr4x = nn.Sequential(
            _Conv(3 * width + 3, 2 * width, 3), _Conv(2 * width, 2 * width, 3), _Conv(2 * width, width, 3)
        )
        self.conv_hr2x = nn.Sequential(
            _Conv(2 * width, 2 * width, 3), _Conv(2 * width, width, 3), _Conv(width, width, 3), _Conv(width, width, 3)
        )
        self.conv_hr = nn.Sequential(_Conv(width + 3, width, 3), _Conv(width, 1, 1, head=True))

    def forward(self, photo: Tensor, half: Tensor, quarter: Tensor, low: Tensor) -> Tensor:
        half = self.tohr_enc2x(half)
        y = self.conv_enc2x(torch.cat((_scaled(photo, 1 / 2), half), dim=1))
        y = self.conv_enc4x(torch.cat((y, self.tohr_enc4x(quarter)), dim=1))
        y = self.conv_hr4x(torch.cat((y, _scaled(low, 2), _scaled(photo, 1 / 4)), dim=1))
        z: Tensor = self.conv_hr2x(torch.cat((_scaled(y, 2), half), dim=1))
        return z


class _FusionBranch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_lr4x = _Conv(_EIGHTH, DETAIL, 5)
        self.conv_f2x = _Conv(2 * DETAIL, DETAIL, 3)
        self.conv_f = nn.Sequential(_Conv(DETAIL + 3, DETAIL // 2, 3), _Conv(DETAIL // 2, 1, 1, head=True))

    def forward(self, photo: Tensor, low: Tensor, detail: Tensor) -> Tensor:
        low = _scaled(self.conv_lr4x(_scaled(low, 2)), 2)
        y = self.conv_f2x(torch.cat((low, detail), dim=1))
        matte: Tensor = self.conv_f(torch.cat((_scaled(y, 2), photo), dim=1))
        return matte


def _scaled(x: Tensor, factor: float) -> Tensor:
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
