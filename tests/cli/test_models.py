"""`liftout models` and `liftout doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from liftout import Remover, find
from tests.command import liftout


def network(path: Path, *, size: int = 320, channels: int = 3, outputs: int = 1, logits: bool = False) -> Path:
    """A real network file: the mean over channels, through a sigmoid unless `logits`."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", channels, size, size])
    axes = onnx.numpy_helper.from_array(np.array([1]), "axes")
    tail = "Identity" if logits else "Sigmoid"
    nodes = [helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=1)]
    nodes += [helper.make_node(tail, ["m"], [f"y{i}"]) for i in range(outputs)]
    made = [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, ["n", 1, size, size]) for i in range(outputs)]
    graph = helper.make_graph(nodes, "tiny", [given], made, [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)
    return path


def test_list_shows_size_licence_and_commercial_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("models", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["model", "size", "licence", "commercial"]
    u2netp = next(line for line in lines if line.startswith("u2netp"))
    assert "4.6 MB" in u2netp
    assert "Apache-2.0" in u2netp
    assert liftout("models", "list", "--json") == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} >= {"pocket", "u2netp"}


def test_show_prints_the_facts(capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("models", "show", "u2netp") == 0
    out = capsys.readouterr().out
    assert "320 x 320" in out
    assert "md5 8e83ca70e441" in out
    assert liftout("models", "show", "u2nett") == 2


def test_an_added_network_runs_like_its_model(
    tmp_path: Path, examples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = network(tmp_path / "mine.onnx", outputs=2)
    assert liftout("models", "add", "mine", "--onnx", file, "--like", "u2netp") == 0
    assert find("mine").input == find("u2netp").input
    file.unlink()
    with Remover("mine") as remover:
        assert remover(examples / "cat.jpg").alpha.shape == (300, 451)
    assert liftout("models", "list") == 0
    assert "mine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("shape", "like", "words"),
    [
        ({"size": 256}, "u2netp", "not float32 [N, 3, 320, 320]"),
        ({"channels": 4}, "u2netp", "not float32 [N, 3, 320, 320]"),
        ({"logits": True}, "u2netp", "are logits"),
        ({"size": 256, "outputs": 2}, "pocket", "2 outputs (0 y0, 1 y1)"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(
    tmp_path: Path, shape: dict[str, int], like: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if like == "pocket":
        shape = {**shape, "size": find("pocket").input.size[0]}
    assert liftout("models", "add", "mine", "--onnx", network(tmp_path / "m.onnx", **shape), "--like", like) == 3
    assert words in capsys.readouterr().err
    assert liftout("models", "show", "mine") == 2


def test_a_file_that_is_no_network_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.onnx"
    page.write_text("<html>404</html>")
    assert liftout("models", "add", "mine", "--onnx", page, "--like", "u2netp") == 3
    assert "cannot load it" in capsys.readouterr().err


def test_a_name_that_is_taken_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = network(tmp_path / "m.onnx")
    assert liftout("models", "add", "u2netp", "--onnx", file, "--like", "u2netp") == 2
    assert liftout("models", "add", "mine", "--onnx", file, "--like", "u2netp") == 0
    assert liftout("models", "add", "mine", "--onnx", file, "--like", "u2netp") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert liftout("models", "add", "mine", "--onnx", file, "--like", "u2netp", "--overwrite") == 0


@pytest.mark.parametrize(
    ("stated", "licence", "commercial"),
    [
        (None, "unknown", False),
        ("MIT", "MIT", True),
        ("CC-BY-NC-4.0", "CC-BY-NC-4.0", False),
        ("Mine-1.0", "Mine-1.0", False),
    ],
)
def test_an_added_network_has_the_licence_that_was_stated_or_none(
    tmp_path: Path, examples: Path, stated: str | None, licence: str, commercial: bool
) -> None:
    file = network(tmp_path / "m.onnx")
    options = () if stated is None else ("--license", stated)
    assert liftout("models", "add", "mine", "--onnx", file, "--like", "u2netp", *options) == 0
    told = find("mine").license
    assert (told.weights, told.commercial) == (licence, commercial)
    with Remover("mine") as remover:
        remover(examples / "cat.jpg")


def half_precision(path: Path, size: int = 320) -> Path:
    """A network whose weights are float16, as exporters make them: float32 at both ends."""
    weight = onnx.numpy_helper.from_array(np.full((1, 3, 1, 1), 0.3, np.float16), "w")
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("Conv", ["h", "w"], ["c"]),
        helper.make_node("Cast", ["c"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Sigmoid", ["f"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, c, size, size]) for n, c in (("x", 3), ("y", 1))]
    graph = helper.make_graph(nodes, "half", ends[:1], ends[1:], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_an_added_network_has_the_precision_of_its_file(tmp_path: Path, examples: Path) -> None:
    assert liftout("models", "add", "half", "--onnx", half_precision(tmp_path / "h.onnx"), "--like", "u2netp") == 0
    assert find("half").files[0].precision == "fp16"
    with Remover("half") as remover:
        assert remover.precision == "fp16"
        remover(examples / "cat.jpg")


def test_the_precision_is_that_of_most_weights(tmp_path: Path) -> None:
    from liftout.models.stored import stored_precision

    assert stored_precision(half_precision(tmp_path / "h.onnx")) == "fp16"
    scales = onnx.numpy_helper.from_array(np.ones(4, np.float32), "scales")
    for kind, told in ((np.int8, "int8"), (np.uint8, "int8"), (np.float32, "fp32")):
        weight = onnx.numpy_helper.from_array(np.ones((4, 4), kind), "w")
        constant = helper.make_node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(np.ones((5, 5), kind)))
        onnx.save(helper.make_model(helper.make_graph([constant], "g", [], [], [weight, scales])), tmp_path / "i.onnx")
        assert stored_precision(tmp_path / "i.onnx") == told
    (tmp_path / "page.onnx").write_text("<html>404</html>")
    assert stored_precision(tmp_path / "page.onnx") == "fp32"


def test_a_site_says_which_added_models_it_leaves_out_and_publishes_them_when_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("liftout.site")
    liftout("models", "add", "half", "--onnx", half_precision(tmp_path / "h.onnx"), "--like", "u2netp")
    capsys.readouterr()
    if liftout("site", tmp_path / "public") != 0:
        pytest.skip("the browser's files are not built here")
    assert "not published unless you name them: half" in capsys.readouterr().err
    assert liftout("site", tmp_path / "public", "--models", "half") == 0
    listed = {row["name"]: row for row in json.loads((tmp_path / "public" / "packs" / "index.json").read_text())}
    assert listed["half"]["precision"] == "fp16"
    assert listed["half"]["license"]["weights"] == "unknown"
    assert "half" in json.loads((tmp_path / "public" / "catalog.json").read_text())


def test_doctor_says_what_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("doctor") == 0
    out = capsys.readouterr().out
    assert "onnxruntime" in out
    assert "pocket" in out
    assert liftout("doctor", "--json") == 0
    assert json.loads(capsys.readouterr().out)["would run"]["device"] == "cpu"
