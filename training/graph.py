"""The pocket network as an ONNX graph, node by node.

Written out rather than traced: the graph holds exactly the operators below, under readable names, and the same weights give
the same bytes whatever version of torch is installed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from training.network import PocketNetwork, Residual

OPSET = 18
IR_VERSION = 8


class Graph:
    """Nodes and weights, in the order in which they are added. Every method adds one operator and returns its output.

    prefix: put before the names of nodes from here on, so that one network can be applied several times; its weights are kept once.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}
        self.prefix = ""

    def add(self, operator: str, inputs: list[str], name: str, **attributes: object) -> str:
        name = self.prefix + name
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, values: np.ndarray) -> str:
        self.weights.setdefault(name, numpy_helper.from_array(values, name))
        return name

    def convolution(self, name: str, layer: nn.Module, source: str) -> str:
        if not isinstance(layer, nn.Conv2d) or isinstance(layer.padding, str) or layer.bias is None:
            raise TypeError(f"{name} is not a folded convolution; fold the network first")
        weight = self.constant(f"{name}.weight", layer.weight.detach().numpy())
        bias = self.constant(f"{name}.bias", layer.bias.detach().numpy())
        return self.add(
            "Conv", [source, weight, bias], name,
            kernel_shape=list(layer.kernel_size), strides=list(layer.stride), pads=list(layer.padding) * 2,
        )  # fmt: skip

    def unit(self, name: str, layer: nn.Sequential, source: str) -> str:
        return self.add("Relu", [self.convolution(name, layer[0], source)], f"{name}.relu")

    def residual(self, name: str, block: nn.Module, source: str) -> str:
        assert isinstance(block, Residual)
        inner = self.convolution(f"{name}.second", block.second[0], self.unit(f"{name}.first", block.first, source))
        return self.add("Relu", [self.add("Add", [source, inner], f"{name}.sum")], f"{name}.relu")

    def stage(self, name: str, stage: nn.Sequential, source: str) -> str:
        first = stage[0]
        assert isinstance(first, nn.Sequential)
        x = self.unit(f"{name}.0", first, source)
        for index in range(1, len(stage)):
            x = self.residual(f"{name}.{index}", stage[index], x)
        return x

    def double(self, name: str, source: str) -> str:
        factor = self.constant("doubling", np.array([1, 1, 2, 2], np.float32))
        return self._resize(name, [source, "", factor])

    def resize(self, name: str, source: str, channels: int, side: int) -> str:
        """To side x side, told as a size: 320 times 0.7 is less than 224 in float32."""
        shape = self.constant(f"{channels}x{side}x{side}", np.array([1, channels, side, side], np.int64))
        return self._resize(name, [source, "", "", shape])

    def _resize(self, name: str, inputs: list[str]) -> str:
        return self.add("Resize", inputs, f"{name}.resized", mode="linear", coordinate_transformation_mode="half_pixel")

    def flip(self, name: str, source: str) -> str:
        """The mirror image, left for right."""
        from_end = self.constant("from_end", np.array([-1], np.int64))
        to_start = self.constant("to_start", np.array([np.iinfo(np.int64).min], np.int64))
        across = self.constant("across", np.array([3], np.int64))
        return self.add("Slice", [source, from_end, to_start, across, from_end], f"{name}.flipped")

    def split(self, name: str, source: str) -> tuple[str, str]:
        """The two halves of a batch of two."""
        names = [f"{self.prefix}{name}.straight", f"{self.prefix}{name}.mirrored"]
        halves = f"{self.prefix}{name}.halves"
        self.nodes.append(helper.make_node("Split", [source], names, name=halves, axis=0, num_outputs=2))
        return names[0], names[1]

    def merge(self, name: str, coarse: str, fine: nn.Sequential, source: str) -> str:
        """What is known at the coarser depth, enlarged, plus what the finer one sees."""
        return self.add("Add", [self.double(name, coarse), self.unit(name, fine, source)], f"{name}.sum")


def build(network: PocketNetwork, size: int, sides: Sequence[int] = (), mirror: bool = False) -> onnx.ModelProto:
    """Graph of a network whose normalisation is folded: `input` float32 [1, 3, size, size] -> `output` float32
    [1, 1, size, size], sigmoid inside. Raises TypeError where the network is not folded.

    sides: what the network sees, where that is not the input as it is; of several the mean decides. mirror: the network sees the
    mirror image too, and the mean of both decides. Every side and every mirror image costs its own run of the network.
    """
    graph = Graph()
    seen = []
    for side in sides or (size,):
        photo = "input"
        graph.prefix = f"{side}/" if len(sides) > 1 else ""
        if side != size:
            photo = graph.resize("input", photo, 3, side)
        logits = _see(graph, network, photo, mirror)
        seen.append(graph.resize("alpha", logits, 1, size))
    graph.prefix = ""
    total = seen[0]
    for number, logits in enumerate(seen[1:], 2):
        total = graph.add("Add", [total, logits], f"sum_of_{number}")
    if len(seen) > 1:
        total = graph.add("Mul", [total, graph.constant("part", np.array(1 / len(seen), np.float32))], "mean")
    graph.add("Sigmoid", [total], "output")
    photo_info = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, size, size])
    alpha_info = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, size, size])
    weights = list(graph.weights.values())
    model = helper.make_model(
        helper.make_graph(graph.nodes, "pocket", [photo_info], [alpha_info], weights),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="liftout",
    )  # fmt: skip
    onnx.checker.check_model(model, full_check=True)
    return model


def _see(graph: Graph, network: PocketNetwork, photo: str, mirror: bool) -> str:
    """The network, applied once: logits at half the size of `photo`."""
    if mirror:
        photo = graph.add("Concat", [photo, graph.flip("input", photo)], "input.both", axis=0)
    quarter = graph.residual("quarter", network.quarter, graph.unit("stem", network.stem, photo))
    eighth = graph.stage("eighth", network.eighth, quarter)
    sixteenth = graph.stage("sixteenth", network.sixteenth, eighth)
    last = graph.stage("last", network.last, sixteenth)
    scene = graph.convolution("scene", network.scene[1], graph.add("GlobalAveragePool", [last], "scene.mean"))
    whole = graph.add("Relu", [graph.add("Add", [last, scene], "scene.sum")], "scene.relu")
    deep = graph.unit("from_last", network.from_last, whole)
    middle = graph.merge("from_sixteenth", deep, network.from_sixteenth, sixteenth)
    middle = graph.unit("at_sixteenth", network.at_sixteenth, middle)
    fine = graph.unit("at_eighth", network.at_eighth, graph.merge("from_eighth", middle, network.from_eighth, eighth))
    finest = graph.merge("from_quarter", fine, network.from_quarter, quarter)
    finest = graph.unit("at_quarter", network.at_quarter, finest)
    logits = graph.convolution("alpha", network.alpha[0], finest)
    logits = graph.add("DepthToSpace", [logits], "alpha.half_size", blocksize=2, mode="CRD")
    if not mirror:
        return logits
    one, other = graph.split("alpha", logits)
    half = graph.constant("half", np.array(0.5, np.float32))
    return graph.add("Mul", [graph.add("Add", [one, graph.flip("alpha", other)], "alpha.sum"), half], "alpha.mean")
