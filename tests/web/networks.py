"""Small real networks for the browser's tests, and packs of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data

from liftout.models import packs
from liftout.models.spec import InputResample, InputSpec, LicenseSpec, ModelSpec, OutputSpec

SIZE = (64, 64)

FREE = LicenseSpec(code="Apache-2.0", weights="Apache-2.0", commercial=True)


def spec(
    name: str,
    *,
    weights: str | None = None,
    size: tuple[int, int] = SIZE,
    resample: InputResample = "bilinear-antialias",
) -> ModelSpec:
    """A catalogue entry for one of the networks below. weights: their licence, where it is not free."""
    return ModelSpec(
        name=name,
        family="test",
        architecture="test",
        input=InputSpec(size=size, resample=resample, mean=(0.5, 0.5, 0.5), std=(1.0, 1.0, 1.0)),
        output=OutputSpec(activation="none"),
        license=replace(FREE, weights=weights, commercial=False) if weights else FREE,
    )


def smooth(size: tuple[int, int] = SIZE, *, weights: int = 0) -> onnx.ModelProto:
    """Two convolutions and a sigmoid; alpha depends on the photo. weights: more of them, in bytes, that take part."""
    random = np.random.default_rng(0)
    first = random.normal(0, 0.2, (8, 3, 5, 5)).astype(np.float32)
    second = random.normal(0, 0.4, (1, 8, 5, 5)).astype(np.float32)
    ballast = random.normal(0, 1, (max(1, weights // 4),)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["photo", "first"], ["a"], pads=[2, 2, 2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"], pads=[2, 2, 2, 2]),
        helper.make_node("ReduceMean", ["ballast"], ["mean"], keepdims=1),
        helper.make_node("Add", ["c", "mean"], ["d"]),
        helper.make_node("Sigmoid", ["d"], ["alpha"]),
    ]
    constants = {"first": first, "second": second, "ballast": ballast}
    return _model(nodes, size, constants)


def opaque(size: tuple[int, int] = SIZE) -> onnx.ModelProto:
    """Everything is subject: what comes out is what was decoded."""
    nodes = [
        helper.make_node("Slice", ["photo", "zero", "one", "one"], ["red"]),
        helper.make_node("Mul", ["red", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "all"], ["alpha"]),
    ]
    constants = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "nothing": np.zeros(1, np.float32),
        "all": np.ones(1, np.float32),
    }
    return _model(nodes, size, constants)


def slow(size: tuple[int, int] = SIZE, *, steps: int) -> onnx.ModelProto:
    """A loop that takes seconds, so that a test can cancel it."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("MatMul", ["carried", "square"], ["product"]),
            helper.make_node("Tanh", ["product"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, [1, 1, 256, 256]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 1, 256, 256]),
        ],
    )
    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Slice", ["photo", "zero", "one", "one"], ["red"]),
        helper.make_node("ReduceMean", ["red"], ["level"], keepdims=1),
        helper.make_node("Add", ["start", "level"], ["begin"]),
        helper.make_node("Loop", ["steps", "true", "begin"], ["end"], body=body),
        helper.make_node("ReduceMean", ["end"], ["result"], keepdims=1),
        helper.make_node("Add", ["red", "result"], ["alpha"]),
    ]
    constants = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "steps": np.array(steps),
        "true": np.array(True),
        "start": random.normal(0, 1, (1, 1, 256, 256)).astype(np.float32),
        "square": random.normal(0, 0.1, (256, 256)).astype(np.float32),
    }
    return _model(nodes, size, constants)


def greedy(size: tuple[int, int] = SIZE) -> onnx.ModelProto:
    """Wants more memory in a run than WebAssembly can address."""
    nodes = [
        helper.make_node("Slice", ["photo", "zero", "one", "one"], ["red"]),
        helper.make_node("Expand", ["red", "huge"], ["wide"]),
        helper.make_node("ReduceMax", ["wide", "first"], ["alpha"], keepdims=1),
    ]
    constants = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "first": np.array([0]),
        "huge": np.array([261_500, 1, *size]),
    }
    return _model(nodes, size, constants)


def pack(
    folder: Path,
    model: onnx.ModelProto,
    described: ModelSpec,
    *,
    external: bool = False,
    peak_bytes: int | None = None,
) -> packs.Pack:
    """Write a network as a pack."""
    with packs.writing(folder) as target:
        if external:
            convert_model_to_external_data(
                model, all_tensors_to_one_file=True, location=packs.WEIGHTS, size_threshold=0
            )
        onnx.save(model, target / packs.NETWORK)
        packs.write_manifest(target, packs.Manifest(spec=described, precision="fp32", files=(), peak_bytes=peak_bytes))
    return packs.read(folder)


def _model(nodes: Sequence[onnx.NodeProto], size: tuple[int, int], constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "network",
        [helper.make_tensor_value_info("photo", TensorProto.FLOAT, [1, 3, *size])],
        [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1, 1, *size])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model
