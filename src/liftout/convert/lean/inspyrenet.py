"""InSPyReNet as a lean graph. Beside what `swin` and `parts` do:

* The refinement runs on strips of rows, with as many more above and below as its convolutions see, so that no map of 64
  channels exists at the photo's size; its input there, which is an enlarged map, is enlarged strip by strip too.
* The sums over the whole map, which every strip needs, are taken before, from a few channels at a time.
* Enlarging by spreading pixels on zeros and blurring is a convolution of the small map with four outputs, one for each of
  the four pixels that a pixel becomes.
* The gains of attention and the scale of its scores fold into the convolutions before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liftout.convert.graph import Graph
from liftout.convert.lean.parts import conv_of_parts
from liftout.convert.lean.swin import Affine, SwinWeights, swin_with_embedding
from liftout.convert.nodes import Float32Array, Value
from liftout.convert.pieces import pieces
from liftout.convert.weights import Weights, single
from liftout.networks.inspyrenet import BLUR, DEPTH, RECEPTIVE
from liftout.networks.swin import SwinSize


def inspyrenet(graph: Graph, photo: Value, weights: Weights, size: SwinSize, base: tuple[int, int]) -> Value:
    """Logits [N, 1, h, w] of `liftout.networks.inspyrenet.InSPyReNet`."""
    height, width = photo.shape[2:]
    maps = swin_with_embedding(graph, photo, SwinWeights(weights, size, "backbone"))
    x1, x2, x3, x4, x5 = (_context(graph, x, weights, f"context{number}") for number, x in enumerate(maps, start=1))
    features, saliency = _decoded(graph, x3, x4, x5, weights)
    detail = None
    for stage, skip in ((2, [x2]), (1, [x1]), (0, [])):
        part = 2**stage
        refinement = _Refinement(
            name=f"attention{stage}",
            parts=[*skip, features],
            saliency=saliency,
            detail=detail,
            size=(height // part, width // part),
            base=(base[0] // part, base[1] // part),
        )
        strips = _refined(graph, refinement, weights)
        if stage:
            features = graph.concat([strip for strip, _ in strips], axis=2)
        detail = graph.concat([strip for _, strip in strips], axis=2)
        with graph.scope(f"pyramid{stage}"):
            saliency = graph.add(_enlarged(graph, saliency), detail)
    return saliency


@dataclass(frozen=True, kw_only=True)
class _Refinement:
    """One refinement: what goes in, and at which size."""

    name: str
    """Of its layers."""
    parts: list[Value]
    """The channels of the input, of this size or half of it."""
    saliency: Value
    detail: Value | None
    size: tuple[int, int]
    base: tuple[int, int]
    """The size at which sums over the map are taken."""


@dataclass(frozen=True)
class _Strip:
    """Some rows of a map."""

    value: Value
    top: int
    """The first of them."""

    @property
    def bottom(self) -> int:
        return self.top + self.value.shape[2]

    def rows(self, graph: Graph, top: int, bottom: int) -> Value:
        return graph.slice(self.value, 2, top - self.top, bottom - self.top)


def _context(graph: Graph, x: Value, weights: Weights, name: str) -> Value:
    """Parallel axial attention, [N, c, h, w] -> [N, 64, h, w]."""
    branches = [_conv(graph, x, weights, f"{name}.branch0")]
    for number, receptive in enumerate(RECEPTIVE, start=1):
        branch = f"{name}.branch{number}"
        y = _conv(graph, x, weights, f"{branch}.conv0")
        y = _conv(graph, _conv(graph, y, weights, f"{branch}.conv1"), weights, f"{branch}.conv2")
        y = _axial(graph, y, weights, branch)
        branches.append(_conv(graph, y, weights, f"{branch}.conv3", dilation=receptive))
    with graph.scope(f"{name}.conv_cat"):
        joined = conv_of_parts(graph, branches, *_folded(weights, f"{name}.conv_cat"))
    return graph.relu(graph.add(joined, _conv(graph, x, weights, f"{name}.conv_res")))


def _decoded(graph: Graph, x3: Value, x4: Value, x5: Value, weights: Weights) -> tuple[Value, Value]:
    """Features and saliency at an eighth of the photo's size."""
    size = x3.shape[2], x3.shape[3]
    parts = [graph.resize(x5, size, align_corners=True), graph.resize(x4, size, align_corners=True), x3]
    with graph.scope("decoder.conv1"):
        y = conv_of_parts(graph, parts, *_folded(weights, "decoder.conv1"))
    y = _axial(graph, y, weights, "decoder")
    for number in (2, 3, 4):
        y = _conv(graph, y, weights, f"decoder.conv{number}")
    with graph.scope("decoder.conv5"):
        return y, graph.conv(y, weights.take("decoder.conv5.conv.weight"), padding=1)


