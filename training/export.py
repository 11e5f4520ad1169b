"""Turn a run's averaged weights into the network that ships: `python -m training.export RUN`.

Batch normalisation is folded into the convolutions and the training-only heads are left out. Weights are stored as float16
and cast to float32 when the file is loaded (every engine folds that cast away), which halves the file and computes in fp32.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from liftout import packs
from liftout.catalog import find
from training.cache import ROOT
from training.graph import build
from training.network import SIZE, PocketNetwork

LARGEST = 5_000_000
PACK = ROOT.parent / "src" / "liftout" / "packs" / "pocket"
SHIPPED = PACK / packs.NETWORK


def load_run(folder: Path) -> PocketNetwork:
    """The averaged network of a run's last checkpoint, in inference mode."""
    network = PocketNetwork()
    network.load_state_dict(torch.load(folder / "checkpoint.pt", map_location="cpu")["averaged"])
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
    network: PocketNetwork, size: int = SIZE, side: int | None = None, gain: float = 1.0, mirror: bool = False
) -> onnx.ModelProto:
    """fp32 graph: `input` float32 [1, 3, size, size] -> `output` float32 [1, 1, size, size], sigmoid inside.

    side, mirror: see `build`. gain: factor of the logits; above 1 the network decides harder than it was trained to.
    """
    folded = fold(network)
    last = folded.alpha[0]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    last.weight.data *= gain
    last.bias.data *= gain
    return build(folded, size, side, mirror)


def store_as_half(model: onnx.ModelProto, smallest: int = 256) -> onnx.ModelProto:
    """The same graph with its larger float32 weights stored as float16 and cast back at load."""
    model = copy.deepcopy(model)
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < smallest:
            continue
        name = weight.name
        half = numpy_helper.to_array(weight).astype(np.float16)
        weight.CopyFrom(numpy_helper.from_array(half, name + ".half"))
        casts.append(helper.make_node("Cast", [name + ".half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="name of the run, a folder in runs/")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument(
        "-o", "--output", type=Path, help="write this .onnx file instead of the pack inside the package"
    )
    parser.add_argument("--side", type=int, help="pixels that the network sees, where less than the input")
    parser.add_argument("--gain", type=float, default=1.0, help="factor of the logits")
    parser.add_argument("--mirror", action="store_true", help="see the photo and its mirror image")
    parser.add_argument("--fp32", action="store_true", help="store the weights as float32")
    options = parser.parse_args()
    model = to_onnx(load_run(options.runs / options.run), side=options.side, gain=options.gain, mirror=options.mirror)
    if not options.fp32:
        model = store_as_half(model)
    if options.output:
        write(model, options.output)
        print(f"{options.output}: {options.output.stat().st_size} bytes")
    else:
        digest = hashlib.sha256((options.runs / options.run / "checkpoint.pt").read_bytes()).hexdigest()
        write_pack(model, PACK, {"file": f"training run {options.run}", "sha256": digest, "torch": torch.__version__})
        print(f"{SHIPPED}: {SHIPPED.stat().st_size} bytes")


if __name__ == "__main__":
    main()
