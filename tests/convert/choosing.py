"""Quantize a small network and say what came out, as JSON: run by tests on emulated processors.

    python choosing.py FOLDER

One layer cannot be in eight bits: it reads a channel that is nearly the same everywhere and twenty times as large as the others,
and takes it away again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from liftout.convert.precision import Photos, write_int8
from liftout.engines import NetworkFile
from liftout.models.catalog import find

SIZE = (64, 64)
_WIDTH, _LAYERS = 12, 12


def write_network(path: Path, size: tuple[int, int] = SIZE) -> None:
    """Twelve convolutions and a sigmoid; the same bytes everywhere. size: height and width of the input."""
    random = np.random.default_rng(7)
    nodes, constants, name = [], [], "input"
    for layer in range(_LAYERS):
        inputs, outputs = 3 if layer == 0 else _WIDTH, 1 if layer == _LAYERS - 1 else _WIDTH
        # Integers scaled by a power of two: no library's logarithm or square root has a say in them.
        weight = random.integers(-64, 65, (outputs, inputs, 3, 3)).astype(np.float32) / 2**8
        bias = random.integers(-32, 33, outputs).astype(np.float32) / 2**8
        if layer == 5:
            weight[0], bias[0] = 0, 256
        if layer == 6:
            weight[:, 0] = 0
            weight[:, 0, 1, 1] = 4
            bias -= 4 * 256
        constants += [numpy_helper.from_array(weight, f"w{layer}"), numpy_helper.from_array(bias, f"b{layer}")]
        nodes.append(
            helper.make_node("Conv", [name, f"w{layer}", f"b{layer}"], [f"c{layer}"], name=f"conv{layer}", pads=[1] * 4)
        )
        name = f"c{layer}"
        if layer < _LAYERS - 1:
            nodes.append(helper.make_node("Relu", [name], [f"r{layer}"], name=f"relu{layer}"))
            name = f"r{layer}"
    nodes.append(helper.make_node("Sigmoid", [name], ["mask"], name="sigmoid"))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, *size])],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, *size])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def photo(number: int) -> npt.NDArray[np.uint8]:
    """A bright ellipse on a dark ramp, with noise."""
    random = np.random.default_rng(number)
    rows, columns = np.mgrid[:80, :96]
    ramp = np.stack([rows, columns, rows + columns], 2)
    inside = (rows - 30 - 2 * number) ** 2 * 2 + (columns - 50 + number) ** 2 < 900
    picture = ramp + random.integers(0, 24, ramp.shape) + 80 * inside[..., None]
    return picture.clip(0, 255).astype(np.uint8)


def choose(folder: Path) -> dict[str, object]:
    """sha256 of the int8 network, and its layers in float."""
    write_network(folder / "small.onnx")
    photos = Photos([(str(n), photo(n)) for n in range(6)], [("6", photo(6))], "drawn")
    spec = dataclasses.replace(find("u2netp").with_size(SIZE), name="small")
    told = write_int8(NetworkFile(name="small", path=folder / "small.onnx", size=SIZE), folder, spec, photos)
    digest = hashlib.sha256((folder / "network.onnx").read_bytes()).hexdigest()
    return {"sha256": digest, "layers": told["layers"], "in_float": told["layers_in_float"]}


if __name__ == "__main__":
    print(json.dumps(choose(Path(sys.argv[1]))))
