"""How much memory a lean network takes while it runs, computed from its graph.

ONNX Runtime plans its buffers before the first run. It walks back from the output, input by input, and so orders the nodes;
an element-wise node writes over its input where nothing else reads that; a buffer that has become free serves the next tensor
of the very same shape, however far away, and is otherwise kept for it. The plan is followed here with the same rules.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import onnx

from liftout.convert.nodes import LeanNetwork, Shape

_VIEWS = frozenset({"Reshape"})
"""Operators whose result is their input's buffer under another shape."""

_IN_PLACE = frozenset({"Add", "Clip", "Gelu", "Mul", "Relu", "Sigmoid", "Softmax"})
"""Operators that may write over an input of their output's shape."""

_ARENA_SHARE = 1.25
"""What the allocator needs for a plan: measured on the lean networks, it takes up to a quarter more than their buffers."""

_RUNTIME_BYTES = 60_000_000
"""The runtime itself, with its copy of the graph."""


def peak_bytes(network: LeanNetwork) -> int:
    """Estimate, in bytes, of the memory that one run takes at its peak: weights, their copies in the order that the kernels need, and buffers."""
    packed = sum(array.nbytes for array in network.weights.values() if array.ndim == 2)
    return _RUNTIME_BYTES + network.weight_bytes + packed + round(_ARENA_SHARE * buffer_bytes(network))


def buffer_bytes(network: LeanNetwork) -> int:
    """Size of all buffers that exist at once by ONNX Runtime's plan, at its peak; weights are not among them."""
    nodes = list(_execution_order(network.model.graph))
    readers = Counter(name for node in nodes for name in set(node.input) if name in network.shapes)
    readers[network.model.graph.output[0].name] += 1

    buffer_of: dict[str, str] = {}
    readers_of: Counter[str] = Counter()
    free: dict[Shape, list[str]] = {}
    born: dict[str, int] = {}
    last_used: dict[str, int] = {}
    for step, node in enumerate(nodes):
        result = node.output[0]
        shape = network.shapes[result]
        buffer = _inherited(node, buffer_of, readers_of, network.shapes)
        if buffer is None and free.get(shape):
            buffer = free[shape].pop()
        if buffer is None:
            buffer = result
            born[buffer] = step
        buffer_of[result] = buffer
        readers_of[buffer] += readers[result]
        for name in {*node.input, result} & buffer_of.keys():
            buffer_read = buffer_of[name]
            last_used[buffer_read] = step
            if name != result:
                readers_of[buffer_read] -= 1
                if readers_of[buffer_read] == 0:
                    free.setdefault(network.shapes[buffer_read], []).append(buffer_read)

    change = [0] * (len(nodes) + 1)
    for buffer, step in born.items():
        size = 4 * math.prod(network.shapes[buffer])
        change[step] += size
        change[last_used[buffer] + 1] -= size
    size_now = peak = 0
    for difference in change:
        size_now += difference
        peak = max(peak, size_now)
    return peak


def _inherited(
    node: onnx.NodeProto, buffer_of: dict[str, str], readers_of: Counter[str], shapes: dict[str, Shape]
) -> str | None:
    """The buffer of an input that the node's result takes over."""
    if node.op_type in _VIEWS:
        return buffer_of.get(node.input[0])
    if node.op_type in _IN_PLACE:
        for name in node.input:
            buffer = buffer_of.get(name)
            if buffer is not None and readers_of[buffer] == 1 and shapes[name] == shapes[node.output[0]]:
                return buffer
    return None


def _execution_order(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Nodes in the order in which ONNX Runtime runs them: depth first from the output, inputs that stand last first."""
    maker = {name: index for index, node in enumerate(graph.node) for name in node.output}
    visited: set[int] = set()
    stack = [(maker[graph.output[0].name], False)]
    while stack:
        index, inputs_done = stack.pop()
        if inputs_done:
            yield graph.node[index]
        elif index not in visited:
            visited.add(index)
            stack.append((index, True))
            needed = {maker[name] for name in graph.node[index].input if name in maker} - visited
            stack.extend((other, False) for other in sorted(needed))