def _axial(graph: Graph, x: Value, weights: Weights, name: str) -> Value:
    """What attention along both axes adds to twice the map."""
    y = graph.add(x, x)
    for axis, part in ((2, "Hattn"), (3, "Wattn")):
        gain = weights.take(f"{name}.{part}.gamma")
        weight, bias = _folded(weights, f"{name}.{part}.value_conv")
        query, key = (
            _lists(graph, _conv(graph, x, weights, f"{name}.{part}.{role}"), axis)
            for role in ("query_conv", "key_conv")
        )
        with graph.scope(f"{name}.{part}"):
            value = _lists(graph, graph.conv(x, weight * gain, bias * gain), axis)
            attention = graph.softmax(graph.matmul(graph.transpose(query, (0, 2, 1)), key))
            added = graph.matmul(value, graph.transpose(attention, (0, 2, 1)))
            y = graph.add(y, graph.reshape(added, x.shape))
    return y


def _lists(graph: Graph, x: Value, axis: int) -> Value:
    """The map's memory as lists of as many values as the axis has, as the network reads it."""
    n, channels, height, width = x.shape
    length = x.shape[axis]
    return graph.reshape(x, (n, channels * height * width // length, length))


def _refined(graph: Graph, refinement: _Refinement, weights: Weights) -> list[tuple[Value, Value]]:
    """Features and detail of each strip."""
    name, (height, width) = refinement.name, refinement.size
    key, value = _sums(graph, refinement, weights)
    query = [_folded(weights, f"{name}.conv_query.{layer}") for layer in (0, 1)]
    outs = [_folded(weights, f"{name}.conv_out{layer}") for layer in (1, 2, 3)]
    last = _folded(weights, f"{name}.conv_out4")

    def conv(strip: _Strip, affine: Affine) -> _Strip:
        above, below = int(strip.top == 0), int(strip.bottom == height)
        y = graph.relu(graph.conv(strip.value, *affine, padding=(above, 1, below, 1)))
        return _Strip(y, strip.top + 1 - above)

    strips = []
    for top, bottom in pieces(height, 2 * refinement.saliency.shape[0] * width * DEPTH):
        with graph.scope(name):
            x = _Strip(*_rows(graph, refinement.parts, refinement.size, max(0, top - 5), min(height, bottom + 5)))
            asking = conv(conv(x, query[0]), query[1])
            context = conv(_Strip(_attended(graph, asking.value, key, value), asking.top), outs[0])
            joined = graph.concat([x.rows(graph, context.top, context.bottom), context.value], axis=1)
            y = conv(conv(_Strip(joined, context.top), outs[1]), outs[2])
            strips.append((y.value, graph.conv(y.value, *last)))
    return strips


def _sums(graph: Graph, refinement: _Refinement, weights: Weights) -> tuple[Value, Value]:
    """Keys [N, 64, s] and values [N, 64, s] of the s kinds of pixels, those of keys times the scale of the scores."""
    name, parts, size, base = refinement.name, refinement.parts, refinement.size, refinement.base
    n = refinement.saliency.shape[0]
    pixels = base[0] * base[1]
    channels = sum(part.shape[1] for part in parts)
    with graph.scope(f"{name}.kinds"):
        kinds = [_sure(graph, refinement.saliency, weights.take(f"{name}.threshold"), size, unsure=True)]
        if refinement.detail is not None:
            kinds.append(_sure(graph, refinement.detail, weights.take(f"{name}.lthreshold"), size, unsure=False))
        shares = graph.resize(graph.concat(kinds, axis=1), base, align_corners=False)
        shares = graph.reshape(shares, (n, shares.shape[1], pixels))
        terms, first = [], 0
        for part in parts:
            for start, stop in pieces(part.shape[1], 4 * n * pixels):
                few = graph.resize(graph.slice(part, 1, start, stop), size, align_corners=False)
                few = graph.resize(few, base, align_corners=False)
                edges = [(first + edge) * pixels // channels for edge in (start, stop)]
                # The network reads the memory of [channels, pixels] as [pixels, channels].
                few = graph.reshape(few, (n, edges[1] - edges[0], channels))
                terms.append(graph.matmul(graph.slice(shares, 2, *edges), few))
            first += part.shape[1]
        sums = graph.total(terms)
    made = []
    for role, scale in (("key", DEPTH**-0.5), ("value", 1.0)):
        with graph.scope(f"{name}.conv_{role}"):
            y = sums
            for layer in (0, 1):
                weight, bias = _folded(weights, f"{name}.conv_{role}.{layer}")
                factor = scale if layer else 1.0
                y = graph.relu(graph.linear(y, single(weight[:, :, 0, 0].T * factor), single(bias * factor)))
            made.append(y)
    key, value = made
    return key, graph.transpose(value, (0, 2, 1))


def _sure(graph: Graph, x: Value, threshold: Float32Array, size: tuple[int, int], *, unsure: bool) -> Value:
    """How surely each pixel is subject, and is not; and, where asked for, how unsure it is."""
    p = graph.sigmoid(graph.resize(x, size, align_corners=False))
    signs = np.array([1, -1], np.float32).reshape(2, 1, 1, 1)
    over = graph.conv(p, signs, single(np.concatenate([-threshold, threshold])))
    sure = graph.clip(over, 0, 1)
    if not unsure:
        return sure
    both = np.full((1, 2, 1, 1), -1, np.float32)
    return graph.concat([sure, graph.conv(graph.relu(over), both, threshold)], axis=1)


def _attended(graph: Graph, query: Value, key: Value, value: Value) -> Value:
    """[N, 64, rows, w] -> the same: every pixel attends to the kinds."""
    n, depth, rows, width = query.shape
    scores = graph.matmul(key, graph.reshape(query, (n, depth, rows * width)))
    attention = graph.transpose(graph.softmax(graph.transpose(scores, (0, 2, 1))), (0, 2, 1))
    return graph.reshape(graph.matmul(value, attention), query.shape)


def _rows(graph: Graph, parts: list[Value], size: tuple[int, int], top: int, bottom: int) -> tuple[Value, int]:
    """Rows `top` to `bottom` of the parts enlarged to `size`, joined, and `top`."""
    height, width = size
    strips = []
    for part in parts:
        factor = height // part.shape[2]
        if factor == 1:
            strips.append(graph.slice(part, 2, top, bottom))
            continue
        first, last = max(0, top // factor - 1), min(part.shape[2], -(-bottom // factor) + 1)
        strip = graph.resize(graph.slice(part, 2, first, last), ((last - first) * factor, width), align_corners=False)
        strips.append(graph.slice(strip, 2, top - first * factor, bottom - first * factor))
    return graph.concat(strips, axis=1), top


def _enlarged(graph: Graph, x: Value) -> Value:
    """`x` twice as large: pixels spread on zeros, then blurred; mirrored at the borders, [N, 1, h, w] -> [N, 1, 2h, 2w].

    Of the seven taps across a row of spread pixels three meet a pixel where the middle one does, and four where it does
    not: those of the pixels i - 1 to i + 2. Mirrored, pixel -1 is 1; n is n - 1, and n + 1 is n - 2.
    """
    n, _, height, width = x.shape
    for axis, length in ((2, height), (3, width)):
        ends = [graph.slice(x, axis, at, at + 1) for at in (1, length - 1, length - 2)]
        x = graph.concat([ends[0], x, ends[1], ends[2]], axis=axis)
    blur = np.zeros((8, 8))
    blur[:7, :7] = 4 * BLUR.numpy()
    phases = [[1, 3, 5, 7], [0, 2, 4, 6]]
    kernels = np.stack([blur[np.ix_(down, across)] for down in phases for across in phases])[:, None]
    y = graph.reshape(graph.conv(x, single(kernels)), (n, 2, 2, height, width))
    return graph.reshape(graph.transpose(y, (0, 3, 1, 4, 2)), (n, 1, 2 * height, 2 * width))


def _folded(weights: Weights, name: str) -> Affine:
    return weights.conv_norm(f"{name}.conv", f"{name}.bn")


def _conv(graph: Graph, x: Value, weights: Weights, name: str, *, dilation: int = 1) -> Value:
    """Convolution and norm of the layer called `name`; as large as the input."""
    weight, bias = _folded(weights, name)
    down, across = (dilation * (length // 2) for length in weight.shape[2:])
    with graph.scope(name):
        return graph.conv(x, weight, bias, padding=(down, across, down, across), dilation=dilation)
