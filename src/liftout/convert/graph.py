"""Write an ONNX graph node by node, with every shape known.

    graph = Graph()
    x = graph.input("input", (1, 3, 320, 320))
    y = graph.relu(graph.conv(x, weight, bias, padding=1))
    model = graph.finish(y, "output")

The graphs hold nothing that a runtime could still fold: shapes, indices and weights are constants from the start. They
keep to what runs everywhere, WebGPU included: no node with more than seven inputs or outputs besides its constants, no
arithmetic on integers, no `Sum`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from liftout.convert.nodes import Float32Array, Nodes, Shape, Value
from liftout.convert.pieces import spans

_MOST_INPUTS = 7
"""A WebGPU stage binds at least eight storage buffers: seven inputs and an output."""


class Graph(Nodes):
    """A graph under construction; every method adds a node and returns its result."""

    # Convolutional maps, [N, C, H, W]

    def conv(
        self,
        x: Value,
        weight: Float32Array,
        bias: Float32Array | None = None,
        *,
        stride: int = 1,
        padding: int | tuple[int, int, int, int] = 0,
        dilation: int = 1,
        groups: int = 1,
    ) -> Value:
        """Convolution; weight [outputs, inputs / groups, rows, columns]. padding: on all sides, or top, left, bottom, right."""
        n, channels, height, width = x.shape
        outputs, inputs, rows, columns = weight.shape
        _require(inputs * groups == channels, "Conv", x.shape, weight.shape)
        pads = (padding,) * 4 if isinstance(padding, int) else padding
        shape = (
            n,
            outputs,
            (height + pads[0] + pads[2] - dilation * (rows - 1) - 1) // stride + 1,
            (width + pads[1] + pads[3] - dilation * (columns - 1) - 1) // stride + 1,
        )
        constants = [self.constant(weight, "weight")] + ([] if bias is None else [self.constant(bias, "bias")])
        return self._node(
            "Conv",
            [x.name, *constants],
            shape,
            kernel_shape=[rows, columns],
            strides=[stride, stride],
            pads=list(pads),
            dilations=[dilation, dilation],
            **({"group": groups} if groups > 1 else {}),
        )

    def halve(self, x: Value) -> Value:
        """Maximum over 2x2 cells; odd sizes round up."""
        n, channels, height, width = x.shape
        shape = (n, channels, -(-height // 2), -(-width // 2))
        return self._node("MaxPool", [x.name], shape, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)

    def mean_of_cells(self, x: Value, cell: int) -> Value:
        """Mean over cells of `cell` x `cell`, which height and width are multiples of."""
        if cell == 1:
            return x
        n, channels, height, width = x.shape
        _require(height % cell == width % cell == 0, "AveragePool", x.shape, (cell, cell))
        shape = (n, channels, height // cell, width // cell)
        return self._node("AveragePool", [x.name], shape, kernel_shape=[cell, cell], strides=[cell, cell])

    def instance_norm(self, x: Value) -> Value:
        """Each channel of each photo less its mean, over its deviation; epsilon 1e-5."""
        channels = x.shape[1]
        if channels not in self._units:
            self._units[channels] = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        scale, shift = self._units[channels]
        constants = [self.constant(scale, "one"), self.constant(shift, "zero")]
        return self._node("InstanceNormalization", [x.name, *constants], x.shape, epsilon=1e-5)

    def mean_of_map(self, x: Value) -> Value:
        """[N, C, H, W] -> [N, C, 1, 1]."""
        return self._node("GlobalAveragePool", [x.name], (*x.shape[:2], 1, 1))

    def resize(self, x: Value, size: tuple[int, int], *, align_corners: bool) -> Value:
        """Bilinear, without antialias.

        Whole factors are given as such: ONNX Runtime then enlarges in the blocked layout of its convolutions, which saves it
        a tenth of U2-Net's time and a fifth of its memory.
        """
        if x.shape[2:] == size:
            return x
        how: dict[str, Any] = {
            "mode": "linear",
            "coordinate_transformation_mode": "align_corners" if align_corners else "half_pixel",
        }
        shape = (*x.shape[:2], *size)
        (down, uneven), (across, crooked) = divmod(size[0], x.shape[2]), divmod(size[1], x.shape[3])
        if uneven or crooked or align_corners:
            return self._node("Resize", [x.name, "", "", self._integer_constant(size)], shape, axes=[2, 3], **how)
        if (down, across) not in self._factors:
            self._factors[down, across] = self._unique("factors")
        return self._node("Resize", [x.name, "", self._factors[down, across]], shape, **how)

    def repeat(self, x: Value, factor: int) -> Value:
        """Every pixel `factor` times in both directions."""
        n, channels, height, width = x.shape
        if (factor, factor) not in self._factors:
            self._factors[factor, factor] = self._unique("factors")
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        shape = (n, channels, factor * height, factor * width)
        return self._node("Resize", [x.name, "", self._factors[factor, factor]], shape, **how)

    def grid_sample(self, x: Value, grid: Value) -> Value:
        """Bilinear, zero outside; grid [N, h, w, 2] of (column, row), -1 and 1 at the outer edges of the border pixels."""
        shape = (*x.shape[:2], *grid.shape[1:3])
        return self._node(
            "GridSample", [x.name, grid.name], shape, mode="linear", padding_mode="zeros", align_corners=0
        )

    # Any shape

    def add(self, a: Value, b: Value) -> Value:
        """Sum, shapes broadcast."""
        return self._node("Add", [a.name, b.name], _broadcast(a.shape, b.shape))

    def total(self, terms: Sequence[Value]) -> Value:
        """Sum of any number of terms, one after the other.

        The additions stand behind all terms, so that ONNX Runtime adds each term before it computes the next.
        """
        result = terms[0]
        for term in terms[1:]:
            result = self.add(result, term)
        return result

    def add_constant(self, x: Value, constant: Float32Array, name: str = "bias") -> Value:
        """`x` plus a constant that broadcasts to it."""
        return self._node("Add", [x.name, self.constant(constant, name)], _broadcast(x.shape, constant.shape))

    def multiply(self, a: Value, b: Value) -> Value:
        """Product, shapes broadcast."""
        return self._node("Mul", [a.name, b.name], _broadcast(a.shape, b.shape))

    def multiply_constant(self, x: Value, constant: Float32Array, name: str = "factor") -> Value:
        """`x` times a constant that broadcasts to it."""
        return self._node("Mul", [x.name, self.constant(constant, name)], _broadcast(x.shape, constant.shape))

    def relu(self, x: Value) -> Value:
        """max(x, 0)."""
        return self._node("Relu", [x.name], x.shape)

    def relu6(self, x: Value) -> Value:
        """min(max(x, 0), 6)."""
        return self.clip(x, 0, 6)

    def clip(self, x: Value, low: int, high: int) -> Value:
        """min(max(x, low), high)."""
        return self._node("Clip", [x.name, *(self.constant(_bound(limit), "bound") for limit in (low, high))], x.shape)

    def gelu(self, x: Value) -> Value:
        """x times the normal distribution function of x, not its tanh approximation."""
        return self._node("Gelu", [x.name], x.shape)

    def sigmoid(self, x: Value) -> Value:
        """1 / (1 + exp(-x))."""
        return self._node("Sigmoid", [x.name], x.shape)

    def softmax(self, x: Value) -> Value:
        """Over the last axis."""
        return self._node("Softmax", [x.name], x.shape, axis=-1)

    def layer_norm(self, x: Value, weight: Float32Array, bias: Float32Array) -> Value:
        """Over the last axis, epsilon 1e-5."""
        constants = [self.constant(weight, "weight"), self.constant(bias, "bias")]
        return self._node("LayerNormalization", [x.name, *constants], x.shape, axis=-1, epsilon=1e-5)

    def matmul(self, a: Value, b: Value) -> Value:
        """Matrix product over the last two axes; the others are equal."""
        _require(a.shape[:-2] == b.shape[:-2] and a.shape[-1] == b.shape[-2], "MatMul", a.shape, b.shape)
        return self._node("MatMul", [a.name, b.name], (*a.shape[:-1], b.shape[-1]))

    def linear(self, x: Value, columns: Float32Array, bias: Float32Array | None = None) -> Value:
        """x @ columns + bias over the last axis; columns [inputs, outputs]."""
        _require(x.shape[-1] == columns.shape[0], "MatMul", x.shape, columns.shape)
        y = self._node("MatMul", [x.name, self.constant(columns, "weight")], (*x.shape[:-1], columns.shape[1]))
        return y if bias is None else self.add_constant(y, bias)

    def largest(self, x: Value, axis: int) -> Value:
        """Maximum over one axis, which stays with length one."""
        return self._node("ReduceMax", [x.name, self._integer_constant((axis,))], _with(x.shape, axis, 1), keepdims=1)

    def reshape(self, x: Value, shape: Shape) -> Value:
        """The same values in the same order under another shape."""
        _require(math.prod(shape) == math.prod(x.shape), "Reshape", x.shape, shape)
        self._needs_fixed_batch("Reshape")
        return x if shape == x.shape else self._node("Reshape", [x.name, self._integer_constant(shape)], shape)

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        """Axes in another order."""
        return self._node("Transpose", [x.name], tuple(x.shape[axis] for axis in order), perm=list(order))

    def slice(self, x: Value, axis: int, start: int, stop: int) -> Value:
        """`x` between `start` and `stop` on one axis."""
        _require(0 <= start < stop <= x.shape[axis], "Slice", x.shape, (axis, start, stop))
        if (start, stop) == (0, x.shape[axis]):
            return x
        bounds = [self._integer_constant((bound,)) for bound in (start, stop, axis)]
        return self._node("Slice", [x.name, *bounds], _with(x.shape, axis, stop - start))

    def pad(self, x: Value, axis: int, before: int, after: int) -> Value:
        """Zeros at both ends of one axis."""
        if before == after == 0:
            return x
        self._needs_fixed_batch("Pad")
        rank = len(x.shape)
        pads = [0] * (2 * rank)
        pads[axis], pads[rank + axis] = before, after
        length = x.shape[axis] + before + after
        return self._node("Pad", [x.name, self._integer_constant(pads)], _with(x.shape, axis, length))

    def roll(self, x: Value, axis: int, count: int) -> Value:
        """The first `count` items of one axis moved to its end."""
        if count == 0:
            return x
        tail, head = self.slice(x, axis, count, x.shape[axis]), self.slice(x, axis, 0, count)
        return self.concat([tail, head], axis)

    def concat(self, parts: Sequence[Value], axis: int) -> Value:
        """One after the other on `axis`; many parts join in a tree."""
        if len(parts) == 1:
            return parts[0]
        if len(parts) > _MOST_INPUTS:
            branches = spans(len(parts), -(-len(parts) // _MOST_INPUTS))
            return self.concat([self.concat(parts[start:stop], axis) for start, stop in branches], axis)
        length = sum(part.shape[axis] for part in parts)
        return self._node("Concat", [part.name for part in parts], _with(parts[0].shape, axis, length), axis=axis)


@functools.cache
def _bound(limit: int) -> Float32Array:
    return np.array(limit, np.float32)


def _require(fits: bool, operator: str, *shapes: Shape) -> None:
    """A mistake of the code that builds a graph, found where it is made."""
    if not fits:
        raise ValueError(f"{operator} does not fit {' and '.join(map(str, shapes))}")


def _with(shape: Shape, axis: int, length: int) -> Shape:
    return (*shape[:axis], length, *shape[axis + 1 :])


def _broadcast(a: Shape, b: Shape) -> Shape:
    return tuple(np.broadcast_shapes(a, b))
