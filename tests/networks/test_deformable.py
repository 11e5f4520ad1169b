"""The deformable convolution against its definition, written out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from liftout.networks import deformable
from liftout.networks.deformable import deformable_conv2d


def by_definition(x: np.ndarray, offset: np.ndarray, modulator: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """y(p) = sum over taps of W_k m_k(p) x(p + p_k + d_k(p)), x bilinear and zero outside, in float64."""
    channels, height, width = x.shape
    outputs, _, kernel, _ = weight.shape
    result = np.zeros((outputs, height, width))
    for row in range(height):
        for column in range(width):
            for tap in range(kernel * kernel):
                y = row + tap // kernel - kernel // 2 + offset[2 * tap, row, column]
                z = column + tap % kernel - kernel // 2 + offset[2 * tap + 1, row, column]
                value = np.zeros(channels)
                for near_y in (int(np.floor(y)), int(np.floor(y)) + 1):
                    for near_z in (int(np.floor(z)), int(np.floor(z)) + 1):
                        if 0 <= near_y < height and 0 <= near_z < width:
                            value += x[:, near_y, near_z] * (1 - abs(y - near_y)) * (1 - abs(z - near_z))
                kernel_at = weight[:, :, tap // kernel, tap % kernel]
                result[:, row, column] += kernel_at @ value * modulator[tap, row, column]
    return result


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize(("height", "width"), [(6, 9), (1, 5), (1, 1)])
def test_it_computes_its_definition_also_where_taps_leave_the_map(kernel: int, height: int, width: int) -> None:
    rng = np.random.default_rng(kernel)
    x = rng.standard_normal((3, height, width))
    offset = 2 * rng.standard_normal((2 * kernel**2, height, width))
    modulator = rng.random((kernel**2, height, width))
    weight = rng.standard_normal((4, 3, kernel, kernel))
    tensors = (torch.from_numpy(array) for array in (x[None], offset[None], modulator[None], weight))
    computed = deformable_conv2d(*tensors)
    assert np.abs(computed[0].numpy() - by_definition(x, offset, modulator, weight)).max() < 1e-12


def test_without_offsets_it_is_a_convolution() -> None:
    x, weight = torch.randn(2, 3, 8, 5, dtype=torch.float64), torch.randn(4, 3, 3, 3, dtype=torch.float64)
    still, whole = torch.zeros(2, 18, 8, 5, dtype=torch.float64), torch.ones(2, 9, 8, 5, dtype=torch.float64)
    assert torch.allclose(deformable_conv2d(x, still, whole, weight), functional.conv2d(x, weight, padding=1))


def test_strips_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = torch.Generator().manual_seed(0)
    x, weight = torch.randn(1, 3, 10, 6, generator=rng), torch.randn(4, 3, 3, 3, generator=rng)
    offset, modulator = torch.randn(1, 18, 10, 6, generator=rng), torch.rand(1, 9, 10, 6, generator=rng)
    whole = deformable_conv2d(x, offset, modulator, weight)
    monkeypatch.setattr(deformable, "SAMPLE_BYTES", 4 * 3 * 9 * 6 * 3)
    assert torch.allclose(deformable_conv2d(x, offset, modulator, weight), whole, atol=1e-6)
