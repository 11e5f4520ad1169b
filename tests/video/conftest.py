"""A network whose answer is known: what is red is subject. And small clips of a red disc, made here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from liftout.remover import Remover
from tests.command import liftout


@pytest.fixture(scope="session")
def red_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a model whose network gives 1 where red is above green by more than 120 levels, 0 where by less than 40."""
    home = tmp_path_factory.mktemp("red")
    std = np.array([0.229, 0.224, 0.225], np.float32)
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    slope = 255 / 80
    weight = (np.array([1, -1, 0], np.float32) * std * slope).reshape(1, 3, 1, 1)
    offset = np.array([(mean[0] - mean[1]) * slope - 0.5], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "weight", "offset"], ["difference"]),
            helper.make_node("Clip", ["difference", "low", "high"], ["alpha"]),
        ],
        "red",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 320, 320])],
        [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1, 1, 320, 320])],
        [
            numpy_helper.from_array(weight.astype(np.float32), "weight"),
            numpy_helper.from_array(offset.astype(np.float32), "offset"),
            numpy_helper.from_array(np.float32(0), "low"),
            numpy_helper.from_array(np.float32(1), "high"),
        ],
    )
    path = home / "red.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFTOUT_HOME", str(home / "home"))
        assert liftout("models", "add", "red", "--onnx", path, "--like", "pocket", "--license", "CC0-1.0") == 0
    return home / "home"


@pytest.fixture
def red(red_home: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The model's name, where it can be used."""
    monkeypatch.setenv("LIFTOUT_HOME", str(red_home))
    return "red"


@pytest.fixture
def remover(red: str) -> Iterator[Remover]:
    with Remover(red) as remover:
        yield remover
