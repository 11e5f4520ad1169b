"""A published ONNX graph as a checkpoint: its weights, read back under the authors' names.

A graph that was exported from PyTorch keeps the order in which the network runs its convolutions, so for networks of convolutions (U2-Net
and IS-Net with all that share their structure) the k-th convolution of the graph is the k-th that the network runs. Shapes are
compared one by one. Batch norms come folded, or are folded here, and stand in the state as the identity.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from liftout.errors import CheckpointMismatch, CheckpointUnreadable
from liftout.remedies import AddModel

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from liftout.networks.architectures import Architecture

READABLE = frozenset({"u2net", "isnet"})
"""Families whose graphs can be read back."""

_EPSILON = 1e-5
_THROUGH = frozenset({"Cast", "Identity"})


def is_onnx(path: Path) -> bool:
    """Whether a checkpoint is an ONNX graph, by its name and its first byte (the field `ir_version`)."""
    if path.suffix.lower() != ".onnx":
        return False
    with path.open("rb") as stream:
        return stream.read(1) == b"\x08"


def read_graph(path: Path, architecture: str) -> dict[str, Tensor]:
    """State dict of `architecture` with the weights of an ONNX file.

    Raises CheckpointUnreadable where the file is no ONNX graph or the architecture's graphs cannot be read back,
    CheckpointMismatch where the graph is not of this architecture.
    """
    import torch

    from liftout.networks import ARCHITECTURES

    known = ARCHITECTURES[architecture]
    if known.family not in READABLE:
        raise CheckpointUnreadable(
            f"weights of architecture {architecture} cannot be read back from an ONNX graph",
            subject=path,
            remedy=("convert the checkpoint", AddModel()),
        )
    try:
        model = onnx.load(path)
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        raise CheckpointUnreadable("is not a whole ONNX file", subject=path, remedy="fetch it again") from None
    layers = _convolutions(model.graph, path)
    names = _in_order(known)
    with torch.device("meta"):
        expected = known.build().state_dict()
    heads = [name.removesuffix(".weight") for name, t in expected.items() if name.endswith(".weight") and t.ndim == 4]
    names += [name for name in heads if name not in names][: len(layers) - len(names)]  # maps that only training reads
    if len(layers) != len(names):
        raise CheckpointMismatch(
            f"is not a graph of architecture {architecture}: it has {len(layers)} convolutions, not {len(names)}",
            subject=path,
        )
    state: dict[str, Tensor] = {}
    for (weight, bias), name in zip(layers, names, strict=True):
        shape = tuple(expected[f"{name}.weight"].shape)
        if weight.shape != shape:
            raise CheckpointMismatch(
                f"is not a graph of architecture {architecture}: {name} is {weight.shape}, not {shape}", subject=path
            )
        state[f"{name}.weight"] = torch.from_numpy(weight)
        if f"{name}.bias" in expected:
            state[f"{name}.bias"] = torch.from_numpy(bias)
    for name, tensor in expected.items():
        if name not in state:
            state[name] = torch.zeros(tensor.shape) if tensor.ndim == 4 else _identity(name, tensor.shape)
    return state


def _identity(name: str, shape: torch.Size) -> Tensor:
    """What a batch norm holds that changes nothing."""
    import torch

    kind = name.rsplit(".", 1)[-1]
    if kind == "running_var":
        return torch.full(shape, 1 - _EPSILON)
    if kind == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    return torch.ones(shape) if kind == "weight" else torch.zeros(shape)


def _in_order(architecture: Architecture) -> list[str]:
    """Names of the network's convolutions in the order in which it runs them."""
    import torch
    from torch import nn

    with torch.device("meta"):
        network = architecture.build().eval()
        names = {module: name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
        order: list[str] = []
        for module in names:
            module.register_forward_hook(lambda module, *_: order.append(names[module]))
        network(torch.zeros(1, 3, 64, 64))
    return order


def _convolutions(graph: onnx.GraphProto, path: Path) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Weight and bias of every convolution of the graph, in its order, with the batch norm behind it folded in."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    aliases: dict[str, str] = {}
    norms: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = next((a.t for a in node.attribute if a.name == "value"), onnx.TensorProto())
        elif node.op_type in _THROUGH:
            aliases[node.output[0]] = node.input[0]
        elif node.op_type == "BatchNormalization":
            norms[node.input[0]] = node

    def value(name: str) -> npt.NDArray[np.float64]:
        while name in aliases:
            name = aliases[name]
        if name not in constants:
            raise CheckpointMismatch(
                f"the weight {name} is computed in the graph (is it quantized?)",
                subject=path,
                remedy="use the fp32 file",
            )
        return numpy_helper.to_array(constants[name]).astype(np.float64)

    layers = []
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        weight = value(node.input[1])
        bias = value(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(len(weight))
        norm = norms.get(node.output[0])
        if norm is not None:
            gain, shift, mean, variance = (value(name) for name in norm.input[1:5])
            epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), _EPSILON)
            scale = gain / np.sqrt(variance + epsilon)
            weight, bias = weight * scale[:, None, None, None], (bias - mean) * scale + shift
        layers.append((weight.astype(np.float32), bias.astype(np.float32)))
    return layers
