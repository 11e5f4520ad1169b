"""Write a lean network to disk: a graph beside a file of weights, or one file that holds both.

Weights go from the arrays to the file one at a time; a model of a gigabyte never exists as a second copy in memory.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import onnx
from onnx import TensorProto

from liftout.convert.nodes import Float32Array, LeanNetwork
from liftout.models.packs import NETWORK, WEIGHTS
from liftout.progress import Progress

INSIDE_BYTES = 16_000_000
"""Up to this size a network keeps its weights in the graph file."""

_ALIGNMENT = 4096
"""Offsets are multiples of a memory page, so that a runtime can map the tensors instead of reading them."""

_SMALL = 1024
"""Constants below this many bytes stay in the graph, where they cost less than a page."""

# Field numbers of onnx.proto: ModelProto.graph and GraphProto.initializer, both length-delimited.
_MODEL_GRAPH_TAG = bytes([7 << 3 | 2])
_GRAPH_INITIALIZER_TAG = bytes([5 << 3 | 2])


def write_network(network: LeanNetwork, folder: Path, progress: Progress | None = None) -> list[Path]:
    """`network.onnx` in `folder`, and `weights.bin` beside it unless the weights are small. Returns the files.

    progress: called with the phase `write`, bytes written and bytes in all. Raises OSError; a file appears whole or not at all.
    """
    graph_path = folder / NETWORK
    if network.weight_bytes <= INSIDE_BYTES:
        write_single_file(network, graph_path, progress)
        return [graph_path]
    weights_path = folder / WEIGHTS
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    total = network.weight_bytes
    done = 0
    with _replacing(weights_path) as file:
        for name, array in network.weights.items():
            tensor = _described(model.graph.initializer.add(), name, array)
            if array.nbytes < _SMALL:
                tensor.raw_data = array.tobytes()
            else:
                file.write(bytes(-file.tell() % _ALIGNMENT))
                tensor.data_location = TensorProto.EXTERNAL
                for key, value in (("location", WEIGHTS), ("offset", file.tell()), ("length", array.nbytes)):
                    tensor.external_data.add(key=key, value=str(value))
                file.write(array.data.cast("B"))
            done += array.nbytes
            if progress:
                progress("write", done, total)
    with _replacing(graph_path) as file:
        file.write(model.SerializeToString())
    return [graph_path, weights_path]


def write_single_file(network: LeanNetwork, path: Path, progress: Progress | None = None) -> None:
    """Write the whole network as one .onnx file. Raises OSError; the file appears whole or not at all."""
    headers = {
        name: _described(TensorProto(), name, array).SerializeToString() + b"\x4a" + _varint(array.nbytes)
        for name, array in network.weights.items()
    }
    sizes = {name: len(headers[name]) + array.nbytes for name, array in network.weights.items()}
    graph = network.model.graph.SerializeToString()
    graph_size = len(graph) + sum(len(_GRAPH_INITIALIZER_TAG) + len(_varint(size)) + size for size in sizes.values())
    rest = onnx.ModelProto()
    rest.CopyFrom(network.model)
    rest.ClearField("graph")
    total = network.weight_bytes
    done = 0
    with _replacing(path) as file:
        file.write(rest.SerializeToString() + _MODEL_GRAPH_TAG + _varint(graph_size) + graph)
        for name, array in network.weights.items():
            file.write(_GRAPH_INITIALIZER_TAG + _varint(sizes[name]) + headers[name])
            file.write(array.data.cast("B"))
            done += array.nbytes
            if progress:
                progress("write", done, total)


def _described(tensor: TensorProto, name: str, array: Float32Array) -> TensorProto:
    tensor.name = name
    tensor.data_type = TensorProto.FLOAT
    tensor.dims.extend(array.shape)
    return tensor


def _varint(number: int) -> bytes:
    """Protocol Buffers' integer: seven bits a byte, lowest first, the high bit set on all but the last."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once it is whole."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
