"""The built-in network as an ONNX graph, and read back from one.

The graph is written node by node with liftout's own builder, so the same weights give the same bytes whatever version of torch is installed.
Weights are stored as int8 with a scale for each output channel and multiplied out at load; the network computes in float32.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from liftout.convert.graph import Graph
from liftout.convert.nodes import LeanNetwork, Value
from liftout.tuning.network import SIDES, SIZE, Encoder, Fine, PocketNetwork, Presence, Stage, Unit

LARGEST = 8_000_000
SMALLEST_STORED = 256
"""Weights of fewer values stay float32."""


def to_onnx(network: PocketNetwork, size: int = SIZE) -> onnx.ModelProto:
    """`input` float32 [1, 3, size, size] -> `output` float32 [1, 1, size, size] in [0, 1]; weights in float32."""
    graph = Graph()
    details = add_encoder(graph, graph.input("input", (1, 3, size, size)), network.encoder)
    deep, logits, means = add_depth(graph, graph.halve(details), network.depth)
    logits = graph.add(add_fine(graph, details, deep, logits, network.fine), _presence(graph, means, network.presence))
    alpha = graph.sigmoid(graph.resize(logits, (size, size), align_corners=False))
    return with_weights(graph.finish(alpha, "output"))


def with_weights(lean: LeanNetwork) -> onnx.ModelProto:
    """One model that holds its weights, in float32."""
    model = lean.model
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in lean.weights.items())
    onnx.checker.check_model(model, full_check=True)
    return model


def add_encoder(graph: Graph, x: Value, encoder: Encoder) -> Value:
    """See `Encoder`; norms are folded in, here and below."""
    with graph.scope("stage1"):
        x = add_stage(graph, x, encoder.stage1)
    with graph.scope("stage2"):
        return add_stage(graph, graph.halve(x), encoder.stage2)


def add_depth(graph: Graph, x: Value, depth: nn.Module) -> tuple[Value, Value, Value]:
    """See `Depth`: its last map, the logits of stage 3d, and the means."""
    parts = dict(depth.named_children())
    encoded: dict[int, Value] = {}
    for number in SIDES:
        with graph.scope(f"stage{number}"):
            x = add_stage(graph, x if number == SIDES[0] else graph.halve(x), parts[f"stage{number}"])
        encoded[number] = x
    means = [graph.mean_of_map(x)]
    for number in reversed(SIDES[:-1]):
        with graph.scope(f"stage{number}d"):
            x = add_stage(graph, joined(graph, x, encoded[number]), parts[f"stage{number}d"])
            means.append(graph.mean_of_map(x))
    with graph.scope(f"side{SIDES[0]}"):
        return x, add_conv(graph, x, parts[f"side{SIDES[0]}"]), graph.concat(means, axis=1)


def _presence(graph: Graph, means: Value, presence: Presence) -> Value:
    with graph.scope("presence"), graph.scope("first"):
        hidden = graph.relu(add_conv(graph, means, presence.first))
    with graph.scope("presence"), graph.scope("second"):
        absent = graph.relu(add_conv(graph, hidden, presence.second))
        minus = np.full((1, 1, 1, 1), -1, np.float32)
        return graph.conv(absent, minus, np.zeros(1, np.float32), padding=0)


def add_fine(graph: Graph, details: Value, deep: Value, logits: Value, fine: Fine) -> Value:
    """See `Fine`."""
    with graph.scope("stage2d"):
        own = add_stage(graph, joined(graph, deep, details), fine.stage2d)
    with graph.scope("side2"):
        own = add_conv(graph, own, fine.side2)
    return graph.add(own, graph.resize(logits, (details.shape[2], details.shape[3]), align_corners=False))


def add_stage(graph: Graph, x: Value, stage: nn.Module) -> Value:
    """See `Stage`."""
    assert isinstance(stage, Stage)
    with graph.scope("first"):
        shortcut = _unit(graph, x, stage.first)
    levels: list[Value] = []
    y = shortcut
    for number, unit in enumerate(stage.down, 1):
        if levels and not stage.dilated and number < len(stage.down):
            y = graph.halve(y)
        with graph.scope(f"down{number}"):
            y = _unit(graph, y, unit)
        levels.append(y)
    del levels[-1]
    for number, unit in reversed(list(enumerate(stage.up, 1))):
        with graph.scope(f"up{number}"):
            y = _unit(graph, joined(graph, y, levels[number - 1]), unit)
    return graph.add(y, shortcut)


def _unit(graph: Graph, x: Value, unit: nn.Module) -> Value:
    assert isinstance(unit, Unit)
    weight, bias = (values.contiguous().numpy() for values in unit.folded())
    padding, dilation = int(unit.conv.padding[0]), unit.conv.dilation[0]
    return graph.relu(graph.conv(x, weight, bias, padding=padding, dilation=dilation))


def add_conv(graph: Graph, x: Value, layer: nn.Module) -> Value:
    """A plain convolution."""
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    weight, bias = (parameter.detach().contiguous().numpy() for parameter in (layer.weight, layer.bias))
    return graph.conv(x, weight, bias, padding=int(layer.padding[0]))


def joined(graph: Graph, coarse: Value, skip: Value) -> Value:
    """`coarse` at the size of `skip`, and `skip`."""
    return graph.concat([graph.resize(coarse, (skip.shape[2], skip.shape[3]), align_corners=False), skip], axis=1)


def store_as_bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its larger float32 weights stored as int8, a scale per output channel, and multiplied out at load; every
    engine computes such nodes once, since all that they read is constant."""
    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    kept: list[onnx.TensorProto] = []
    loading: list[onnx.NodeProto] = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST_STORED:
            kept.append(tensor)
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        scale = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True).clip(1e-12) / 127
        kept.append(numpy_helper.from_array(np.rint(values / scale).astype(np.int8), f"{name}.int8"))
        kept.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
        loading.append(helper.make_node("Cast", [f"{name}.int8"], [f"{name}.levels"], to=TensorProto.FLOAT))
        loading.append(helper.make_node("Mul", [f"{name}.levels", f"{name}.scale"], [name]))
    _replace(stored.graph.initializer, kept)
    _replace(stored.graph.node, [*loading, *model.graph.node])
    onnx.checker.check_model(stored, full_check=True)
    return stored


