"""How much noise int8 adds to each layer's output, for all layers in one run.

Every layer gets the input that it has in float, once as it is and once with its input, its weights and its output rounded to their
levels. The noise is the mean square of the difference, as a share of the output's variance: at 1 the noise is as strong as the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from liftout import graphs
from liftout.convert.precision.in_float import session
from liftout.convert.precision.photos import NamedPhoto
from liftout.models.spec import ModelSpec
from liftout.progress import Progress

_EIGHT = "_eight"
"""Behind the name of what is computed in eight bits beside the float of that name."""


def noise_of_layers(
    plain: Path,
    quantized: Path,
    layers: Sequence[str],
    spec: ModelSpec,
    photos: Sequence[NamedPhoto],
    progress: Progress | None = None,
) -> dict[str, float]:
    """Noise of each layer, the mean over the photos.

    plain, quantized: one graph before and after the quantizer, in one folder. layers: names of nodes, all quantized. Returns
    for each name the mean square of the error, divided by the variance of the float output: 0 is exact.
    """
    model, reduced = (onnx.load(path, load_external_data=False) for path in (plain, quantized))
    outputs = _side_by_side(model, reduced, set(layers))
    watching = plain.with_name("watching.onnx")
    watching.write_bytes(model.SerializeToString())
    network = session(watching, spec.name)
    ends = [end for name in layers for end in outputs[name]]
    total = np.zeros(len(layers))
    for done, (_, pixels) in enumerate(photos, 1):
        values = network.run(ends, {network.get_inputs()[0].name: graphs.prepare(pixels, spec.input)[0]})
        apart, variance = np.array(values, np.float64).reshape(-1, 2).T
        total += apart / np.maximum(variance, np.finfo(np.float32).tiny)
        if progress:
            progress("rank layers", done, len(photos))
    watching.unlink()
    return dict(zip(layers, (total / len(photos)).tolist(), strict=True))


def _side_by_side(model: onnx.ModelProto, reduced: onnx.ModelProto, layers: set[str]) -> dict[str, tuple[str, str]]:
    """Put every layer of `reduced` into `model` too, on the float values that are there. Returns the names of two new outputs for
    each layer: mean square of the difference, variance of the float output."""
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    known = constants | {name for node in graph.node for name in node.output} | {value.name for value in graph.input}
    graph.initializer.extend(tensor for tensor in reduced.graph.initializer if tensor.name not in constants)
    maker = {name: node for node in reduced.graph.node for name in node.output}
    rounds = {node.input[0]: node for node in reduced.graph.node if node.op_type == "QuantizeLinear"}
    restores = {node.input[0]: node for node in reduced.graph.node if node.op_type == "DequantizeLinear"}
    added: set[str] = set()

    def add(node: onnx.NodeProto, inputs: Sequence[str], output: str) -> str:
        copy = graph.node.add()
        copy.CopyFrom(node)
        del copy.input[:], copy.output[:]
        copy.input.extend(inputs)
        copy.output.append(output)
        copy.name = output
        return output

    def in_levels(quantize: onnx.NodeProto, tensor: str) -> str:
        """`tensor` of `model`, rounded as `quantize` and the node behind it do."""
        rounded, restored = f"{tensor}{_EIGHT}_levels", f"{tensor}{_EIGHT}_values"
        if restored not in added:
            added.add(restored)
            add(quantize, [tensor, *quantize.input[1:]], rounded)
            restore = restores[quantize.output[0]]
            add(restore, [rounded, *restore.input[1:]], restored)
        return restored

    def in_float(name: str) -> str:
        """The tensor of `model` that `name` stands for in `reduced`."""
        return name if name in known else name.removesuffix("_QuantizeLinear_Input")

    def taken(name: str) -> str:
        """What a layer reads: a constant restored from its levels, or a float value rounded to them."""
        restore = maker.get(name)
        if restore is None or restore.op_type != "DequantizeLinear":
            return name
        quantize = maker.get(restore.input[0])
        if quantize is not None:
            return in_levels(quantize, in_float(quantize.input[0]))
        restored = f"{name}{_EIGHT}"
        if restored not in added:
            added.add(restored)
            add(restore, restore.input, restored)
        return restored

    outputs = {}
    for node in reduced.graph.node:
        if node.name not in layers:
            continue
        result = node.output[0]
        value = in_float(result)
        eight_bit = add(node, [taken(name) if name else "" for name in node.input], f"{value}{_EIGHT}")
        eight_bit = in_levels(rounds[result], eight_bit)
        outputs[node.name] = (
            _mean_square(model, eight_bit, value, f"{value}{_EIGHT}_noise"),
            _mean_square(model, value, _mean(model, value, f"{value}{_EIGHT}_mean"), f"{value}{_EIGHT}_variance"),
        )
    return outputs


def _mean(model: onnx.ModelProto, name: str, result: str) -> str:
    model.graph.node.append(helper.make_node("ReduceMean", [name], [result], name=result, keepdims=0))
    return result


def _mean_square(model: onnx.ModelProto, one: str, other: str, result: str) -> str:
    """A new output of the graph: the mean square of the difference of two tensors."""
    apart, square = f"{result}_apart", f"{result}_square"
    model.graph.node.append(helper.make_node("Sub", [one, other], [apart], name=apart))
    model.graph.node.append(helper.make_node("Mul", [apart, apart], [square], name=square))
    model.graph.output.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, []))
    return _mean(model, square, result)
