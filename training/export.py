"""Turn a run's averaged weights into the network that ships: `python -m training.export RUN`.

Batch normalisation is folded into the convolutions and the training-only heads are left out. Weights are stored as int8 with a
scale per output channel and multiplied out when the file is loaded (every engine folds that away), which makes the file a
quarter as large and computes in fp32.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from liftout.models import packs
from liftout.models.catalog import find
from training.cache import ROOT
from training.graph import build
from training.network import SIZE, PocketNetwork

LARGEST = 5_000_000
PACK = ROOT.parent / "src" / "liftout" / "models" / "built_in" / "pocket"
SHIPPED = PACK / packs.NETWORK

FloatArray = npt.NDArray[np.float32]
Stored = tuple[list[onnx.TensorProto], list[onnx.NodeProto]]
"""What stands for a weight: tensors, and the nodes that make it of them."""


def load_run(folder: Path) -> PocketNetwork:
    """The averaged network of a run's last checkpoint, in inference mode."""
    state = torch.load(folder / "checkpoint.pt", map_location="cpu")
    network = PocketNetwork(state["recipe"]["widths"])
    network.load_state_dict(state["averaged"])
    return network.eval()


def fold(network: PocketNetwork) -> PocketNetwork:
    """The same function without batch normalisation."""
    folded = copy.deepcopy(network).eval()
    for module in list(folded.modules()):
        if isinstance(module, nn.Sequential) and len(module) > 1 and isinstance(module[1], nn.BatchNorm2d):
            convolution, norm = module[0], module[1]
            assert isinstance(convolution, nn.Conv2d)
            module[0] = fuse_conv_bn_eval(convolution, norm)
            module[1] = nn.Identity()
    return folded


def to_onnx(
    network: PocketNetwork,
    size: int = SIZE,
    sides: Sequence[int] = (),
    gain: float = 1.0,
    mirror: bool = False,
    shift: float = 0.0,
) -> onnx.ModelProto:
    """fp32 graph: `input` float32 [1, 3, size, size] -> `output` float32 [1, 1, size, size], sigmoid inside.

    sides, mirror: see `build`. gain: factor of the logits; above 1 the network decides harder than it was trained to. shift: added to
    them after that; above 0 what the network doubts is rather kept.
    """
    folded = fold(network)
    last = folded.alpha[0]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    last.weight.data *= gain
    last.bias.data.mul_(gain).add_(shift)
    return build(folded, size, sides, mirror)


def store_as_half(model: onnx.ModelProto, smallest: int = 256) -> onnx.ModelProto:
    """The same graph with its larger float32 weights stored as float16 and cast back at load."""

    def halve(name: str, values: FloatArray) -> Stored:
        half = numpy_helper.from_array(values.astype(np.float16), f"{name}.half")
        return [half], [helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT)]

    return _store(model, halve, smallest)


def store_as_bytes(model: onnx.ModelProto, smallest: int = 256) -> onnx.ModelProto:
    """The same graph with its larger float32 weights stored as int8, a scale per output channel, and multiplied out at load."""

    def to_bytes(name: str, values: FloatArray) -> Stored:
        scale = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True).clip(1e-12) / 127
        whole = numpy_helper.from_array(np.rint(values / scale).astype(np.int8), f"{name}.int8")
        factor = numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale")
        cast = helper.make_node("Cast", [whole.name], [f"{name}.levels"], to=TensorProto.FLOAT)
        return [whole, factor], [cast, helper.make_node("Mul", [f"{name}.levels", factor.name], [name])]

    return _store(model, to_bytes, smallest)


def _store(model: onnx.ModelProto, how: Callable[[str, FloatArray], Stored], smallest: int) -> onnx.ModelProto:
    """Put the tensors and nodes of `how` in place of every float32 weight of at least `smallest` values. Every engine computes
    such nodes once, at load, since all that they read is constant."""
    model = copy.deepcopy(model)
    kept, loading = [], []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < smallest:
            kept.append(weight)
            continue
        tensors, nodes = how(weight.name, numpy_helper.to_array(weight))
        kept += tensors
        loading += nodes
    nodes = [*loading, *model.graph.node]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    return model


STORAGES: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "int8": store_as_bytes,
    "fp16": store_as_half,
    "fp32": lambda model: model,
}


def write(model: onnx.ModelProto, path: Path, largest: int | None = LARGEST) -> None:
    """Write one file, complete or not at all. Raises ValueError where it would be larger than `largest` bytes."""
    content = model.SerializeToString()
    if largest is not None and len(content) > largest:
        raise ValueError(f"{path.name} would be {len(content)} bytes, more than {largest}; make the network smaller")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)


def write_pack(model: onnx.ModelProto, folder: Path, made_from: dict[str, str]) -> None:
    """The pack that ships: the network, and a manifest that describes it by the catalogue's entry `pocket`."""
    with packs.writing(folder, overwrite=True) as fresh:
        write(model, fresh / packs.NETWORK)
        packs.write_manifest(
            fresh, packs.Manifest(spec=find("pocket"), precision="fp32", files=(), made_from=made_from)
        )


def add_shape_options(parser: argparse.ArgumentParser) -> None:
    """Which run, and what its network sees."""
    parser.add_argument("run", help="name of the run, a folder in runs/")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--size", type=int, default=find("pocket").input.size[0], help="pixels of the input's side")
    parser.add_argument(
        "--sides", type=int, nargs="+", default=(), help="pixels that the network sees; of several the mean decides"
    )
    parser.add_argument("--gain", type=float, default=1.0, help="factor of the logits")
    parser.add_argument("--shift", type=float, default=0.0, help="added to the logits, after the factor")
    parser.add_argument("--mirror", action="store_true", help="see the photo and its mirror image")


def network_of(options: argparse.Namespace) -> onnx.ModelProto:
    """The fp32 graph that the options of `add_shape_options` describe."""
    network = load_run(options.runs / options.run)
    return to_onnx(network, options.size, options.sides, options.gain, options.mirror, options.shift)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shape_options(parser)
    parser.add_argument(
        "-o", "--output", type=Path, help="write this .onnx file instead of the pack inside the package"
    )
    parser.add_argument("--weights", choices=tuple(STORAGES), default="int8", help="how the weights are stored")
    options = parser.parse_args()
    model = STORAGES[options.weights](network_of(options))
    if options.output:
        write(model, options.output)
        print(f"{options.output}: {options.output.stat().st_size} bytes")
    else:
        digest = hashlib.sha256((options.runs / options.run / "checkpoint.pt").read_bytes()).hexdigest()
        write_pack(model, PACK, {"file": f"training run {options.run}", "sha256": digest, "torch": torch.__version__})
        print(f"{SHIPPED}: {SHIPPED.stat().st_size} bytes")


if __name__ == "__main__":
    main()
