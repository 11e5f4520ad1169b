"""The Swin backbone as a lean graph: a block works on strips of window rows, and only its input and output
exist whole.

Besides: the scale of the query folds into its weights; the bias of the key drops out, since it adds the same to all
scores of a query, which softmax ignores; the bias of the value folds into the projection, since attention weights sum to
one; the mask of shifted windows is the sum of one that only the last column of windows needs and one that only the last
row needs.

ONNX Runtime keeps a buffer for the next tensor of the same shape, however far away. Tensors that stand far apart differ in
rank for that reason: some steps here work on [N, pixels, c] where [N, h, w, c] would do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liftout.convert.graph import Graph
from liftout.convert.nodes import Float32Array, Value
from liftout.convert.pieces import pieces
from liftout.convert.weights import Weights, single
from liftout.networks.swin import MASKED, SwinSize, relative_position_index


def swin(graph: Graph, photo: Value, weights: SwinWeights) -> list[Value]:
    """Four maps [N, channels * 2**i, ...], finest first, of `liftout.networks.swin.SwinTransformer`.

    photo: [N, 3, h, w], h and w multiples of 4. It may be put through again at another size: weights are stored once.
    """
    return _stages(graph, _embedding(graph, photo, weights), weights)


def swin_with_embedding(graph: Graph, photo: Value, weights: SwinWeights) -> list[Value]:
    """Five maps, of `liftout.networks.swin.SwinTransformer.with_embedding`."""
    x = _embedding(graph, photo, weights)
    n, height, width, channels = x.shape
    with graph.scope(f"{weights.name}.embedded"):
        flat = graph.transpose(graph.reshape(x, (n, height * width, channels)), (0, 2, 1))
        embedded = graph.reshape(flat, (n, channels, height, width))
    return [embedded, *_stages(graph, x, weights)]


def _stages(graph: Graph, x: Value, weights: SwinWeights) -> list[Value]:
    maps = []
    for i, stage in enumerate(weights.stages):
        for j, block in enumerate(stage.blocks):
            with graph.scope(f"{weights.name}.layers.{i}.blocks.{j}"):
                x = _block(graph, x, block, weights.window, weights.masks if j % 2 else None)
        with graph.scope(f"{weights.name}.norm{i}"):
            maps.append(_channels_first(graph, x, stage.norm))
        if stage.merging:
            with graph.scope(f"{weights.name}.layers.{i}.downsample"):
                x = _merged(graph, x, stage.merging)
    return maps


Affine = tuple[Float32Array, Float32Array]
"""Weight and bias."""


@dataclass(frozen=True)
class BlockWeights:
    """One block, folded."""

    norm1: Affine
    query: Affine
    key: Float32Array
    value: Float32Array
    projection: Affine
    position_bias: Float32Array
    """[heads, window**2, window**2]"""
    norm2: Affine
    fc1: Affine
    fc2: Affine


@dataclass(frozen=True)
class MergingWeights:
    """The step from one stage to the next."""

    norm: Affine
    reduction: Float32Array


@dataclass(frozen=True)
class StageWeights:
    """Blocks of one resolution."""

    blocks: tuple[BlockWeights, ...]
    norm: Affine
    merging: MergingWeights | None


class SwinWeights:
    """The backbone's weights, taken and folded. name: what those in the checkpoint begin with."""

    def __init__(self, weights: Weights, size: SwinSize, name: str = "bb") -> None:
        self.name = name
        self.window = size.window
        self.embedding = weights.affine(f"{name}.patch_embed.proj")
        self.embedding_norm = weights.affine(f"{name}.patch_embed.norm")
        self.stages = tuple(
            StageWeights(
                blocks=tuple(
                    _block_weights(weights, f"{name}.layers.{i}.blocks.{j}", size.heads[i], size.window)
                    for j in range(size.depths[i])
                ),
                norm=weights.affine(f"{name}.norm{i}"),
                merging=_merging_weights(weights, f"{name}.layers.{i}.downsample") if i < 3 else None,
            )
            for i in range(4)
        )
        self.masks = ShiftMasks(size.window)


class ShiftMasks:
    """What is added to the scores of shifted windows, so that only true neighbours see each other.

    The cyclic shift joins the two sides of the map within the last column of windows, and top and bottom within the last
    row. Arrays are kept, so that all blocks of a stage share them.
    """

    def __init__(self, window: int) -> None:
        self.shift = window // 2
        rolled_in = np.arange(window) >= window - self.shift
        row, column = (np.repeat(rolled_in, window), np.tile(rolled_in, window))
        self._joined_rows = _masked_where_different(row)
        self._joined_columns = _masked_where_different(column)
        self._masks: dict[tuple[str, int, int], Float32Array] = {}

    def last_column(self, columns: int) -> Float32Array:
        """[1, columns, 1, window**2, window**2]: zero but for the last column of windows."""
        key = ("columns", columns, 1)
        if key not in self._masks:
            mask = np.zeros((1, columns, 1, *self._joined_columns.shape), np.float32)
            mask[:, -1] = self._joined_columns
            self._masks[key] = mask
        return self._masks[key]

    def last_row(self, rows: int, batch: int) -> Float32Array:
        """[batch*rows, 1, 1, window**2, window**2]: zero but for the last row of windows of each photo."""
        key = ("rows", rows, batch)
        if key not in self._masks:
            mask = np.zeros((batch, rows, 1, 1, *self._joined_rows.shape), np.float32)
            mask[:, -1] = self._joined_rows
            self._masks[key] = mask.reshape(batch * rows, *mask.shape[2:])
        return self._masks[key]