def _replace(field: object, values: Iterable[object]) -> None:
    del field[:]  # type: ignore[attr-defined]
    field.extend(values)  # type: ignore[attr-defined]


def write(model: onnx.ModelProto, path: Path) -> None:
    """Write one file, complete or not at all. Raises ValueError where it would be larger than LARGEST."""
    content = model.SerializeToString()
    if len(content) > LARGEST:
        raise ValueError(f"{path.name} would be {len(content)} bytes, more than {LARGEST}; make the network smaller")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)


def read_network(file: Path) -> PocketNetwork:
    """The network in a file that `to_onnx` made, with the very weights that engines compute with. The masks of stages 4 to 6, which only
    training has, are zero. Raises ValueError where the file holds another network."""
    weights = _weights(onnx.load(file))
    try:
        widths = {number: weights[f"stage{number}.down1.weight"].shape[0] for number in SIDES}
    except KeyError as error:
        raise ValueError(f"{file.name} holds no weights called {error}") from None
    network = PocketNetwork(widths)
    state = network.state_dict()
    for name in state:
        stored = weights.get(_name_in_graph(name))
        if stored is not None and stored.shape == tuple(state[name].shape):
            state[name] = torch.from_numpy(stored.copy())
        elif name.startswith(tuple(f"depth.side{number}." for number in SIDES[1:])):
            state[name] = torch.zeros_like(state[name])
        else:
            raise ValueError(f"{file.name} holds no weights that fit {name}")
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def _weights(model: onnx.ModelProto) -> dict[str, npt.NDArray[np.float32]]:
    """The float32 constants by name, those stored as int8 multiplied out."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = {}
    for name, values in stored.items():
        if values.dtype == np.int8:
            name = name.removesuffix(".int8")
            weights[name] = values.astype(np.float32) * stored[f"{name}.scale"]
        elif values.dtype == np.float32:
            weights[name] = values
    return weights


def _name_in_graph(parameter: str) -> str:
    """`depth.stage3.down.0.conv.weight` -> `stage3.down1.weight`."""
    parts = parameter.removeprefix("encoder.").removeprefix("depth.").removeprefix("fine.").split(".")
    if parts[1] in ("down", "up"):
        parts[1:3] = [f"{parts[1]}{int(parts[2]) + 1}"]
    return ".".join(part for part in parts if part != "conv")
