"""Deformable convolution: every tap of the kernel looks where a learned offset sends it and is weighted there.

Source: Zhu et al. 2019, "Deformable ConvNets v2: More Deformable, Better Results", CVPR, arXiv:1811.11168.

    y(p) = sum over taps k of  W_k * m_k(p) * x(p + p_k + d_k(p))

with x read bilinearly and zero outside the map.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SAMPLE_BYTES = 64_000_000
"""Bound on the sampled values held at once; rows of the output are computed in strips that stay below it."""


def deformable_conv2d(x: Tensor, offset: Tensor, modulator: Tensor, weight: Tensor) -> Tensor:
    """Modulated deformable convolution, stride 1, output as large as the input.

    x: [N, C, H, W]. offset: [N, 2*k*k, H, W] in pixels, (row, column) for each tap, taps in reading order; positions are worked out
    in float32 at least, as bf16 tells no two pixels apart beyond 256.
    modulator: [N, k*k, H, W]. weight: [D, C, k, k], k odd. Returns [N, D, H, W].
    """
    n, channels, height, width = x.shape
    outputs, _, kernel, _ = weight.shape
    taps = kernel * kernel
    exact = torch.promote_types(offset.dtype, torch.float32)
    position = offset.to(exact).view(n, taps, 2, height, width)
    position = position + _tap_positions(kernel, position)
    position = position + _pixel_positions(height, width, position)
    row, column = position.unbind(2)
    # grid_sample wants (column, row) with -1 and 1 at the outer edges of the border pixels.
    grid = torch.stack(((2 * column + 1) / width - 1, (2 * row + 1) / height - 1), dim=-1)
    flat_weight = weight.reshape(outputs, channels * taps)

    strips = []
    rows_at_once = max(1, SAMPLE_BYTES // (4 * n * channels * taps * width))
    for top in range(0, height, rows_at_once):
        rows = slice(top, min(top + rows_at_once, height))
        strip = grid[:, :, rows].reshape(n, -1, width, 2)
        sampled = functional.grid_sample(x, strip, mode="bilinear", padding_mode="zeros", align_corners=False)
        weighted = sampled.view(n, channels, taps, -1) * modulator[:, :, rows].reshape(n, 1, taps, -1)
        strips.append((flat_weight @ weighted.view(n, channels * taps, -1)).view(n, outputs, -1, width))
    return torch.cat(strips, dim=2)


def _tap_positions(kernel: int, like: Tensor) -> Tensor:
    """Row and column of each tap relative to the kernel's centre, [taps, 2, 1, 1]."""
    steps = torch.arange(kernel, dtype=like.dtype, device=like.device) - kernel // 2
    return torch.cartesian_prod(steps, steps).view(kernel * kernel, 2, 1, 1)


def _pixel_positions(height: int, width: int, like: Tensor) -> Tensor:
    """Row and column of each pixel, [2, height, width]."""
    rows = torch.arange(height, dtype=like.dtype, device=like.device)
    columns = torch.arange(width, dtype=like.dtype, device=like.device)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