def _masked_where_different(region: npt.NDArray[np.bool_]) -> Float32Array:
    return np.where(region[:, None] == region[None, :], 0.0, MASKED).astype(np.float32)


def _block_weights(weights: Weights, name: str, heads: int, window: int) -> BlockWeights:
    columns, bias = weights.linear(f"{name}.attn.qkv")
    query, key, value = (np.ascontiguousarray(part) for part in np.split(columns, 3, axis=1))
    query_bias, _, value_bias = np.split(bias, 3)
    scale = np.float32((columns.shape[0] // heads) ** -0.5)
    projection, projection_bias = weights.linear(f"{name}.attn.proj")
    table = weights.take(f"{name}.attn.relative_position_bias_table")
    return BlockWeights(
        norm1=weights.affine(f"{name}.norm1"),
        query=(query * scale, query_bias * scale),
        key=key,
        value=value,
        projection=(projection, single(projection_bias + value_bias.astype(np.float64) @ projection)),
        position_bias=np.ascontiguousarray(table[relative_position_index(window).numpy()].transpose(2, 0, 1)),
        norm2=weights.affine(f"{name}.norm2"),
        fc1=weights.linear(f"{name}.mlp.fc1"),
        fc2=weights.linear(f"{name}.mlp.fc2"),
    )


def _merging_weights(weights: Weights, name: str) -> MergingWeights:
    reduction = np.ascontiguousarray(weights.take(f"{name}.reduction.weight").T)
    return MergingWeights(norm=weights.affine(f"{name}.norm"), reduction=reduction)


def _embedding(graph: Graph, photo: Value, weights: SwinWeights) -> Value:
    """[N, 3, h, w] -> [N, h/4, w/4, c]."""
    outputs, _, kernel, _ = weights.embedding[0].shape
    n, _, height, width = photo.shape
    strips = []
    with graph.scope(f"{weights.name}.patch_embed"):
        for top, bottom in pieces(height // kernel, 4 * n * (width // kernel) * outputs):
            strip = graph.conv(graph.slice(photo, 2, top * kernel, bottom * kernel), *weights.embedding, stride=kernel)
            n, channels, rows, columns = strip.shape
            strip = graph.transpose(graph.reshape(strip, (n, channels, rows * columns)), (0, 2, 1))
            strip = graph.layer_norm(strip, *weights.embedding_norm)
            strips.append(graph.reshape(strip, (n, rows, columns, channels)))
        return graph.concat(strips, axis=1)


def _channels_first(graph: Graph, x: Value, norm: Affine) -> Value:
    """[N, h, w, c] -> [N, c, h, w], normalised."""
    n, height, width, channels = x.shape
    strips = []
    for top, bottom in pieces(height, x.bytes // height):
        strip = graph.layer_norm(graph.slice(x, 1, top, bottom), *norm)
        strip = graph.transpose(graph.reshape(strip, (n, (bottom - top) * width, channels)), (0, 2, 1))
        strips.append(graph.reshape(strip, (n, channels, bottom - top, width)))
    return graph.concat(strips, axis=2)


def _merged(graph: Graph, x: Value, weights: MergingWeights) -> Value:
    """[N, h, w, c] -> [N, ceil(h/2), ceil(w/2), 2c]: four neighbours side by side, column by column."""
    n, height, width, channels = x.shape
    strips = []
    for top, bottom in pieces(-(-height // 2), 2 * x.bytes // height):
        strip = graph.slice(x, 1, 2 * top, min(2 * bottom, height))
        strip = graph.pad(graph.pad(strip, 1, 0, 2 * bottom - 2 * top - strip.shape[1]), 2, 0, width % 2)
        rows, columns = strip.shape[1] // 2, strip.shape[2] // 2
        cells = graph.transpose(graph.reshape(strip, (n * rows, 2, columns, 2, channels)), (0, 2, 3, 1, 4))
        cells = graph.layer_norm(graph.reshape(cells, (n, rows * columns, 4 * channels)), *weights.norm)
        strips.append(graph.reshape(graph.linear(cells, weights.reduction), (n, rows, columns, 2 * channels)))
    return graph.concat(strips, axis=1)


def _block(graph: Graph, x: Value, block: BlockWeights, window: int, masks: ShiftMasks | None) -> Value:
    """Attention within windows and perceptron, [N, h, w, c] -> [N, h, w, c], strip by strip."""
    n, height, width, channels = x.shape
    rows, columns = -(-height // window), -(-width // window)
    heads = block.position_bias.shape[0]
    row_bytes = 4 * n * columns * window**2 * max(heads * window**2, 4 * channels)
    finished: dict[int, Value] = {}
    for strip in pieces(rows, row_bytes):
        segments = _segments(strip, height, window, masks.shift if masks else 0)
        originals = [graph.slice(x, 1, segment.top, segment.bottom) for segment in segments]
        changes = _attended(graph, originals, segments, block, window, masks, at_bottom=strip[1] == rows)
        for segment, original, change in zip(segments, originals, changes, strict=True):
            y = graph.add(original, change)
            hidden = graph.gelu(graph.linear(graph.layer_norm(y, *block.norm2), *block.fc1))
            finished[segment.top] = graph.add(y, graph.linear(hidden, *block.fc2))
    return graph.concat([finished[top] for top in sorted(finished)], axis=1)


@dataclass(frozen=True)
class _Segment:
    """Rows of the map that stand together in a strip, and the rows of zeros around them there."""

    top: int
    bottom: int
    zeros_above: int
    zeros_below: int


def _segments(strip: tuple[int, int], height: int, window: int, shift: int) -> list[_Segment]:
    """Where the rows of a strip of window rows come from.

    Windows are counted on the map after it was padded with zeros to whole windows and rolled up by `shift`: the last
    strip ends with the rows from the top of the map.
    """
    padded = -(-height // window) * window
    start, stop = (edge * window + shift for edge in strip)
    runs = [(start, min(stop, padded))] + ([(0, stop - padded)] if stop > padded else [])
    segments: list[_Segment] = []
    zeros_above = 0
    for top, bottom in runs:
        zeros = max(0, bottom - max(top, height))
        if top < height:
            segments.append(_Segment(top, min(bottom, height), zeros_above, zeros))
            zeros_above = 0
        else:
            zeros_above = zeros
    return segments


def _attended(
    graph: Graph,
    originals: list[Value],
    segments: list[_Segment],
    block: BlockWeights,
    window: int,
    masks: ShiftMasks | None,
    *,
    at_bottom: bool,
) -> list[Value]:
    """What attention adds to each segment of one strip."""
    width = originals[0].shape[2]
    columns = -(-width // window)
    shift = masks.shift if masks else 0
    padded = [
        graph.pad(graph.layer_norm(rows, *block.norm1), 1, segment.zeros_above, segment.zeros_below)
        for rows, segment in zip(originals, segments, strict=True)
    ]
    strip = graph.pad(graph.concat(padded, axis=1), 2, 0, columns * window - width)
    strip = graph.roll(strip, 2, shift)
    with graph.scope("attn"):
        strip = _attention(graph, strip, block, window, masks, at_bottom=at_bottom)
    strip = graph.roll(strip, 2, columns * window - shift) if shift else strip
    strip = graph.slice(strip, 2, 0, width)
    parts, row = [], 0
    for segment in segments:
        row += segment.zeros_above
        parts.append(graph.slice(strip, 1, row, row + segment.bottom - segment.top))
        row += segment.bottom - segment.top + segment.zeros_below
    return parts


def _attention(
    graph: Graph, strip: Value, block: BlockWeights, window: int, masks: ShiftMasks | None, *, at_bottom: bool
) -> Value:
    """[N, rows*window, columns*window, c] -> the same; every position attends to all of its window.

    at_bottom: the strip holds the last row of windows.
    """
    n, height, width, channels = strip.shape
    rows, columns, positions = n * (height // window), width // window, window**2
    heads = block.position_bias.shape[0]

    windows = graph.reshape(strip, (rows, window, columns, window, channels))
    windows = graph.transpose(windows, (0, 2, 1, 3, 4))
    windows = graph.reshape(windows, (rows * columns, positions, channels))

    split = (rows * columns, positions, heads, channels // heads)
    with graph.scope("query"):
        query = graph.transpose(graph.reshape(graph.linear(windows, *block.query), split), (0, 2, 1, 3))
    with graph.scope("key"):
        key = graph.transpose(graph.reshape(graph.linear(windows, block.key), split), (0, 2, 3, 1))
    with graph.scope("value"):
        value = graph.transpose(graph.reshape(graph.linear(windows, block.value), split), (0, 2, 1, 3))

    scores = graph.add_constant(graph.matmul(query, key), block.position_bias, "position_bias")
    if masks:
        scores = graph.reshape(scores, (rows, columns, heads, positions, positions))
        scores = graph.add_constant(scores, masks.last_column(columns), "last_column")
        if at_bottom:
            scores = graph.add_constant(scores, masks.last_row(height // window, n), "last_row")
        scores = graph.reshape(scores, (rows * columns, heads, positions, positions))
    attended = graph.matmul(graph.softmax(scores), value)
    attended = graph.reshape(graph.transpose(attended, (0, 2, 1, 3)), (rows, columns, window, window, channels))
    attended = graph.transpose(attended, (0, 2, 1, 3, 4))
    with graph.scope("proj"):
        return graph.linear(graph.reshape(attended, strip.shape), *block.projection)
