"""A graph as a quantizer wants it: nothing left to fold, one output, names for all nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime
from onnx import numpy_helper
from onnx.external_data_helper import uses_external_data

from liftout.engines import NetworkFile
from liftout.errors import NetworkRejected, one_line
from liftout.models.packs import WEIGHTS

_LARGE_BYTES = 1_500_000_000
"""Graphs from this size on are kept with their weights beside them: protocol buffers end at 2 GB."""

_OLDEST, _RAISED = 13, 17
"""Operator sets: DequantizeLinear takes a scale per channel from the first on; older graphs are raised to the second."""

_IR_VERSION = 8
"""The version of the file format that came with opset 17."""


def folded(source: NetworkFile, work: Path) -> Path:
    """Write a network's graph into `work` with one output, constants folded and every node named; returns the file. Its weights
    stand beside it as `weights.bin` where they are large. Raises NetworkRejected where ONNX or its runtime refuse the graph."""
    model = onnx.load(source.path)
    if source.output is not None:
        chosen = model.graph.output[source.output]
        del model.graph.output[:]
        model.graph.output.append(chosen)
    model = _raised(model, source.name)
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
    try:
        onnxruntime.InferenceSession(
            str(one), options, providers=["CPUExecutionProvider"], disabled_optimizers=["MatMulAddFusion"]
        )
    except Exception as error:
        raise NetworkRejected(
            f"onnxruntime cannot fold the graph: {one_line(error, 300)}", subject=source.name
        ) from error
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
    _sort_constants(model)
    if not any(uses_external_data(tensor) for tensor in model.graph.initializer):
        onnx.save(model, target)
    else:
        target.write_bytes(model.SerializeToString())
    return target


def _raised(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The same graph in an operator set that has quantization per channel."""
    version = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), _OLDEST)
    if version >= _OLDEST:
        return model
    try:
        raised = onnx.version_converter.convert_version(model, _RAISED)
    except Exception as error:
        raise NetworkRejected(
            f"the graph is of operator set {version} and cannot be raised to {_RAISED}: {one_line(error, 300)}",
            subject=name,
            remedy="export it again with a newer one",
        ) from error
    raised.ir_version = max(raised.ir_version, _IR_VERSION)
    return raised


def _sort_constants(model: onnx.ModelProto) -> None:
    """Constants in the order of their first use: ONNX Runtime writes them in an order of its own, another one each time."""
    first: dict[str, int] = {}
    for number, node in enumerate(model.graph.node):
        for name in node.input:
            first.setdefault(name, number)
    tensors = sorted(model.graph.initializer, key=lambda tensor: (first.get(tensor.name, len(first)), tensor.name))
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors)


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
