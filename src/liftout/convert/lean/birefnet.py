"""BiRefNet as a lean graph.

Beside what `swin`, `pyramid` and `parts` do:

* A 1x1 convolution commutes with bilinear enlargement, whose weights sum to one. The half-size maps are as large as the
  next coarser level, and both are enlarged alike: their share of the lateral convolution is added there, before.
* The last 1x1 convolution comes before the enlargement to the photo's size, where it folds into the decoder block's last
  convolution: one channel is enlarged instead of 96 or 192.
* The same 1x1 convolution folds into the photo branch's second 3x3 convolution, which leaves nine scalar taps. Applied
  before the shift, they fold into the first convolution: nine maps of the photo's size instead of 64.
* The order of the photo's tiles is that of the first convolution's input channels, so it folds into its weights.

Of two inputs of a node, ONNX Runtime computes the one that stands later in the file first, with all that it needs. So
a large value that is computed early is written before the value that it is added to; else it would stay in memory meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from liftout.convert.graph import Graph
from liftout.convert.lean.parts import conv_of_parts
from liftout.convert.lean.pyramid import pyramid
from liftout.convert.lean.swin import SwinWeights, swin
from liftout.convert.nodes import Value
from liftout.convert.pieces import pieces
from liftout.convert.weights import Weights, single
from liftout.networks.birefnet import PatchOrder
from liftout.networks.swin import SwinSize


def birefnet(graph: Graph, photo: Value, weights: Weights, size: SwinSize, patch_order: PatchOrder) -> Value:
    """Logits [N, 1, h, w] of `liftout.networks.birefnet.BiRefNet`; heads that only training reads are left."""
    backbone = SwinWeights(weights, size)
    full = swin(graph, photo, backbone)
    with graph.scope("half"):
        half = swin(
            graph, graph.resize(photo, (photo.shape[2] // 2, photo.shape[3] // 2), align_corners=True), backbone
        )

    x = [_squeezed(graph, full, half, weights)]
    for level in (4, 3, 2):
        x.append(_photo_branch(graph, photo, _size(x[0]), weights, f"decoder.ipt_blk{level + 1}", patch_order))
        p = _block_inside(graph, x, weights, f"decoder.decoder_block{level}")
        p = _block_end(graph, p, weights, f"decoder.decoder_block{level}")
        p = _gated(graph, p, weights, level)
        x = _with_lateral(graph, p, full[level - 2], half[level - 2], weights, f"decoder.lateral_block{level}")
    x.append(_photo_branch(graph, photo, _size(x[0]), weights, "decoder.ipt_blk2", patch_order))
    p = _block_inside(graph, x, weights, "decoder.decoder_block1")
    return _logits(graph, p, photo, weights)


def _squeezed(graph: Graph, full: list[Value], half: list[Value], weights: Weights) -> Value:
    """All maps of both scales at the size of the coarsest, through `squeeze_module`."""
    size = _size(full[3])
    with graph.scope("squeeze_module.0"):
        context = []
        for fine, coarse in zip(full, half, strict=True):
            # Two steps for the half-size maps, as in the network: straight to `size` would sample other places.
            enlarged = graph.resize(coarse, _size(fine), align_corners=True)
            context += [graph.resize(x, size, align_corners=True) for x in (fine, enlarged)]
        joined = graph.concat(context, axis=1)
    return _block_end(graph, _block_inside(graph, [joined], weights, "squeeze_module.0"), weights, "squeeze_module.0")


def _block_inside(graph: Graph, parts: Sequence[Value], weights: Weights, name: str) -> Value:
    """The decoder block called `name` but for its last convolution; `parts` are the input's channels, in order."""
    weight, bias = weights.conv_norm(f"{name}.conv_in", f"{name}.bn_in")
    with graph.scope(f"{name}.conv_in"):
        x = graph.relu(conv_of_parts(graph, parts, weight, bias))
    return pyramid(graph, x, weights, f"{name}.dec_att")


def _block_end(graph: Graph, x: Value, weights: Weights, name: str) -> Value:
    with graph.scope(f"{name}.conv_out"):
        return graph.conv(x, *weights.conv_norm(f"{name}.conv_out", f"{name}.bn_out"), padding=1)


