"""BEN2 as a lean graph. Beside what `swin` does:

* Queries attend in pieces, so that no table of scores is large; the key's bias drops out, as in `swin`, the value's folds into
  the projection, and the code of places is a constant of query and key.
* The bias before an instance norm goes with the mean that the norm subtracts.
* Enlarging by repetition and then a 3x3 convolution is four 2x2 convolutions of the small map, one for each of the four pixels
  that a pixel becomes. They stay apart through norm and GELU, a few channels at a time, and of the last ones only what the
  output's nine taps need is kept: no map of 128 channels exists at the photo's size.
* The convolution of the photo that is read at a quarter and at half of its size is computed there alone: reading between
  pixels folds into it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from liftout.convert.graph import Graph
from liftout.convert.lean.swin import Affine, SwinWeights, swin_with_embedding
from liftout.convert.nodes import Float32Array, Value
from liftout.convert.pieces import pieces
from liftout.convert.weights import Weights, single
from liftout.networks.ben2 import LOCATING_POOLS, REFINING_POOLS, WIDTH, place_code
from liftout.networks.swin import SwinSize


def ben2(graph: Graph, photo: Value, weights: Weights, size: SwinSize) -> Value:
    """Logits [1, 1, h, w] of `liftout.networks.ben2.BEN2`, for one photo."""
    _, _, height, width = photo.shape
    half = graph.resize(photo, (height // 2, width // 2), align_corners=False)
    views = graph.concat([*_quarters(graph, photo), half], axis=0)
    maps = swin_with_embedding(graph, views, SwinWeights(weights, size, "backbone"))
    e = [_normed(graph, _conv(graph, x, weights, f"output{i}.0")) for i, x in enumerate(maps, start=1)]
    with graph.scope("multifieldcrossatt"):
        x = _located(graph, e[4], weights, "multifieldcrossatt")
    for level in (4, 3, 2, 1):
        x = graph.add(e[level - 1], graph.resize(x, _size(e[level - 1]), align_corners=False))
        with graph.scope(f"dec_blk{level}"):
            x = _refined(graph, x, weights, f"dec_blk{level}")
        x = _normed(graph, _conv(graph, x, weights, f"conv{level}.0"))
    joined = _joined(graph, graph.slice(x, 0, 0, 4))
    x = graph.add(joined, graph.resize(graph.slice(x, 0, 4, 5), _size(joined), align_corners=False))
    for layer in (0, 3):
        x = _normed(graph, _conv(graph, x, weights, f"insmask_head.{layer}"))
    with graph.scope("insmask_head.6"):
        x = graph.conv(x, *weights.affine("insmask_head.6"), padding=1)
    return _enlarged(graph, x, photo, weights)


def _enlarged(graph: Graph, x: Value, photo: Value, weights: Weights) -> Value:
    """From a quarter of the photo's size to logits."""
    kernel, bias = weights.affine("shallow.0")
    between = single(_between(kernel))
    (first, _), (last, _) = (weights.affine(f"upsample{number}.0") for number in (1, 2))
    output, output_bias = weights.affine("output.0")
    with graph.scope("shallow"):
        x = graph.add(x, graph.conv(photo, between, bias, stride=4))
        shallow = graph.conv(photo, between, bias, stride=2, padding=1)
    with graph.scope("upsample1"):
        x = graph.concat([_together(graph, few) for few, _ in _repeated(graph, x, first)], axis=1)
    x = graph.add(x, shallow)
    with graph.scope("upsample2"):
        taps = output.reshape(WIDTH, 9).T[:, :, None, None]
        shares = [
            graph.conv(few, np.ascontiguousarray(taps[:, start:stop]))
            for few, (start, stop) in _repeated(graph, x, last)
        ]
        nine = _together(graph, graph.total(shares))
        shifts = np.eye(9, dtype=np.float32).reshape(1, 9, 3, 3)
        return graph.conv(nine, shifts, output_bias, padding=1)


def _between(kernel: Float32Array) -> Float32Array:
    """The mean of a 3x3 convolution at four neighbouring pixels, as one of 4x4."""
    y = np.zeros((*kernel.shape[:2], 4, 4))
    for down in (0, 1):
        for across in (0, 1):
            y[:, :, down : down + 3, across : across + 3] += kernel / 4
    return y.astype(np.float32)


