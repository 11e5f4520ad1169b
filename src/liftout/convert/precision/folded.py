"""A graph as a quantizer wants it: nothing left to fold, one output, names for all nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.external_data_helper import uses_external_data

from liftout.models.packs import WEIGHTS

_LARGE_BYTES = 1_500_000_000
"""Graphs from this size on are kept with their weights beside them: protocol buffers end at 2 GB."""


def folded(path: Path, work: Path, output: int | None) -> Path:
    """Write the graph at `path` into `work` with one output, constants folded and every node named; returns the file. Its weights
    stand beside it as `weights.bin` where they are large."""
    model = onnx.load(path)
    if output is not None:
        chosen = model.graph.output[output]
        del model.graph.output[:]
        model.graph.output.append(chosen)
    one, target = work / "one.onnx", work / "folded.onnx"
    large = model.ByteSize() > _LARGE_BYTES
    _save(model, one, "one.bin" if large else None)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    if large:
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS)
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "4096")
    onnxruntime.InferenceSession(
        str(one), options, providers=["CPUExecutionProvider"], disabled_optimizers=["MatMulAddFusion"]
    )
    one.unlink()
    (work / "one.bin").unlink(missing_ok=True)
    model = onnx.load(target, load_external_data=False)
    _spell_out_sizes(model)
    for number, node in enumerate(model.graph.node):
        if not node.name:
            node.name = f"{node.op_type}_{number}"
    names = [node.name for node in model.graph.node]
    if len(set(names)) < len(names):
        for number, node in enumerate(model.graph.node):
            node.name = f"{node.name}_{number}"
    if not any(uses_external_data(tensor) for tensor in model.graph.initializer):
        onnx.save(model, target)
    else:
        target.write_bytes(model.SerializeToString())
    return target


def _spell_out_sizes(model: onnx.ModelProto) -> None:
    """Give every Resize all four sizes: ONNX Runtime 1.31 loses those of `axes` when it moves a quantized Resize to NHWC."""
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        axes = next((a for a in node.attribute if a.name == "axes"), None)
        if node.op_type != "Resize" or axes is None or len(node.input) < 4 or node.input[3] not in constants:
            continue
        sizes = list(shapes[node.input[0]])
        for axis, size in zip(axes.ints, numpy_helper.to_array(constants[node.input[3]]), strict=True):
            sizes[axis] = int(size)
        if not all(sizes):
            continue  # any number of photos: only the two sizes are known
        name = f"{node.input[3]}.{'x'.join(map(str, sizes))}"
        if name not in constants:
            tensor = model.graph.initializer.add()
            tensor.CopyFrom(numpy_helper.from_array(np.array(sizes, np.int64), name))
            constants[name] = tensor
        node.input[3] = name
        node.attribute.remove(axes)


def _save(model: onnx.ModelProto, path: Path, weights: str | None) -> None:
    if weights:
        onnx.save(model, path, save_as_external_data=True, location=weights, size_threshold=4096)
    else:
        onnx.save(model, path)
