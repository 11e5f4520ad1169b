"""From the authors' checkpoints to networks that need little memory, and networks of reduced precision.

    from liftout.convert import convert_model

    folder = convert_model(find("rmbg-1.4"), checkpoint, out_dir=Path("packs"))

Or step by step, without a catalogue entry:

    network = build_network("isnet", read_checkpoint(checkpoint), size=(1024, 1024))
    write_network(network, folder)

Needs the extra `convert`; what reduces the precision of a graph that is there needs only `reduce`, and imports no PyTorch. The
run-time path never imports this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftout.convert import precision
from liftout.convert.files import write_network, write_single_file
from liftout.convert.memory import peak_bytes
from liftout.convert.model import PICTURE, Layout, PackPrecision, convert_model
from liftout.convert.nodes import LeanNetwork

if TYPE_CHECKING:
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


def __getattr__(name: str) -> object:
    if name == "build_network":
        from liftout.convert.network import build_network  # needs PyTorch

        return build_network
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
