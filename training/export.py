"""Write the pack that ships: `python -m training.export [RUN]`; without a run, the network that every run starts from.

The graph is written node by node with liftout's own builder, so the same weights give the same bytes whatever version of torch is installed.
Weights are stored as int8 with a scale for each output channel and multiplied out at load; the network computes in float32.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import liftout
from liftout.convert.graph import Graph, LeanNetwork, Value
from liftout.models import packs
from liftout.models.catalog import find
from training.network import SIDES, SIZE, Encoder, Fine, PocketNetwork, Presence, Stage, Unit, from_u2netp
from training.photos import RUNS, U2NETP
from training.train import between

PACK = Path(liftout.__file__).parent / "models" / "built_in" / "pocket"
SHIPPED = PACK / "network.onnx"
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
    (padding, _), (dilation, _) = unit.conv.padding, unit.conv.dilation
    return graph.relu(graph.conv(x, weight, bias, padding=int(padding), dilation=dilation))


def add_conv(graph: Graph, x: Value, layer: nn.Module) -> Value:
    """A plain convolution."""
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    weight, bias = (parameter.detach().contiguous().numpy() for parameter in (layer.weight, layer.bias))
    return graph.conv(x, weight, bias, padding=int(layer.padding[0]))


def joined(graph: Graph, coarse: Value, skip: Value) -> Value:
    """`coarse` at the size of `skip`, and `skip`."""
    return graph.concat([graph.resize(coarse, (skip.shape[2], skip.shape[3]), align_corners=False), skip], axis=1)


def sharpen(network: PocketNetwork, gain: float, shift: float) -> PocketNetwork:
    """Multiply the logits by `gain` and add `shift`, in the layers that give them."""
    with torch.no_grad():
        for side in (network.fine.side2, network.depth.get_submodule(f"side{SIDES[0]}")):
            for values in side.parameters():
                values.mul_(gain)
        assert network.fine.side2.bias is not None
        network.fine.side2.bias.add_(shift)
    return network


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


def write_pack(model: onnx.ModelProto, folder: Path, made_from: dict[str, str]) -> None:
    """The pack that ships: the network, and a manifest that describes it by the catalogue's entry `pocket`."""
    with packs.writing(folder, overwrite=True) as fresh:
        write(model, fresh / packs.NETWORK)
        manifest = packs.Manifest(spec=find("pocket"), precision="fp32", files=(), made_from=made_from)
        packs.write_manifest(fresh, manifest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", help="name of the run, a folder in runs/")
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--share", type=float, default=1.0, help="how far from the run's start, 0, to its end, 1")
    parser.add_argument("--gain", type=float, default=1.0, help="factor of the logits")
    parser.add_argument("--shift", type=float, default=0.0, help="added to the logits")
    parser.add_argument("-o", "--output", type=Path, help="write this .onnx file, not the pack inside the package")
    options = parser.parse_args()
    source = options.runs / options.run / "checkpoint.pt" if options.run else U2NETP
    network = between(source.parent, options.share) if options.run else from_u2netp(U2NETP)
    model = store_as_bytes(to_onnx(sharpen(network, options.gain, options.shift)))
    if options.output:
        write(model, options.output)
    else:
        made_from = {"file": U2NETP.name}
        if options.run:
            made_from = {"file": f"training run {options.run}, share {options.share:g}"}
            if (options.gain, options.shift) != (1, 0):
                made_from["file"] += f", logits times {options.gain:g} plus {options.shift:g}"
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        write_pack(model, PACK, {**made_from, "sha256": digest, "torch": torch.__version__})
    path = options.output or SHIPPED
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
