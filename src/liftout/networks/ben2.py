"""BEN2 base: four quarters of a photo and the whole of it at half the size, side by side through one Swin backbone.

Source: Meyer and Spruyt 2025, "BEN: Using Confidence-Guided Matting for Dichotomous Image Segmentation", arXiv:2501.06230; the
structure is that of MVANet (Yu et al. 2024, arXiv:2404.07445). Views stand on the batch axis, quarters first, row by row.
Heads that only training reads (`sideout1` to `sideout5`) are in the checkpoints and so in the module.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from liftout.networks.swin import SwinSize, SwinTransformer

WIDTH = 128
"""Channels of everything behind the backbone."""

LOCATING_POOLS = (1, 4, 8)
REFINING_POOLS = (2, 4, 8)
"""A map of h x w is pooled to its size over these."""

_HEAD = 384


class BEN2(nn.Module):
    """The subject of a photo.

    input float32 [N, 3, h, w], h and w multiples of 512; returns [N, 1, h, w].
    sigmoid: end in a probability, as the authors' network does.
    """

    def __init__(self, size: SwinSize, *, sigmoid: bool = True) -> None:
        super().__init__()
        self.sigmoid = sigmoid
        self.backbone = SwinTransformer(size)
        for number in range(5, 0, -1):
            self.add_module(f"sideout{number}", nn.Sequential(_conv(WIDTH, 1)))
        widths = {5: 8 * size.channels, 4: 4 * size.channels, 3: 2 * size.channels, 2: size.channels, 1: size.channels}
        for number, width in widths.items():
            self.add_module(f"output{number}", _conv_norm(width, WIDTH))
        self.multifieldcrossatt = _Locating()
        self.conv1, self.conv2, self.conv3, self.conv4 = (_conv_norm(WIDTH, WIDTH) for _ in range(4))
        self.dec_blk1, self.dec_blk2, self.dec_blk3, self.dec_blk4 = (_Refining() for _ in range(4))
        self.insmask_head = nn.Sequential(*_conv_norm(WIDTH, _HEAD), *_conv_norm(_HEAD, _HEAD), _conv(_HEAD, WIDTH))
        self.shallow = nn.Sequential(_conv(3, WIDTH))
        self.upsample1 = _conv_norm(WIDTH, WIDTH)
        self.upsample2 = _conv_norm(WIDTH, WIDTH)
        self.output = nn.Sequential(_conv(WIDTH, 1))

    def forward(self, photos: Tensor) -> Tensor:
        logits = torch.cat([self._logits(photo) for photo in photos[:, None]])
        return torch.sigmoid(logits) if self.sigmoid else logits

    def _logits(self, photo: Tensor) -> Tensor:
        whole = functional.interpolate(photo, scale_factor=0.5, mode="bilinear")
        maps = self.backbone.with_embedding(torch.cat((quarters(photo), whole)))
        e1, e2, e3, e4, e5 = (self.get_submodule(f"output{i}")(x) for i, x in enumerate(maps, start=1))
        x: Tensor = self.multifieldcrossatt(e5)
        for level, e in ((4, e4), (3, e3), (2, e2), (1, e1)):
            x = self.get_submodule(f"dec_blk{level}")(e + _resized(x, e))
            x = self.get_submodule(f"conv{level}")(x)
        joined = joined_quarters(x[:4])
        x = self.insmask_head(joined + _resized(x[4:], joined))
        shallow = self.shallow(photo)
        x = self.upsample1(functional.interpolate(x + _resized(shallow, x), scale_factor=2))
        x = self.upsample2(functional.interpolate(x + _resized(shallow, x), scale_factor=2))
        y: Tensor = self.output(x)
        return y


class _Locating(nn.Module):
    """The whole looks at the quarters, then each quarter at its part of the whole; [5, 128, h, w] -> the same."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleList(nn.MultiheadAttention(WIDTH, 1) for _ in range(5))
        self.linear1, self.linear2 = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.linear3, self.linear4 = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        joined = joined_quarters(x[:4])
        pools = [_pooled(joined, (height // ratio, width // ratio)) for ratio in LOCATING_POOLS]
        tokens = torch.cat([_tokens(pool) for pool in pools])
        places = torch.cat([place_code(*pool.shape[2:]) for pool in pools]).to(x)
        whole = _tokens(x[4:])
        asking = whole + place_code(height, width).to(x)
        whole = self.norm1(whole + _attended(self.attention[0], asking, tokens + places, tokens))
        whole = self.norm2(whole + self.linear2(functional.gelu(self.linear1(whole))))

        parts = quarters(whole.permute(1, 2, 0).view(1, WIDTH, height, width))
        seen = []
        for number in range(4):
            part = _tokens(parts[number : number + 1])
            seen.append(_attended(self.attention[number + 1], _tokens(x[number : number + 1]), part, part))
        local = self.norm1(_tokens(x[:4]) + torch.cat(seen, dim=1))
        local = self.norm2(local + self.linear4(functional.gelu(self.linear3(local))))
        return torch.cat((local, whole), dim=1).permute(1, 2, 0).reshape(x.shape)


class _Refining(nn.Module):
    """Each quarter, weighted by where the whole sees a subject, looks at its part of the whole; [5, 128, h, w] -> the same."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleList(nn.MultiheadAttention(WIDTH, 1) for _ in range(4))
        self.linear3, self.linear4 = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.sal_conv = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        local, whole = x[:4], x[4:]
        weights = functional.interpolate(torch.sigmoid(self.sal_conv(whole)), size=(2 * height, 2 * width))
        local = local * quarters(weights)
        parts = quarters(whole)
        pools = [_pooled(parts, (height // ratio, width // ratio)).flatten(2) for ratio in REFINING_POOLS]
        tokens = torch.cat(pools, dim=2).permute(2, 0, 1)
        seen = [
            _attended(self.attention[i], _tokens(local[i : i + 1]), tokens[:, i : i + 1], tokens[:, i : i + 1])
            for i in range(4)
        ]
        y = self.norm1(_tokens(local) + torch.cat(seen, dim=1))
        y = self.norm2(y + self.linear4(functional.gelu(self.linear3(y))))
        local = y.permute(1, 2, 0).reshape(local.shape)
        return torch.cat((local, whole + functional.interpolate(joined_quarters(local), size=(height, width))))


def quarters(x: Tensor) -> Tensor:
    """[1, c, 2h, 2w] -> [4, c, h, w], row by row."""
    _, channels, height, width = x.shape
    cut = x.view(channels, 2, height // 2, 2, width // 2).permute(1, 3, 0, 2, 4)
    return cut.reshape(4, channels, height // 2, width // 2)


def joined_quarters(x: Tensor) -> Tensor:
    """[4, c, h, w] -> [1, c, 2h, 2w]."""
    _, channels, height, width = x.shape
    return x.view(2, 2, channels, height, width).permute(2, 0, 3, 1, 4).reshape(1, channels, 2 * height, 2 * width)


def place_code(height: int, width: int) -> Tensor:
    """float32 [height * width, 1, 128]: sines and cosines of row, then column, as shares of the map.

    Source: Carion et al. 2020, "End-to-End Object Detection with Transformers", ECCV; 64 frequencies, temperature 10000.
    """
    half = WIDTH // 2
    frequency = 10000.0 ** (2 * (torch.arange(half) // 2) / half)
    codes = []
    for length in (height, width):
        angle = (torch.arange(length) + 0.5) / (length + 1e-6) * 2 * math.pi
        phase = angle[:, None] / frequency
        codes.append(torch.stack((phase[:, ::2].sin(), phase[:, 1::2].cos()), dim=2).flatten(1))
    rows, columns = codes
    grid = (rows[:, None].expand(height, width, half), columns[None].expand(height, width, half))
    return torch.cat(grid, dim=2).reshape(height * width, 1, WIDTH)


def _attended(attention: nn.Module, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Token lists [tokens, views, 128]."""
    y: Tensor = attention(query, key, value, need_weights=False)[0]
    return y


def _tokens(x: Tensor) -> Tensor:
    """[views, c, h, w] -> [h*w, views, c]."""
    return x.flatten(2).permute(2, 0, 1)


def _pooled(x: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.adaptive_avg_pool2d(x, size)


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[2:], mode="bilinear")


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _conv_norm(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, outputs), nn.InstanceNorm2d(outputs), nn.GELU())
