"""Which model a server runs: by name, by the folder of a pack, in reduced precision."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from liftout import Remover
from liftout.models import packs
from liftout.models.catalog import find

BUILT_IN = Path(packs.__file__).parent / "built_in" / "pocket"


@pytest.fixture
def home(tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tiny models' home, to be changed."""
    folder = tmp_path / "home"
    shutil.copytree(tiny_home, folder)
    monkeypatch.setenv("LIFTOUT_HOME", str(folder))
    return folder


def test_a_server_runs_the_pack_in_a_folder_and_calls_it_by_its_name(
    launch: Callable[..., object], tmp_path: Path, cat: bytes
) -> None:
    folder = tmp_path / "packs" / "mine"
    shutil.copytree(BUILT_IN, folder)
    server = launch(model=str(folder))
    with Remover(str(folder)) as remover:
        expected = remover(cat).to_bytes("png")
    for fields in ({}, {"model": "pocket"}):
        answer = httpx.post(f"{server.url}/v1/cutouts", files={"image": cat}, data=fields, timeout=60)
        assert (answer.status_code, answer.headers["x-liftout-model"]) == (200, "pocket")
        assert answer.content == expected
    assert httpx.post(f"{server.url}/api/remove", files={"file": cat}, timeout=60).status_code == 200
    listing = httpx.get(f"{server.url}/v1/models").json()
    assert listing["default"] == "pocket"
    assert {model["name"]: model["loaded"] for model in listing["models"]}["pocket"]
    assert str(tmp_path) not in httpx.get(f"{server.url}/metrics").text
    other = httpx.post(f"{server.url}/v1/cutouts", files={"image": cat}, data={"model": str(BUILT_IN)}, timeout=60)
    assert (other.status_code, other.json()["field"]) == (422, "model")


def test_a_server_in_int8_asks_for_that_form_alone(
    launch: Callable[..., object], home: Path, cat: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = home / "packs" / "tiny-int8"
    folder.mkdir(parents=True)
    everything = helper.make_graph(
        [
            helper.make_node("Mul", ["photo", "none"], ["zero"]),
            helper.make_node("ReduceMax", ["zero"], ["flat"]),
            helper.make_node("Add", ["flat", "plane"], ["alpha"]),
        ],
        "everything",
        [helper.make_tensor_value_info("photo", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1, 1, 64, 64])],
        [
            numpy_helper.from_array(np.zeros((), np.float32), "none"),
            numpy_helper.from_array(np.ones((1, 1, 64, 64), np.float32), "plane"),
        ],
    )
    onnx.save(
        helper.make_model(everything, opset_imports=[helper.make_opsetid("", 18)], ir_version=10),
        folder / packs.NETWORK,
    )
    packs.write_manifest(folder, packs.Manifest(spec=find("tiny"), precision="int8", files=()))
    shutil.rmtree(home / "models" / "tiny")
    server = launch("--precision", "int8")
    facts = httpx.post(f"{server.url}/v1/cutouts?answer=facts", files={"image": cat}, timeout=60).json()
    assert (facts["model"], facts["subject"]) == ("tiny", 1)
    assert [model["name"] for model in httpx.get(f"{server.url}/v1/models").json()["models"]] == ["tiny"]
    other = httpx.post(f"{server.url}/v1/cutouts", files={"image": cat}, data={"model": "tiny-twin"}, timeout=60)
    assert (other.status_code, other.json()["field"]) == (422, "model")


def test_a_purpose_means_the_best_model_that_is_offered_and_the_answer_says_which(
    launch: Callable[..., object], cat: bytes
) -> None:
    server = launch()
    for purpose, model in (("fast", "pocket"), ("anime", find("tiny").name)):
        answer = httpx.post(f"{server.url}/v1/cutouts", files={"image": cat}, data={"model": purpose}, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-liftout-model"] == model
