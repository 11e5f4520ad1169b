"""Parts of a lean network as ONNX files of their own, and what flows into each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from liftout.convert import LeanNetwork

_BLOCK = re.compile(r"((?:half\.)?(?:bb\.layers\.\d+|bb\.\w+|decoder\.\w+|[a-z_]+\d*d?))\.")
_UNSCOPED = re.compile(r"[a-z]+(_\d+)?$")


@dataclass(frozen=True)
class Part:
    """Nodes of a network; `model` holds their weights, `inputs` what they read: float32 arrays by name."""

    name: str
    operators: frozenset[str]
    model: bytes
    inputs: dict[str, np.ndarray]


def whole(network: LeanNetwork, name: str, photo: np.ndarray) -> Part:
    """The network itself."""
    return _part(network, name, network.model.graph.node, {network.model.graph.input[0].name: photo})


def operators(network: LeanNetwork, values: dict[str, np.ndarray]) -> Iterator[Part]:
    """One node of each kind: operator, attributes and ranks of its inputs."""
    seen = set()
    for node in network.model.graph.node:
        given = sorted((item.name, str(helper.get_attribute_value(item))) for item in node.attribute)
        kind = (node.op_type, *given, *(len(network.shapes.get(name, ())) for name in node.input))
        if kind not in seen:
            seen.add(kind)
            yield _part(network, f"{node.op_type} {node.name}", [node], values)


def blocks(network: LeanNetwork, values: dict[str, np.ndarray]) -> Iterator[Part]:
    """Stages, layers and modules, by the names of their nodes; nodes between two of them go with the one before."""
    label, nodes = "", list[Any]()
    for node in network.model.graph.node:
        found = None if _UNSCOPED.match(node.name) else _BLOCK.match(node.name)
        if found and found[1] != label:
            if nodes:
                yield _part(network, label, nodes, values)
            label, nodes = found[1], []
        nodes.append(node)
    yield _part(network, label, nodes, values)


def values_of(network: LeanNetwork, photo: np.ndarray) -> dict[str, np.ndarray]:
    """Every value that the network computes for a photo."""
    (name,) = (value.name for value in network.model.graph.input)
    made = [output for node in network.model.graph.node for output in node.output]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        _model(network, network.model.graph.node, [name], made), options, providers=["CPUExecutionProvider"]
    )
    return {name: photo, **dict(zip(made, session.run(made, {name: photo}), strict=True))}


def _part(network: LeanNetwork, name: str, nodes: Sequence[Any], values: dict[str, np.ndarray]) -> Part:
    made = {output for node in nodes for output in node.output}
    read = [source for node in nodes for source in node.input if source in network.shapes and source not in made]
    inputs = list(dict.fromkeys(read))
    inside = {id(node) for node in nodes}
    later = {source for node in network.model.graph.node if id(node) not in inside for source in node.input}
    ends = {value.name for value in network.model.graph.output}
    outputs = [output for node in nodes for output in node.output if output in later | ends]
    return Part(
        name,
        frozenset(node.op_type for node in nodes),
        _model(network, nodes, inputs, outputs),
        {source: values[source] for source in inputs},
    )


def _model(network: LeanNetwork, nodes: Sequence[Any], inputs: list[str], outputs: list[str]) -> bytes:
    used = {source for node in nodes for source in node.input}
    weights = [numpy_helper.from_array(array, name) for name, array in network.weights.items() if name in used]
    integers = [tensor for tensor in network.model.graph.initializer if tensor.name in used]

    def declared(names: list[str]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, network.shapes[name]) for name in names]

    graph = helper.make_graph(nodes, "part", declared(inputs), declared(outputs), [*integers, *weights])
    made = helper.make_model(graph, opset_imports=network.model.opset_import, ir_version=network.model.ir_version)
    return bytes(made.SerializeToString())
