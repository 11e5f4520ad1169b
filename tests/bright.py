"""A real network that is small enough to run by the thousand: what is bright is the subject."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


def write_bright_network(path: Path) -> Path:
    """An ONNX file whose prediction is the sigmoid of the tensor's mean over the channels."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["input", "axes"], ["grey"], keepdims=1),
            helper.make_node("Sigmoid", ["grey"], ["alpha"]),
        ],
        "bright",
        [helper.make_tensor_value_info("input", kind, [1, 3, 320, 320])],
        [helper.make_tensor_value_info("alpha", kind, [1, 1, 320, 320])],
        [helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def discs(size: tuple[int, int], *places: tuple[int, int, int]) -> np.ndarray:
    """A photo, uint8 [H, W, 3], dark but for bright discs. size: width and height. places: x, y and radius of each."""
    width, height = size
    rows, columns = np.mgrid[:height, :width]
    pixels = np.full((height, width, 3), (12, 20, 16), np.uint8)
    for x, y, radius in places:
        pixels[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = (250, 240, 200)
    return pixels
