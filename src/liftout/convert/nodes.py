"""The parts of an ONNX graph under construction: nodes, names, constants, shapes. `liftout.convert.graph` has the operators."""

from __future__ import annotations

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


class Nodes:
    """Nodes that were added so far, with what they need.

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
