"""float16 weights: half the bytes, the same arithmetic.

Every large float32 tensor of the graph is stored as float16 with a Cast to float32 behind it, which every runtime folds when
it loads the file. So the file runs wherever the original does, at its speed, and engines that compute in float16 may.
Tensors with values beyond float16's range stay as they are.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from liftout.convert.files import INSIDE_BYTES
from liftout.models.packs import NETWORK, WEIGHTS
from liftout.progress import Progress

SMALLEST = 256
"""Values; smaller tensors stay float32: they save nothing."""

_LARGEST_HALF = 65504.0
_ALIGNMENT = 4096


def write_half(source: Path, folder: Path, progress: Progress | None = None) -> None:
    """Write `network.onnx`, and `weights.bin` unless the weights are small, into `folder`."""
    model = onnx.load(source, load_external_data=False)
    external = any(uses_external_data(tensor) for tensor in model.graph.initializer)
    inside = not external and model.ByteSize() <= 2 * INSIDE_BYTES
    casts = []
    count = len(model.graph.initializer)
    with contextlib.ExitStack() as stack:
        weights = None if inside else stack.enter_context((folder / WEIGHTS).open("wb"))
        for done, tensor in enumerate(model.graph.initializer, 1):
            if uses_external_data(tensor):
                load_external_data_for_tensor(tensor, str(source.parent))
                tensor.data_location = TensorProto.DEFAULT
                del tensor.external_data[:]
            if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= SMALLEST:
                array = numpy_helper.to_array(tensor)
                if np.abs(array).max() <= _LARGEST_HALF:
                    name = tensor.name
                    tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}.half"))
                    casts.append(
                        helper.make_node("Cast", [f"{name}.half"], [name], name=f"{name}.cast", to=TensorProto.FLOAT)
                    )
            if weights is not None and tensor.ByteSize() >= _ALIGNMENT:
                content = numpy_helper.to_array(tensor).tobytes()
                weights.write(bytes(-weights.tell() % _ALIGNMENT))
                offset = weights.tell()
                weights.write(content)
                tensor.ClearField("raw_data")
                tensor.ClearField("float_data")
                tensor.data_location = TensorProto.EXTERNAL
                for key, value in (("location", WEIGHTS), ("offset", offset), ("length", len(content))):
                    tensor.external_data.add(key=key, value=str(value))
            if progress:
                progress("write", done, count)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    (folder / NETWORK).write_bytes(model.SerializeToString())
