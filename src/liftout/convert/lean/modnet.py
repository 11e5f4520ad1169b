"""MODNet as a lean graph: batch norm folded in, the norm of half the channels without cutting a map, only what leads to the
matte kept.

A convolution whose channels go into two norms becomes two convolutions: batch norm folds into the first, and the second needs
no bias, which the mean that instance norm subtracts takes with it.
"""

from __future__ import annotations

import numpy as np

from liftout.convert.graph import Graph
from liftout.convert.nodes import Float32Array, Value
from liftout.convert.weights import Weights, single
from liftout.networks.modnet import STAGES, TAPS


def modnet(graph: Graph, photo: Value, weights: Weights) -> Value:
    """Logits [N, 1, h, w] of `liftout.networks.modnet.MODNet`."""
    height, width = photo.shape[2:]

    def at(x: Value, part: int) -> Value:
        return graph.resize(x, (height // part, width // part), align_corners=False)

    maps = _backbone(graph, photo, weights)
    low = _conv(graph, at(_weighted(graph, maps["coarsest"], weights), 16), weights, "lr_branch.conv_lr16x")
    low = _conv(graph, at(low, 8), weights, "lr_branch.conv_lr8x")
    quarter_low = at(low, 4)

    half = _conv(graph, maps["half"], weights, "hr_branch.tohr_enc2x")
    quarter = _conv(graph, maps["quarter"], weights, "hr_branch.tohr_enc4x")
    y = _conv(graph, graph.concat([at(photo, 2), half], axis=1), weights, "hr_branch.conv_enc2x", stride=2)
    y = _conv(graph, graph.concat([y, quarter], axis=1), weights, "hr_branch.conv_enc4x")
    y = graph.concat([y, quarter_low, at(photo, 4)], axis=1)
    for number in range(3):
        y = _conv(graph, y, weights, f"hr_branch.conv_hr4x.{number}")
    y = graph.concat([at(y, 2), half], axis=1)
    for number in range(4):
        y = _conv(graph, y, weights, f"hr_branch.conv_hr2x.{number}")

    low = at(_conv(graph, quarter_low, weights, "f_branch.conv_lr4x"), 2)
    y = _conv(graph, graph.concat([low, y], axis=1), weights, "f_branch.conv_f2x")
    y = _conv(graph, graph.concat([at(y, 1), photo], axis=1), weights, "f_branch.conv_f.0")
    with graph.scope("f_branch.conv_f.1"):
        return graph.conv(y, *weights.affine("f_branch.conv_f.1.layers.0"))


def _backbone(graph: Graph, photo: Value, weights: Weights) -> dict[str, Value]:
    """The maps that the branches read, by what part of the photo's size they have."""
    blocks = [(1, 1)]  # expansion and stride of each layer
    for expansion, _, count, stride in STAGES:
        blocks += [(expansion, stride if number == 0 else 1) for number in range(count)]
    maps, x = {}, photo
    for number in range(len(blocks) + 1):
        name = f"lr_branch.backbone.model.features.{number}"
        with graph.scope(name):
            if number == 0:
                x = graph.relu6(graph.conv(x, *weights.conv_norm(f"{name}.0", f"{name}.1"), stride=2, padding=1))
            elif number == len(blocks):
                x = graph.relu6(graph.conv(x, *weights.conv_norm(f"{name}.0", f"{name}.1")))
            else:
                x = _inverted_residual(graph, x, weights, f"{name}.conv", *blocks[number])
        if number in TAPS:
            maps[TAPS[number]] = x
    return maps


def _inverted_residual(graph: Graph, x: Value, weights: Weights, name: str, expansion: int, stride: int) -> Value:
    y, layer = x, 0
    if expansion != 1:
        y = graph.relu6(graph.conv(y, *weights.conv_norm(f"{name}.0", f"{name}.1")))
        layer = 3
    weight, bias = weights.conv_norm(f"{name}.{layer}", f"{name}.{layer + 1}")
    y = graph.relu6(graph.conv(y, weight, bias, stride=stride, padding=1, groups=y.shape[1]))
    y = graph.conv(y, *weights.conv_norm(f"{name}.{layer + 3}", f"{name}.{layer + 4}"))
    return graph.add(x, y) if y.shape == x.shape else y


def _weighted(graph: Graph, x: Value, weights: Weights) -> Value:
    """Channels weighted by what the whole map holds."""
    with graph.scope("lr_branch.se_block"):
        y = graph.mean_of_map(x)
        y = graph.relu(graph.conv(y, _one_by_one(weights.take("lr_branch.se_block.fc.0.weight"))))
        y = graph.sigmoid(graph.conv(y, _one_by_one(weights.take("lr_branch.se_block.fc.2.weight"))))
        return graph.multiply(x, y)


def _one_by_one(matrix: Float32Array) -> Float32Array:
    return np.ascontiguousarray(matrix[:, :, None, None])


def _conv(graph: Graph, x: Value, weights: Weights, name: str, *, stride: int = 1) -> Value:
    """Convolution, norm and ReLU of the layers called `name`."""
    weight, bias = weights.affine(f"{name}.layers.0")
    scale, shift = weights.norm(f"{name}.layers.1.bnorm")
    known, padding = len(scale), weight.shape[2] // 2
    folded = single(weight[:known] * scale[:, None, None, None]), single(bias[:known] * scale + shift)
    with graph.scope(name):
        first = graph.conv(x, *folded, stride=stride, padding=padding)
        second = graph.conv(x, np.ascontiguousarray(weight[known:]), stride=stride, padding=padding)
        return graph.relu(graph.concat([first, graph.instance_norm(second)], axis=1))
