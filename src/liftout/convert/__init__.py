"""From the authors' checkpoints to networks that need little memory.

    from liftout.convert import convert_model

    folder = convert_model(find("rmbg-1.4"), checkpoint, out_dir=Path("packs"))

Or step by step, without a catalogue entry:

    network = build_network("isnet", read_checkpoint(checkpoint), size=(1024, 1024))
    write_network(network, folder)

Needs the extra `convert`. The run-time path never imports this package.
"""

from liftout.convert import precision
from liftout.convert.files import write_network, write_single_file
from liftout.convert.graph import LeanNetwork
from liftout.convert.memory import peak_bytes
from liftout.convert.model import PICTURE, Layout, PackPrecision, convert_model
from liftout.convert.network import build_network

__all__ = [
    "PICTURE",
    "Layout",
    "LeanNetwork",
    "PackPrecision",
    "build_network",
    "convert_model",
    "peak_bytes",
    "precision",
    "write_network",
    "write_single_file",
]
