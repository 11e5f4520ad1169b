"""BiRefNet's decoder block as a lean graph.

A deformable convolution reads the map at k*k learned places per pixel. All places of a strip of rows are sampled by one
GridSample, on a grid of [taps * rows, columns]; its result [C, taps * rows, columns] is, without moving a value,
[C * taps, rows, columns], and the convolution over it is 1x1. One convolution of the map yields places and modulator:
tap position, half-pixel and the step from pixels to [-1, 1] fold into its weights, batch norm and the modulator's factor
of two into the 1x1 convolution.

The 1x1 convolution that fuses the branches is linear, so each branch is fused by its own share of the weights before the
next one starts: their 1280-channel concatenation is never built, and the whole-map mean adds one value per channel.
"""

from __future__ import annotations

import functools

import numpy as np

from liftout.convert.graph import Graph
from liftout.convert.nodes import Float32Array, Value
from liftout.convert.pieces import pieces
from liftout.convert.weights import Weights, single
from liftout.networks.aspp import KERNELS


def pyramid(graph: Graph, x: Value, weights: Weights, name: str) -> Value:
    """[N, 64, h, w] -> the same: `dec_att` of a decoder block, under the checkpoint's `name`."""
    kernels = {"aspp1": 1} | {f"aspp_deforms.{i}": kernel for i, kernel in enumerate(KERNELS)}
    scale, shift = weights.norm(f"{name}.bn1")
    fusion = weights.take(f"{name}.conv1.weight") * scale[:, None, None, None]
    *shares, whole_share = (single(share) for share in np.split(fusion, len(kernels) + 1, axis=1))

    with graph.scope(f"{name}.global_avg_pool"):
        pool = weights.conv_norm(f"{name}.global_avg_pool.1", f"{name}.global_avg_pool.2")
        whole = graph.relu(graph.conv(graph.mean_of_map(x), *pool))
        terms = [graph.conv(whole, whole_share, single(shift))]
    for (branch, kernel), share in zip(kernels.items(), shares, strict=True):
        with graph.scope(f"{name}.{branch}"):
            terms.append(_branch(graph, x, weights, f"{name}.{branch}", kernel, share))
    return graph.relu(graph.total(terms[::-1]))


def _branch(graph: Graph, x: Value, weights: Weights, name: str, kernel: int, share: Float32Array) -> Value:
    """One deformable convolution with norm and activation, fused by its share: [N, 64, h, w] -> the same."""
    n, channels, height, width = x.shape
    taps = kernel * kernel
    places = graph.conv(x, *_place_weights(weights, name, kernel, height, width), padding=kernel // 2)
    weight, bias = weights.conv_norm(f"{name}.atrous_conv.regular_conv", f"{name}.bn")
    weight = 2 * weight.reshape(-1, channels * taps, 1, 1)

    strips = []
    for top, bottom in pieces(height, 4 * n * width * max(channels * taps, len(weight))):
        rows = bottom - top
        strip = graph.slice(places, 2, top, bottom)
        grid = graph.reshape(graph.slice(strip, 1, 0, 2 * taps), (n, 2, taps, rows * width))
        grid = graph.add_constant(grid, _pixel_places(top, bottom, height, width), "pixels")
        grid = graph.transpose(graph.reshape(grid, (n, 2, taps * rows * width)), (0, 2, 1))
        sampled = graph.grid_sample(x, graph.reshape(grid, (n, taps * rows, width, 2)))
        modulator = graph.sigmoid(graph.slice(strip, 1, 2 * taps, 3 * taps))
        weighted = graph.multiply(
            graph.reshape(sampled, (n, channels, taps, rows * width)),
            graph.reshape(modulator, (n, 1, taps, rows * width)),
        )
        features = graph.conv(graph.reshape(weighted, (n, channels * taps, rows, width)), weight, bias)
        strips.append(graph.conv(graph.relu(features), share))
    return graph.concat(strips, axis=2)


def _place_weights(
    weights: Weights, name: str, kernel: int, height: int, width: int
) -> tuple[Float32Array, Float32Array]:
    """Weight and bias of the convolution that yields columns, rows and modulator logits of all taps.

    GridSample puts -1 and 1 at the outer edges of the border pixels: column c of `width` is at (2c + 1) / width - 1. The
    part of c that is the pixel's own column is added later, see `_pixel_places`.
    """
    offsets, offset_bias = weights.affine(f"{name}.atrous_conv.offset_conv")
    modulator, modulator_bias = weights.affine(f"{name}.atrous_conv.modulator_conv")
    steps = np.arange(kernel) - kernel // 2
    axes = ((1, np.tile(steps, kernel), width), (0, np.repeat(steps, kernel), height))
    weight = [offsets[axis::2].astype(np.float64) * (2 / size) for axis, _, size in axes]
    bias = [(2 * (offset_bias[axis::2] + taps.astype(np.float64)) + 1) / size - 1 for axis, taps, size in axes]
    return single(np.concatenate([*weight, modulator])), single(np.concatenate([*bias, modulator_bias]))


@functools.lru_cache(maxsize=256)
def _pixel_places(top: int, bottom: int, height: int, width: int) -> Float32Array:
    """[1, 2, 1, pixels]: how far the columns and rows of a strip are from the first ones, in GridSample's units."""
    row, column = np.meshgrid(np.arange(top, bottom) * (2 / height), np.arange(width) * (2 / width), indexing="ij")
    return single(np.stack((column.ravel(), row.ravel()))[None, :, None])
