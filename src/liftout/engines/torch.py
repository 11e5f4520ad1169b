"""PyTorch: runs a network's graph operator by operator, on CUDA or the CPU.

The lean graphs use some twenty operators; each is one call of torch here, so that a pack runs where ONNX Runtime has no build
for the GPU. Convolutions are kept channels-last in reduced precision. A graph with another operator is refused by name.

Extra `torch`. CUDA has not been tested.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from liftout.engines import Float32, NetworkFile
from liftout.errors import (
    DeviceUnavailable,
    ExtraMissing,
    ModelMissing,
    NetworkRejected,
    OutOfMemory,
    UsageError,
    one_line,
)
from liftout.options import RunOptions
from liftout.remedies import InstallExtra, PullModel, UseOption

try:
    import onnx
    import torch
    from onnx import numpy_helper
    from torch.nn import functional
except ImportError:
    raise ExtraMissing("torch is not installed", field="engine", remedy=InstallExtra("torch")) from None

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Attributes = dict[str, Any]
Operator = Callable[[list[Any], Attributes], Any]


class TorchNetwork:
    """A graph whose weights live on a torch device."""

    engine = "torch"

    def __init__(self, file: NetworkFile, options: RunOptions) -> None:
        self.device = _device(options.device)
        compute_precision = "fp32" if options.precision == "auto" else options.precision
        if compute_precision not in _TYPES:
            raise UsageError(
                f"is {compute_precision}, in which torch does not compute",
                field="precision",
                remedy="use fp32, bf16 or fp16",
            )
        if compute_precision == "fp16" and self.device == "cpu":
            raise UsageError(
                "is fp16, which torch computes slower than fp32 on the cpu",
                field="precision",
                remedy=(UseOption("precision", "fp32"), UseOption("precision", "bf16")),
            )
        self.precision: str = file.reduced or compute_precision
        if not file.path.is_file():
            raise ModelMissing(f"{file.path} is not there", subject=file.name, remedy=PullModel(file.name))
        if options.threads and self.device == "cpu":
            torch.set_num_threads(options.threads)
        self._file, self._type = file, _TYPES[compute_precision]
        try:
            model = onnx.load(os.fspath(file.path))
        except Exception as error:  # noqa: BLE001 - protobuf's and the loader's errors share no narrower base
            raise NetworkRejected(f"{file.path} is not a whole ONNX file ({error})", subject=file.name) from None
        self._input = model.graph.input[0].name
        outputs = [output.name for output in model.graph.output]
        index = file.output or 0
        if (file.output is None and len(outputs) != 1) or index >= len(outputs):
            raise NetworkRejected(
                f"the file has {len(outputs)} outputs", subject=file.name, remedy="set output.index to one of them"
            )
        self._output = outputs[index]
        exact = _positions(model.graph)
        self._constants = {
            tensor.name: self._placed(numpy_helper.to_array(tensor), exact=tensor.name in exact)
            for tensor in model.graph.initializer
        }
        self._steps = self._plan(model.graph)

    def run(self, tensor: Float32) -> Float32:
        """See `Network.run`."""
        if not self._steps:
            raise UsageError("the network has been closed", subject=self._file.name)
        try:
            with torch.inference_mode():
                values: dict[str, Any] = {self._input: torch.from_numpy(tensor).to(self.device, self._type)}
                for operator, inputs, outputs, attributes, last_uses in self._steps:
                    arguments = [values[n] if n in values else self._constants.get(n) for n in inputs]
                    result = operator(arguments, attributes)
                    values.update(
                        zip(outputs, result, strict=True) if isinstance(result, tuple) else ((outputs[0], result),)
                    )
                    for name in last_uses:
                        values.pop(name, None)
                prediction: Float32 = values[self._output].float().cpu().numpy()
        except torch.OutOfMemoryError:
            raise OutOfMemory(
                f"not enough memory on {self.device} to run it",
                subject=self._file.name,
                remedy="choose a smaller model or size",
            ) from None
        except RuntimeError as error:
            raise NetworkRejected(f"torch cannot run it: {one_line(error, 300)}", subject=self._file.name) from None
        return prediction[:, None] if prediction.ndim == 3 else prediction

    def close(self) -> None:
        """See `Network.close`."""
        self._steps, self._constants = [], {}

    def _placed(self, array: np.ndarray[Any, Any], *, exact: bool = False) -> Any:
        """A weight on the device, float32 where it must be exact; integers stay on the CPU, where shapes are read from them."""
        if not np.issubdtype(array.dtype, np.floating):
            return torch.from_numpy(np.array(array))
        tensor = torch.from_numpy(np.array(array)).to(self.device, torch.float32 if exact else self._type)
        return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    def _plan(self, graph: Any) -> list[tuple[Operator, list[str], list[str], Attributes, list[str]]]:
        last_use = {name: k for k, node in enumerate(graph.node) for name in node.input}
        steps = []
        for k, node in enumerate(graph.node):
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                self._constants[node.output[0]] = self._placed(numpy_helper.to_array(attributes["value"]))
                continue
            if node.op_type == "Cast" and node.input[0] in self._constants:
                self._constants[node.output[0]] = self._constants[node.input[0]]  # float16 weights, placed already
                continue
            operator = _OPERATORS.get(node.op_type)
            if operator is None:
                raise NetworkRejected(
                    f"the engine torch has no operator {node.op_type}",
                    subject=self._file.name,
                    remedy=(UseOption("engine", "onnxruntime"), "convert the model's checkpoint"),
                )
            last_uses = [name for name in {*node.input} if last_use.get(name) == k and name != self._output]
            steps.append((operator, list(node.input), list(node.output), attributes, last_uses))
        return steps


def _positions(graph: Any) -> set[str]:
    """Names of the values that say where to sample: half precision places pixels several pixels off in a large image."""
    makers = {name: node for node in graph.node for name in node.output}
    queue = [node.input[1] for node in graph.node if node.op_type == "GridSample"]
    positions: set[str] = set()
    while queue:
        name = queue.pop()
        if name in positions:
            continue
        positions.add(name)
        node = makers.get(name)
        if node is not None and node.op_type in ("Add", "Sub", "Mul", "Div", "Concat", "Reshape", "Transpose", "Slice"):
            queue += node.input
    return positions


def _device(device: str) -> str:
    if device in ("cuda", "gpu") or device.startswith("cuda:"):
        if not torch.cuda.is_available():
            reason = "no CUDA device is visible" if torch.version.cuda else "this build of torch is without CUDA"
            raise DeviceUnavailable(
                f"`{device}` cannot be used by torch: {reason}",
                field="device",
                remedy=(UseOption("device", "cpu"), "install torch for CUDA"),
            )
        return "cuda" if device == "gpu" else device
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device != "cpu":
        raise DeviceUnavailable(f"torch runs on cpu and cuda here, not on `{device}`")
    return "cpu"


def _pads(attributes: Attributes) -> tuple[int, int]:
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):
        raise RuntimeError("uneven padding of a pool")
    return top, left


def _conv(inputs: list[Any], attributes: Attributes) -> Any:
    x, weight, *bias = inputs
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    even = (top, left) == (bottom, right)
    return functional.conv2d(
        x if even else functional.pad(x, (left, right, top, bottom)),
        weight,
        bias[0] if bias else None,
        tuple(attributes.get("strides", (1, 1))),
        (top, left) if even else (0, 0),
        tuple(attributes.get("dilations", (1, 1))),
        attributes.get("group", 1),
    )


def _max_pool(inputs: list[Any], attributes: Attributes) -> Any:
    kernel = tuple(attributes["kernel_shape"])
    strides = tuple(attributes.get("strides", kernel))
    return functional.max_pool2d(
        inputs[0], kernel, strides, _pads(attributes), ceil_mode=bool(attributes.get("ceil_mode", 0))
    )


def _average_pool(inputs: list[Any], attributes: Attributes) -> Any:
    kernel = tuple(attributes["kernel_shape"])
    if any(_pads(attributes)) or attributes.get("ceil_mode", 0):
        raise RuntimeError("an average over cells that leave the map")
    return functional.avg_pool2d(inputs[0], kernel, tuple(attributes.get("strides", (1, 1))))


def _resize(inputs: list[Any], attributes: Attributes) -> Any:
    x, mode = inputs[0], attributes.get("mode", b"nearest")
    places = attributes.get("coordinate_transformation_mode", b"half_pixel")
    if len(inputs) > 3 and inputs[3] is not None:
        size = tuple(int(n) for n in inputs[3][-2:])
    else:
        size = tuple(round(s * float(f)) for s, f in zip(x.shape[-2:], inputs[2][-2:], strict=True))
    if mode == b"linear" and places in (b"half_pixel", b"pytorch_half_pixel", b"align_corners"):
        return functional.interpolate(x, size=size, mode="bilinear", align_corners=places == b"align_corners")
    if mode == b"nearest" and places == b"asymmetric" and attributes.get("nearest_mode") == b"floor":
        return functional.interpolate(x, size=size, mode="nearest")
    raise RuntimeError("a resize that is neither bilinear nor torch's nearest")


def _grid_sample(inputs: list[Any], attributes: Attributes) -> Any:
    mode = attributes.get("mode", b"linear").decode()
    sampled: Any = functional.grid_sample(
        inputs[0].float(),
        inputs[1].float(),
        mode={"linear": "bilinear"}.get(mode, mode),
        padding_mode=attributes.get("padding_mode", b"zeros").decode(),
        align_corners=bool(attributes.get("align_corners", 0)),
    )
    return sampled.to(inputs[0].dtype)


def _slice(inputs: list[Any], _: Attributes) -> Any:
    x, starts, ends, *rest = inputs
    axes = rest[0].tolist() if rest and rest[0] is not None else range(len(starts))
    steps = rest[1].tolist() if len(rest) > 1 and rest[1] is not None else [1] * len(starts)
    for axis, start, end, step in zip(axes, starts.tolist(), ends.tolist(), steps, strict=True):
        if step == -1:
            x = x.flip(axis)
        else:
            window = [slice(None)] * x.ndim
            window[axis] = slice(start, end, step)
            x = x[tuple(window)]
    return x


def _pad(inputs: list[Any], attributes: Attributes) -> Any:
    x, amounts = inputs[0], inputs[1].tolist()
    value = float(inputs[2]) if len(inputs) > 2 and inputs[2] is not None else 0.0
    axes = inputs[3].tolist() if len(inputs) > 3 and inputs[3] is not None else list(range(x.ndim))
    if attributes.get("mode", b"constant") != b"constant":
        raise RuntimeError("padding that is not constant")
    before, after = [0] * x.ndim, [0] * x.ndim
    for k, axis in enumerate(axes):
        before[axis], after[axis] = amounts[k], amounts[k + len(axes)]
    flat = [n for axis in reversed(range(x.ndim)) for n in (before[axis], after[axis])]
    return functional.pad(x, flat, value=value)


def _split(inputs: list[Any], attributes: Attributes) -> Any:
    axis = attributes.get("axis", 0)
    if len(inputs) > 1 and inputs[1] is not None:
        return tuple(torch.split(inputs[0], inputs[1].tolist(), axis))
    return tuple(torch.chunk(inputs[0], attributes["num_outputs"], axis))


def _layer_norm(inputs: list[Any], attributes: Attributes) -> Any:
    x, scale, *bias = inputs
    shape = x.shape[attributes.get("axis", -1) :]
    return functional.layer_norm(x, shape, scale, bias[0] if bias else None, attributes.get("epsilon", 1e-5))


def _depth_to_space(inputs: list[Any], attributes: Attributes) -> Any:
    if attributes.get("mode", b"DCR") != b"CRD":
        raise RuntimeError("a depth-to-space of other order")
    return functional.pixel_shuffle(inputs[0], attributes["blocksize"])


def _reshape(inputs: list[Any], _: Attributes) -> Any:
    x, shape = inputs[0], inputs[1].tolist()
    return x.reshape([x.shape[k] if n == 0 else n for k, n in enumerate(shape)])


_OPERATORS: dict[str, Operator] = {
    "Add": lambda x, _: x[0] + x[1],
    "Mul": lambda x, _: x[0] * x[1],
    "Sub": lambda x, _: x[0] - x[1],
    "Div": lambda x, _: x[0] / x[1],
    "Relu": lambda x, _: functional.relu(x[0]),
    "Clip": lambda x, _: torch.clamp(x[0], x[1], x[2]),
    "InstanceNormalization": lambda x, a: functional.instance_norm(
        x[0], weight=x[1], bias=x[2], eps=a.get("epsilon", 1e-5)
    ),
    "Sigmoid": lambda x, _: torch.sigmoid(x[0]),
    "Gelu": lambda x, a: functional.gelu(x[0], approximate=a.get("approximate", b"none").decode()),
    "Softmax": lambda x, a: torch.softmax(x[0], a.get("axis", -1)),
    "MatMul": lambda x, _: x[0] @ x[1],
    "Concat": lambda x, a: torch.cat(x, a["axis"]),
    "Transpose": lambda x, a: x[0].permute(a["perm"]),
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Pad": _pad,
    "Conv": _conv,
    "MaxPool": _max_pool,
    "Resize": _resize,
    "GridSample": _grid_sample,
    "LayerNormalization": _layer_norm,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda x, _: x[0].mean((2, 3), keepdim=True),
    "DepthToSpace": _depth_to_space,
    "Identity": lambda x, _: x[0],
}
