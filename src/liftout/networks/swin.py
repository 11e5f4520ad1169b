"""Swin Transformer (version 1) as a backbone: four feature maps at 1/4, 1/8, 1/16 and 1/32 of the input.

Source: Liu et al. 2021, "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV,
doi:10.1109/ICCV48922.2021.00986. Maps whose size is no multiple of the window are padded with zeros at the right and the
bottom; padded positions are attended to, as in the authors' segmentation backbone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

MASKED = -100.0
"""Added to the score of positions that only the cyclic shift made neighbours; the authors' value."""


@dataclass(frozen=True)
class SwinSize:
    """Widths and depths of one Swin variant."""

    channels: int
    """Channels of the first stage; each following stage doubles them."""
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    window: int


SWIN_V1_T = SwinSize(channels=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), window=7)
SWIN_V1_B = SwinSize(channels=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32), window=12)
SWIN_V1_L = SwinSize(channels=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48), window=12)


class SwinTransformer(nn.Module):
    """float32 [N, 3, h, w] -> four maps [N, channels * 2**i, ceil(h / 2**(i+2)), ceil(w / 2**(i+2))], finest first."""

    def __init__(self, size: SwinSize) -> None:
        super().__init__()
        self.patch_embed = _PatchEmbedding(size.channels)
        widths = [size.channels * 2**i for i in range(4)]
        self.layers = nn.ModuleList(
            _Stage(width, size.depths[i], size.heads[i], size.window, downsample=i < 3)
            for i, width in enumerate(widths)
        )
        for i, width in enumerate(widths):
            self.add_module(f"norm{i}", nn.LayerNorm(width))

    def forward(self, x: Tensor) -> list[Tensor]:
        return self._stages(self.patch_embed(x))

    def with_embedding(self, x: Tensor) -> list[Tensor]:
        """Five maps: before those of the stages, the embedded patches themselves, of the first one's shape."""
        embedded = self.patch_embed(x)
        return [embedded.permute(0, 3, 1, 2).contiguous(), *self._stages(embedded)]

    def _stages(self, x: Tensor) -> list[Tensor]:
        maps = []
        for i, stage in enumerate(self.layers):
            x = stage(x)
            maps.append(self.get_submodule(f"norm{i}")(x).permute(0, 3, 1, 2).contiguous())
            if isinstance(stage, _Stage) and stage.downsample:
                x = stage.downsample(x)
        return maps


class _PatchEmbedding(nn.Module):
    """[N, 3, h, w] -> [N, h/4, w/4, channels]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, 4, stride=4)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x = functional.pad(x, (0, -width % 4, 0, -height % 4))
        y: Tensor = self.norm(self.proj(x).permute(0, 2, 3, 1))
        return y


class _Stage(nn.Module):
    def __init__(self, channels: int, depth: int, heads: int, window: int, *, downsample: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _Block(channels, heads, window, shift=window // 2 if i % 2 else 0) for i in range(depth)
        )
        self.downsample = _PatchMerging(channels) if downsample else None

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class _PatchMerging(nn.Module):
    """[N, h, w, c] -> [N, ceil(h/2), ceil(w/2), 2c]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        x = functional.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        quarters = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        y: Tensor = self.reduction(self.norm(torch.cat(quarters, dim=-1)))
        return y


class _Block(nn.Module):
    """Attention within windows, then a two-layer perceptron; [N, h, w, c] -> [N, h, w, c]."""

    def __init__(self, channels: int, heads: int, window: int, *, shift: int) -> None:
        super().__init__()
        self.window = window
        self.shift = shift
        self.norm1 = nn.LayerNorm(channels)
        self.attn = _WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = _Perceptron(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attend(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y

    def _attend(self, x: Tensor) -> Tensor:
        n, height, width, channels = x.shape
        window, shift = self.window, self.shift
        x = functional.pad(x, (0, 0, 0, -width % window, 0, -height % window))
        rows, columns = x.shape[1] // window, x.shape[2] // window
        mask = None
        if shift:
            x = torch.roll(x, (-shift, -shift), dims=(1, 2))
            mask = shift_mask(rows, columns, window, shift).to(x)
        windows = x.view(n, rows, window, columns, window, channels).transpose(2, 3)
        windows = self.attn(windows.reshape(n, rows * columns, window * window, channels), mask)
        x = windows.view(n, rows, columns, window, window, channels).transpose(2, 3)
        x = x.reshape(n, rows * window, columns * window, channels)
        if shift:
            x = torch.roll(x, (shift, shift), dims=(1, 2))
        return x[:, :height, :width]


class _WindowAttention(nn.Module):
    """[N, windows, window**2, c] -> the same; every position of a window attends to all of its window."""

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        n, windows, positions, channels = x.shape
        qkv = self.qkv(x).view(n, windows, positions, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5)
        scores = (query * (channels // self.heads) ** -0.5) @ key.transpose(-1, -2)
        scores += self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        if mask is not None:
            scores += mask[:, None]
        attended = scores.softmax(dim=-1) @ value
        y: Tensor = self.proj(attended.transpose(2, 3).reshape(x.shape))
        return y


class _Perceptron(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return y


def relative_position_index(window: int) -> Tensor:
    """int64 [window**2, window**2]: the row of the bias table for each pair of positions in a window."""
    position = torch.arange(window)
    row, column = (grid.flatten() for grid in torch.meshgrid(position, position, indexing="ij"))
    row_distance = row[:, None] - row[None, :] + window - 1
    column_distance = column[:, None] - column[None, :] + window - 1
    return row_distance * (2 * window - 1) + column_distance


def shift_mask(rows: int, columns: int, window: int, shift: int) -> Tensor:
    """float32 [rows*columns, window**2, window**2]: MASKED where the shift joined two sides of the map, else 0."""
    row_region, column_region = (_shift_regions(count, window, shift) for count in (rows, columns))
    region = row_region[:, None] * 2 + column_region[None, :]
    region = region.view(rows, window, columns, window).transpose(1, 2).reshape(rows * columns, window * window)
    return torch.where(region[:, None, :] == region[:, :, None], 0.0, MASKED)


def _shift_regions(count: int, window: int, shift: int) -> Tensor:
    """Which part of the last window each position of a shifted axis is in: 1 for those that came from the front."""
    region = torch.zeros(count * window, dtype=torch.int64)
    region[-shift:] = 1
    return region