def _photo_branch(
    graph: Graph, photo: Value, size: tuple[int, int], weights: Weights, name: str, patch_order: PatchOrder
) -> Value:
    """The photo in tiles of `size`, stacked as channels, through two convolutions."""
    n, colours, height, width = photo.shape
    rows, columns = height // size[0], width // size[1]
    weight, bias = weights.affine(f"{name}.conv1")
    if patch_order == "wgc":
        outputs, _, *kernel = weight.shape
        by_column = weight.reshape(outputs, columns, rows, colours, *kernel)
        weight = np.ascontiguousarray(by_column.transpose(0, 3, 2, 1, 4, 5).reshape(weight.shape))
    with graph.scope(name):
        tiles = graph.reshape(photo, (n * colours * rows, size[0], columns, size[1]))
        tiles = graph.reshape(graph.transpose(tiles, (0, 2, 1, 3)), (n, colours * rows * columns, *size))
        return graph.conv(graph.conv(tiles, weight, bias, padding=1), *weights.affine(f"{name}.conv_out"), padding=1)


def _gated(graph: Graph, p: Value, weights: Weights, level: int) -> Value:
    """Weighted per pixel by what the gradient head sees."""
    name = f"decoder.gdt_convs_{level}"
    with graph.scope(name):
        gradient = graph.relu(graph.conv(p, *weights.conv_norm(f"{name}.0", f"{name}.1"), padding=1))
        gate = graph.sigmoid(graph.conv(gradient, *weights.affine(f"decoder.gdt_convs_attn_{level}.0")))
        return graph.multiply(p, gate)


def _with_lateral(graph: Graph, p: Value, fine: Value, coarse: Value, weights: Weights, name: str) -> list[Value]:
    """`p` enlarged to the size of `fine`, plus a 1x1 convolution of the two scales there; in pieces of channels."""
    weight, bias = weights.affine(f"{name}.conv")
    of_fine, of_coarse = np.split(weight, 2, axis=1)
    n, _, height, width = fine.shape
    parts = []
    with graph.scope(name):
        for start, stop in pieces(p.shape[1], 4 * n * height * width):
            share, coarse_share = (np.ascontiguousarray(w[start:stop]) for w in (of_fine, of_coarse))
            y = graph.conv(fine, share)
            low = graph.add(graph.conv(coarse, coarse_share, bias[start:stop]), graph.slice(p, 1, start, stop))
            parts.append(graph.add(y, graph.resize(low, (height, width), align_corners=True)))
    return parts


def _logits(graph: Graph, p: Value, photo: Value, weights: Weights) -> Value:
    """From inside the last decoder block, and from the photo itself, to the network's output."""
    last, last_bias = weights.affine("decoder.conv_out1.0")
    block, block_bias = weights.conv_norm("decoder.decoder_block1.conv_out", "decoder.decoder_block1.bn_out")
    of_block, of_photo = np.split(last[0, :, 0, 0].astype(np.float64), [block.shape[0]])

    first, first_bias = weights.affine("decoder.ipt_blk1.conv1")
    second, second_bias = weights.affine("decoder.ipt_blk1.conv_out")
    with graph.scope("decoder.ipt_blk1"):
        taps = np.tensordot(of_photo, second, 1).reshape(first.shape[0], 9).T
        maps = graph.conv(photo, single(np.tensordot(taps, first, 1)), single(taps @ first_bias), padding=1)
        shifts = np.eye(9, dtype=np.float32).reshape(1, 9, 3, 3)
        share = graph.conv(maps, shifts, single(of_photo @ second_bias + last_bias), padding=1)

    with graph.scope("decoder.conv_out1"):
        coarse = graph.conv(
            p, single(np.tensordot(of_block, block, 1)[None]), single(of_block @ block_bias[:, None]), padding=1
        )
        return graph.add(share, graph.resize(coarse, _size(photo), align_corners=True))


def _size(x: Value) -> tuple[int, int]:
    return x.shape[2], x.shape[3]
