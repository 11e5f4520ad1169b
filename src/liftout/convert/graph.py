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
import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

Float32Array = npt.NDArray[np.float32]
OPSET = 20
"""Has `Gelu`, and `GridSample` and `Resize` as the graphs need them."""

IR_VERSION = 9
"""The version of the file format that came with opset 20."""

PIECE_BYTES = 16_000_000
"""Tensors that would be larger are made in pieces where an operator allows it, so that a network fits where memory is
short. Smaller pieces save little more and cost nodes; speed does not depend on it."""


@functools.cache
def _bound(limit: int) -> Float32Array:
    return np.array(limit, np.float32)


_MOST_INPUTS = 7
"""A WebGPU stage binds at least eight storage buffers: seven inputs and an output."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """The result of a node, or the graph's input: float32 of a known shape."""

    name: str
    shape: Shape

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return 4 * math.prod(self.shape)


@dataclass(frozen=True)
class LeanNetwork:
    """A finished graph and its weights, which `liftout.convert.files` joins on disk."""

    model: onnx.ModelProto
    """Names the float32 constants as inputs of its nodes without holding them."""
    weights: dict[str, Float32Array]
    """The float32 constants by name, in the order of first use."""
    shapes: dict[str, Shape]
    """Shape of every value that the graph computes, and of its input and output."""

    @property
    def weight_bytes(self) -> int:
        """Size of all constants."""
        return sum(array.nbytes for array in self.weights.values())


class Graph:
    """A graph under construction; every method adds a node and returns its result.

    dynamic_batch: declare the first axis of input and output as symbolic. Shapes are then tracked for a batch of one,
    and operators that would fix the batch are refused.
    """

    def __init__(self, *, dynamic_batch: bool = False) -> None:
        self.dynamic_batch = dynamic_batch
        self._weights: dict[str, Float32Array] = {}
        self._weight_names: dict[int, str] = {}
        self._integers: dict[tuple[int, ...], str] = {}
        self._factors: dict[tuple[int, int], str] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[Value] = []
        self._names: set[str] = set()
        self._shapes: dict[str, Shape] = {}
        self._scope: list[str] = []
        self._units: dict[int, tuple[Float32Array, Float32Array]] = {}

    def input(self, name: str, shape: Shape) -> Value:
        """The graph's input."""
        value = Value(self._unique(name), shape)
        self._inputs.append(value)
        self._shapes[value.name] = shape
        return value

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names of nodes and constants made inside begin with `name`, so that the graph shows which part of the network they belong to."""
        self._scope.append(name)
        try:
            yield
        finally:
            self._scope.pop()

    def finish(self, result: Value, name: str) -> LeanNetwork:
        """The network whose output, called `name`, is `result`."""
        last = next(node for node in reversed(self._nodes) if node.output[0] == result.name)
        last.output[0] = name
        self._shapes[name] = self._shapes.pop(result.name)
        graph = helper.make_graph(
            self._nodes,
            "network",
            [self._declared(value.name, value.shape) for value in self._inputs],
            [self._declared(name, result.shape)],
            [
                *[
                    helper.make_tensor(constant, TensorProto.INT64, [len(ints)], ints)
                    for ints, constant in self._integers.items()
                ],
                *[
                    helper.make_tensor(constant, TensorProto.FLOAT, [4], [1, 1, *to])
                    for to, constant in self._factors.items()
                ],
            ],
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="liftout")
        return LeanNetwork(model, self._weights, self._shapes)

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

    def constant(self, array: Float32Array, name: str) -> str:
        """Name of a float32 constant; an array that is used twice is stored once."""
        if id(array) not in self._weight_names:
            unique = self._unique(".".join([*self._scope, name]))
            self._weights[unique] = array
            self._weight_names[id(array)] = unique
        return self._weight_names[id(array)]

    def _node(self, operator: str, inputs: list[str], shape: Shape, **attributes: Any) -> Value:
        name = self._unique(".".join([*self._scope, operator.lower()]))
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        self._shapes[name] = shape
        return Value(name, shape)

    def _integer_constant(self, values: Sequence[int]) -> str:
        key = tuple(values)
        if key not in self._integers:
            self._integers[key] = self._unique("integers")
        return self._integers[key]

    def _unique(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._names:
            number += 1
            candidate = f"{name}_{number}"
        self._names.add(candidate)
        return candidate

    def _declared(self, name: str, shape: Shape) -> onnx.ValueInfoProto:
        declared: list[str | int | None] = ["batch" if self.dynamic_batch else shape[0], *shape[1:]]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, declared)

    def _needs_fixed_batch(self, operator: str) -> None:
        if self.dynamic_batch:
            raise ValueError(f"{operator} would fix the batch of a graph with a symbolic one")


def spans(length: int, count: int) -> list[tuple[int, int]]:
    """`length` cut into `count` consecutive (start, stop) of nearly equal size."""
    edges = [length * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))


def pieces(length: int, item_bytes: int) -> list[tuple[int, int]]:
    """`length` items cut into consecutive (start, stop) that stay below PIECE_BYTES where an item does.

    All pieces are equal but perhaps the last: ONNX Runtime reuses a buffer only for a tensor of the very same shape, so
    that every further shape costs memory of its own.
    """
    at_once = max(1, min(length, PIECE_BYTES // item_bytes))
    even = max(step for step in range(1, at_once + 1) if length % step == 0)
    step = even if 2 * even > at_once else at_once
    return [(start, min(start + step, length)) for start in range(0, length, step)]


def _require(fits: bool, operator: str, *shapes: Shape) -> None:
    """A mistake of the code that builds a graph, found where it is made."""
    if not fits:
        raise ValueError(f"{operator} does not fit {' and '.join(map(str, shapes))}")


def _with(shape: Shape, axis: int, length: int) -> Shape:
    return (*shape[:axis], length, *shape[axis + 1 :])


def _broadcast(a: Shape, b: Shape) -> Shape:
    return tuple(np.broadcast_shapes(a, b))
