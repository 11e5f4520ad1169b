"""U2-Net and IS-Net as lean graphs: batch norm folded in, only what leads to the mask kept."""

from __future__ import annotations

import numpy as np

from liftout.convert.graph import Graph
from liftout.convert.nodes import Value
from liftout.convert.weights import Weights, single
from liftout.networks.residual_u import kernel_dilation
from liftout.networks.u2net import DILATED_STAGES, STAGE_DEPTHS


def u2net(graph: Graph, photo: Value, weights: Weights) -> Value:
    """Logits [N, classes, h, w] of `liftout.networks.u2net.U2Net`.

    The fusion of the six side maps is linear per pixel and commutes with their enlargement, so it folds into the side
    convolutions: each side yields its share of the logits, and the shares add.
    """
    decoded = _stages(graph, photo, weights)
    fusion, fusion_bias = weights.affine("outconv")
    classes = fusion.shape[0]
    shares = []
    for number, features in enumerate(decoded, start=1):
        with graph.scope(f"side{number}"):
            weight, bias = weights.affine(f"side{number}")
            share = fusion[:, (number - 1) * classes : number * classes, 0, 0].astype(np.float64)
            shared_bias = share @ bias + (fusion_bias if number == 1 else 0.0)
            side = graph.conv(features, single(np.tensordot(share, weight, 1)), single(shared_bias), padding=1)
            shares.append(graph.resize(side, _size(photo), align_corners=False))
    return graph.total(shares)


def isnet(graph: Graph, photo: Value, weights: Weights) -> Value:
    """Logits [N, 1, h, w] of `liftout.networks.isnet.ISNet`; the side maps 2 to 6 serve training only."""
    with graph.scope("conv_in"):
        halved = graph.conv(photo, *weights.affine("conv_in"), stride=2, padding=1)
    finest = _stages(graph, halved, weights)[0]
    with graph.scope("side1"):
        mask = graph.conv(finest, *weights.affine("side1"), padding=1)
        return graph.resize(mask, _size(photo), align_corners=False)


def _stages(graph: Graph, x: Value, weights: Weights) -> list[Value]:
    """Outputs of stages 1d to 5d and 6, finest first."""
    encoded = [_block(graph, x, weights, "stage1")]
    for number in range(2, 7):
        encoded.append(_block(graph, graph.halve(encoded[-1]), weights, f"stage{number}"))
    decoded = [encoded[-1]]
    for number in range(5, 0, -1):
        skip = encoded[number - 1]
        decoded.insert(0, _block(graph, _joined(graph, decoded[0], skip), weights, f"stage{number}d"))
    return decoded


def _block(graph: Graph, x: Value, weights: Weights, stage: str) -> Value:
    """One residual U-block, see `liftout.networks.residual_u`."""
    depth = STAGE_DEPTHS[stage.removesuffix("d")]
    dilated = stage in DILATED_STAGES

    def conv(x: Value, name: str, dilation: int) -> Value:
        with graph.scope(f"{stage}.{name}"):
            weight, bias = weights.conv_norm(f"{stage}.{name}.conv_s1", f"{stage}.{name}.bn_s1")
            return graph.relu(graph.conv(x, weight, bias, padding=dilation, dilation=dilation))

    spacing = [kernel_dilation(level, depth, dilated=dilated) for level in range(1, depth + 1)]
    shortcut = conv(x, "rebnconvin", 1)
    levels = [conv(shortcut, "rebnconv1", spacing[0])]
    for level in range(2, depth):
        above = levels[-1] if dilated else graph.halve(levels[-1])
        levels.append(conv(above, f"rebnconv{level}", spacing[level - 1]))
    y = conv(levels[-1], f"rebnconv{depth}", spacing[depth - 1])
    for level in range(depth - 1, 0, -1):
        y = conv(_joined(graph, y, levels[level - 1]), f"rebnconv{level}d", spacing[level - 1])
    return graph.add(y, shortcut)


def _joined(graph: Graph, coarse: Value, skip: Value) -> Value:
    return graph.concat([graph.resize(coarse, _size(skip), align_corners=False), skip], axis=1)


def _size(x: Value) -> tuple[int, int]:
    return x.shape[2], x.shape[3]
