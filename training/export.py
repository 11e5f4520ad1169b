"""Write the pack that ships: `python -m training.export [RUN]`; without a run, the network that every run starts from."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import onnx
import torch

import liftout
from liftout.models import packs
from liftout.models.catalog import find
from liftout.tuning.graph import store_as_bytes, to_onnx, write
from liftout.tuning.network import SIDES, PocketNetwork
from training.network import from_u2netp
from training.photos import RUNS, U2NETP
from training.train import between

PACK = Path(liftout.__file__).parent / "models" / "built_in" / "pocket"
SHIPPED = PACK / packs.NETWORK


def sharpen(network: PocketNetwork, gain: float, shift: float) -> PocketNetwork:
    """Multiply the logits by `gain` and add `shift`, in the layers that give them."""
    with torch.no_grad():
        for side in (network.fine.side2, network.depth.get_submodule(f"side{SIDES[0]}")):
            for values in side.parameters():
                values.mul_(gain)
        assert network.fine.side2.bias is not None
        network.fine.side2.bias.add_(shift)
    return network


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