def _repeated(graph: Graph, x: Value, kernel: Float32Array) -> Iterator[tuple[Value, tuple[int, int]]]:
    """Every pixel four times, then a 3x3 convolution, norm and GELU: some channels and which these are.

    The maps of upper left, upper right, lower left and lower right pixels stand one below the other.
    """
    _, _, height, width = x.shape
    fold = {0: [[1, 0, 0], [0, 1, 1]], 1: [[1, 1, 0], [0, 0, 1]]}  # which rows of the kernel meet the same pixel
    for start, stop in pieces(len(kernel), 4 * height * width):
        four = []
        for down in (0, 1):
            for across in (0, 1):
                folded = np.einsum("pr,oirc,qc->oipq", fold[down], kernel[start:stop].astype(np.float64), fold[across])
                four.append(graph.conv(x, single(folded), padding=(1 - down, 1 - across, down, across)))
        yield _normed(graph, graph.concat(four, axis=2)), (start, stop)


def _together(graph: Graph, x: Value) -> Value:
    """Four maps one below the other, their pixels put side by side: [1, c, 4h, w] -> [1, c, 2h, 2w]."""
    _, channels, height, width = x.shape
    y = graph.reshape(x, (channels, 2, 2, height // 4, width))
    return graph.reshape(graph.transpose(y, (0, 3, 1, 4, 2)), (1, channels, height // 2, 2 * width))


def _located(graph: Graph, x: Value, weights: Weights, name: str) -> Value:
    """The whole looks at the quarters, then each quarter at its part of the whole; [5, 128, h, w] -> the same."""
    _, _, height, width = x.shape
    local, whole = graph.slice(x, 0, 0, 4), _tokens(graph, graph.slice(x, 0, 4, 5))
    joined = _joined(graph, local)
    pools = [graph.mean_of_cells(joined, 2 * ratio) for ratio in LOCATING_POOLS]
    codes = np.concatenate([place_code(*_size(pool)).numpy() for pool in pools])
    tokens = graph.concat([_tokens(graph, pool) for pool in pools], axis=1)
    places = place_code(height, width).numpy()[:, 0], codes[:, 0]
    seen = _attended(graph, whole, tokens, _Attention(weights, f"{name}.attention.0", places))
    norms = [weights.affine(f"{name}.norm{number}") for number in (1, 2)]
    whole = _perceived(graph, graph.add(whole, seen), norms, weights, f"{name}.linear1", f"{name}.linear2")
    whole = _map(graph, whole, (height, width))
    views = [
        _attended(
            graph,
            _tokens(graph, graph.slice(local, 0, view, view + 1)),
            _tokens(graph, part),
            _Attention(weights, f"{name}.attention.{view + 1}"),
        )
        for view, part in enumerate(_quarters(graph, whole))
    ]
    y = graph.add(_tokens(graph, local), graph.concat(views, axis=0))
    y = _perceived(graph, y, norms, weights, f"{name}.linear3", f"{name}.linear4")
    return graph.concat([_map(graph, y, (height, width)), whole], axis=0)


def _refined(graph: Graph, x: Value, weights: Weights, name: str) -> Value:
    """Each quarter, weighted by where the whole sees a subject, looks at its part of the whole; [5, 128, h, w] -> the same."""
    size = _size(x)
    whole = graph.slice(x, 0, 4, 5)
    sight = graph.repeat(graph.sigmoid(graph.conv(whole, *weights.affine(f"{name}.sal_conv"))), 2)
    local = graph.multiply(graph.slice(x, 0, 0, 4), graph.concat(_quarters(graph, sight), axis=0))
    pools = [_quarters(graph, graph.mean_of_cells(whole, ratio // 2)) for ratio in REFINING_POOLS]
    views = []
    for view in range(4):
        tokens = graph.concat([_tokens(graph, pool[view]) for pool in pools], axis=1)
        asking = _tokens(graph, graph.slice(local, 0, view, view + 1))
        views.append(_attended(graph, asking, tokens, _Attention(weights, f"{name}.attention.{view}")))
    y = graph.add(_tokens(graph, local), graph.concat(views, axis=0))
    norms = [weights.affine(f"{name}.norm{number}") for number in (1, 2)]
    y = _map(graph, _perceived(graph, y, norms, weights, f"{name}.linear3", f"{name}.linear4"), size)
    return graph.concat([y, graph.add(whole, _every_second(graph, _joined(graph, y)))], axis=0)


class _Attention:
    """Weights of one attention, folded. places: codes of the places of queries and of keys, [tokens, 128] each."""

    def __init__(self, weights: Weights, name: str, places: tuple[Float32Array, Float32Array] | None = None) -> None:
        joined, bias = weights.take(f"{name}.in_proj_weight"), weights.take(f"{name}.in_proj_bias")
        query, self.key, self.value = (np.ascontiguousarray(part.T) for part in np.split(joined, 3))
        query_bias, _, value_bias = np.split(bias, 3)
        scale = np.float32(WIDTH**-0.5)
        of_query, of_key = places or (None, None)
        shift = query_bias if of_query is None else single(of_query.astype(np.float64) @ query + query_bias)
        self.query: Affine = query * scale, shift * scale
        self.key_shift = None if of_key is None else single(of_key.astype(np.float64) @ self.key)
        projection, projection_bias = weights.linear(f"{name}.out_proj")
        self.projection: Affine = projection, single(projection_bias + value_bias.astype(np.float64) @ projection)


def _attended(graph: Graph, asking: Value, tokens: Value, attention: _Attention) -> Value:
    """What each of [1, q, 128] sees among [1, k, 128]: [1, q, 128]."""
    key = graph.transpose(graph.linear(tokens, attention.key, attention.key_shift), (0, 2, 1))
    value = graph.linear(tokens, attention.value)
    query = graph.linear(asking, *attention.query)
    seen = []
    for start, stop in pieces(asking.shape[1], 4 * tokens.shape[1]):
        scores = graph.softmax(graph.matmul(graph.slice(query, 1, start, stop), key))
        seen.append(graph.matmul(scores, value))
    return graph.linear(graph.concat(seen, axis=1), *attention.projection)


def _perceived(graph: Graph, x: Value, norms: list[Affine], weights: Weights, first: str, second: str) -> Value:
    """Norm, two-layer perceptron, norm."""
    x = graph.layer_norm(x, *norms[0])
    hidden = graph.gelu(graph.linear(x, *weights.linear(first)))
    return graph.layer_norm(graph.add(x, graph.linear(hidden, *weights.linear(second))), *norms[1])


def _quarters(graph: Graph, x: Value) -> list[Value]:
    height, width = _size(x)
    rows = [graph.slice(x, 2, top, top + height // 2) for top in (0, height // 2)]
    return [graph.slice(row, 3, left, left + width // 2) for row in rows for left in (0, width // 2)]


def _joined(graph: Graph, x: Value) -> Value:
    """[4, c, h, w] -> [1, c, 2h, 2w], row by row."""
    views = [graph.slice(x, 0, view, view + 1) for view in range(4)]
    return graph.concat([graph.concat(views[:2], axis=3), graph.concat(views[2:], axis=3)], axis=2)


def _every_second(graph: Graph, x: Value) -> Value:
    """Every second row and column: [1, c, 2h, 2w] -> [1, c, h, w]."""
    _, channels, height, width = x.shape
    rows = graph.slice(graph.reshape(x, (channels * height // 2, 2, width)), 1, 0, 1)
    pixels = graph.slice(graph.reshape(rows, (channels * height // 2, width // 2, 2)), 2, 0, 1)
    return graph.reshape(pixels, (1, channels, height // 2, width // 2))


def _tokens(graph: Graph, x: Value) -> Value:
    """[n, c, h, w] -> [n, h*w, c]."""
    n, channels, height, width = x.shape
    return graph.transpose(graph.reshape(x, (n, channels, height * width)), (0, 2, 1))


def _map(graph: Graph, x: Value, size: tuple[int, int]) -> Value:
    """[n, h*w, c] -> [n, c, h, w]."""
    n, _, channels = x.shape
    return graph.reshape(graph.transpose(x, (0, 2, 1)), (n, channels, *size))


def _conv(graph: Graph, x: Value, weights: Weights, name: str) -> Value:
    """Without its bias, which the norm behind it takes away."""
    weight, _ = weights.affine(name)
    with graph.scope(name):
        return graph.conv(x, weight, padding=1)


def _normed(graph: Graph, x: Value) -> Value:
    return graph.gelu(graph.instance_norm(x))


def _size(x: Value) -> tuple[int, int]:
    return x.shape[2], x.shape[3]
