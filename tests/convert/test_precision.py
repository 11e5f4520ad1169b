"""Reduced precision: float16 weights, int8, their reports, the folder that transformers.js loads, and graphs read back."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from liftout import Remover
from liftout.agreement import BARS, compare
from liftout.convert import convert_model
from liftout.convert.precision import photos
from liftout.engines import NetworkFile, run_once
from liftout.errors import BelowBar, CheckpointMismatch, CheckpointUnreadable, ModelMissing, UsageError
from liftout.machine import processor
from liftout.models import packs
from liftout.models.add import add_folder
from liftout.models.catalog import find
from liftout.models.local import ResolvedModel
from liftout.models.resolve import locate
from tests.convert import choosing

WEIGHTS = Path(__file__).parents[3] / "shared" / "data" / "weights"
real = pytest.mark.skipif(not WEIGHTS.is_dir(), reason=f"no real weights in {WEIGHTS}")
POCKET = "pocket"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIFTOUT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def few_photos(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """A folder to calibrate on where it does not matter on what: four photos calibrate, one measures."""
    folder = tmp_path_factory.mktemp("few")
    for path in sorted(examples.glob("*.jpg")):
        with Image.open(path) as photo:
            photo.thumbnail((256, 256))
            photo.save(folder / path.name)
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """A function that converts a network of twelve layers, two of which cannot be in int8; it takes what `convert_model` takes."""
    choosing.write_network(tmp_path / "small.onnx")
    (tmp_path / "photos").mkdir()
    for number in range(8):
        Image.fromarray(choosing.photo(number)).save(tmp_path / "photos" / f"{number}.png")
    spec = dataclasses.replace(find("u2netp").with_size(choosing.SIZE), name="small")
    network = NetworkFile(name="small", path=tmp_path / "small.onnx", size=choosing.SIZE)
    source = ResolvedModel(spec=spec, file=network, source="onnx")
    return functools.partial(convert_model, spec, source, calibrate=tmp_path / "photos")


@pytest.fixture(scope="module")
def pocket_int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert_model(find(POCKET), locate(POCKET), precision="int8", out_dir=tmp_path_factory.mktemp("packs"))


def test_int8_pack_is_smaller_agrees_and_says_so(pocket_int8: Path) -> None:
    pack = packs.read(pocket_int8)
    assert pocket_int8.name == "pocket-int8"
    assert pack.manifest.precision == "int8"
    assert pack.bytes < 0.45 * 4 * _values(packs.built_in(POCKET).network)
    told = pack.manifest.agreement
    assert told["mean_difference"] <= BARS["int8"].mean
    assert told["iou_at_128"] >= BARS["int8"].iou
    assert told["below_bar"] is False
    assert told["worst"]["photo"].endswith(".jpg")
    assert told["worst"]["mean_difference"] >= told["worst_iou"]["mean_difference"]
    assert told["worst"]["iou_at_128"] >= told["worst_iou"]["iou_at_128"]
    assert told["bar"] == {"mean_difference": 0.02, "iou_at_128": 0.97, "bounds": "averages over the photos"}
    assert told["processor"] == processor()
    with Image.open(pocket_int8 / "agreement.png") as picture:
        assert picture.width > 900
    types = {node.op_type for node in onnx.load(pack.network).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= types


def test_reduced_network_takes_and_gives_float(pocket_int8: Path) -> None:
    session = onnxruntime.InferenceSession(packs.read(pocket_int8).network)
    assert session.get_inputs()[0].type == session.get_outputs()[0].type == "tensor(float)"


@real
@pytest.mark.parametrize("precision", ["fp16", pytest.param("int8", marks=pytest.mark.long)])
def test_real_u2netp_meets_its_bar_on_other_photos(precision: str, tmp_path: Path) -> None:
    folder = convert_model(find("u2netp"), WEIGHTS / "u2netp.pth", precision=precision, out_dir=tmp_path)  # type: ignore[arg-type]
    pack = packs.read(folder)
    full = packs.read(convert_model(find("u2netp"), WEIGHTS / "u2netp.pth", out_dir=tmp_path))
    assert pack.bytes < (0.55 if precision == "fp16" else 0.45) * full.bytes
    from liftout.agreement import measure
    from liftout.engines import open_network

    eval_photos = sorted((WEIGHTS.parent / "eval" / "ecssd" / "images").glob("*.jpg"))[::20]
    named = [(path.name, np.asarray(Image.open(path).convert("RGB"))) for path in eval_photos]
    first, second = (open_network(NetworkFile(name="u2netp", path=p.network, size=(320, 320))) for p in (full, pack))
    assert measure(second, first, full.spec, named).meets(BARS[precision])


def test_what_falls_short_is_refused_unless_forced(
    small: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from liftout.convert import model as conversion

    monkeypatch.setitem(conversion.BARS, "int8", type(BARS["int8"])(1e-9, 1.0))
    with pytest.raises(BelowBar, match="nothing was written") as caught:
        small(precision="int8", out_dir=tmp_path / "packs")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "packs").iterdir()) == []
    forced = small(precision="int8", out_dir=tmp_path / "packs", keep_below_bar=True)
    assert packs.read(forced).manifest.agreement["below_bar"] is True


def test_command_line_makes_a_pack_that_cut_uses(few_photos: Path, tmp_path: Path, own_home: Path) -> None:
    def liftout(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "liftout", *arguments], capture_output=True, text=True, check=False
        )

    photo = str(Path(__file__).parents[2] / "examples" / "cat.jpg")
    missing = liftout("cut", photo, "--precision", "int8", "-o", str(tmp_path / "a.png"))
    assert missing.returncode == 3
    assert "liftout convert pocket --precision int8" in missing.stderr
    made = liftout("convert", POCKET, "--precision", "int8", "--calibrate", str(few_photos))
    assert made.returncode == 0, made.stderr
    assert "(average; at least 0.97)" in made.stdout
    assert re.search(r"worst mean difference +0\.\d+, IoU [01]\.\d+: \w+\.jpg", made.stdout)
    assert re.search(r"worst IoU +0\.\d+, IoU [01]\.\d+: \w+\.jpg", made.stdout)
    assert processor() in made.stdout
    assert (own_home / "packs" / "pocket-int8").is_dir()
    cut = liftout("cut", photo, "--precision", "int8", "-o", str(tmp_path / "a.png"))
    assert cut.returncode == 0, cut.stderr
    told = Image.open(tmp_path / "a.png").getchannel("A")
    assert compare(np.asarray(told), Remover()(photo).alpha, "cat")[0].difference < 0.03
    (tmp_path / "photos").mkdir()
    shutil.copy(photo, tmp_path / "photos")
    batch = liftout("batch", str(tmp_path / "photos"), str(tmp_path / "cut"), "--precision", "int8", "--workers", "1")
    assert batch.returncode == 0, batch.stderr
    (one,) = (tmp_path / "cut").rglob("*.png")
    assert np.array_equal(np.asarray(Image.open(one).getchannel("A")), np.asarray(told))
    verified = liftout("models", "verify", POCKET)
    assert verified.returncode == 0
    assert "meets its bar" in verified.stdout


def test_sensitive_layers_are_found_and_stay_in_float(small: Callable[..., Path], tmp_path: Path) -> None:
    folder = small(precision="int8", out_dir=tmp_path / "packs", keep_below_bar=True)
    told = packs.read(folder).manifest.agreement
    assert (told["layers"], told["layers_in_float"]) == (12, ["conv5", "conv6"])  # the layers that cannot be in int8


@real
def test_graphs_are_read_back_to_the_same_network(tmp_path: Path) -> None:
    ours = [
        packs.read(convert_model(find("u2netp"), WEIGHTS / f"u2netp.{kind}", out_dir=tmp_path / kind)).network
        for kind in ("pth", "onnx")
    ]
    tensor = np.random.default_rng(0).normal(size=(1, 3, 320, 320)).astype(np.float32)
    one, other = (onnxruntime.InferenceSession(path).run(None, {"input": tensor})[0] for path in ours)
    assert np.abs(one - other).max() < 1 / 255


@real
def test_a_graph_of_another_architecture_is_refused() -> None:
    from liftout.convert.from_onnx import read_graph

    with pytest.raises(CheckpointMismatch, match="not a graph of architecture isnet"):
        read_graph(WEIGHTS / "u2netp.onnx", "isnet")
    with pytest.raises(CheckpointUnreadable, match="cannot be read back"):
        read_graph(WEIGHTS / "u2netp.onnx", "birefnet_swin_v1_t")


def test_graph_of_unknown_architecture_says_that_it_cannot_be_leaner(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="cannot be made leaner"):
        convert_model(find("silueta"), tmp_path / "silueta.onnx", out_dir=tmp_path)


def test_huggingface_folder_goes_round(few_photos: Path, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    for path in sorted(few_photos.iterdir())[:2]:  # how good its int8 form is, other tests tell
        shutil.copy(path, tmp_path / "two")
    folder = convert_model(
        find(POCKET),
        locate(POCKET),
        layout="huggingface",
        calibrate=tmp_path / "two",
        keep_below_bar=True,
        out_dir=tmp_path,
    )
    assert {path.name for path in (folder / "onnx").iterdir()} == {
        "model.onnx",
        "model_fp16.onnx",
        "model_quantized.onnx",
    }
    assert json.loads((folder / "config.json").read_text())["model_type"] in ("isnet", "birefnet", "modnet")
    added = add_folder("mine", folder, run=run_once, precision="fp32")
    photo = Path(__file__).parents[2] / "examples" / "cat.jpg"
    np.testing.assert_array_equal(Remover("mine", engine="onnxruntime")(photo).alpha, Remover()(photo).alpha)
    assert added.input == find(POCKET).input


def test_folder_of_others_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    (folder / "onnx").mkdir(parents=True)
    _logit_graph(folder / "onnx" / "model.onnx")
    (folder / "config.json").write_text('{"model_type": "birefnet"}')
    preprocessor = {
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [1, 1, 1],
        "size": {"height": 64, "width": 96},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    spec = add_folder("theirs", folder, run=run_once)
    assert spec.input.size == (64, 96)
    assert spec.input.mean == (0.5, 0.5, 0.5)
    assert spec.output.activation == "sigmoid"
    cutout = Remover("theirs")(np.full((50, 70, 3), 200, np.uint8))
    assert cutout.alpha.shape == (50, 70)


@pytest.mark.parametrize("missing", ["config.json", "preprocessor_config.json", "onnx"])
def test_folder_that_is_none_is_refused_in_one_line(missing: str, tmp_path: Path) -> None:
    if missing != "config.json":
        (tmp_path / "config.json").write_text("{}")
    if missing == "onnx":
        (tmp_path / "preprocessor_config.json").write_text('{"size": {"height": 64, "width": 64}}')
    with pytest.raises(UsageError) as caught:
        add_folder("x", tmp_path, run=run_once)
    assert "\n" not in str(caught.value)


def test_calibration_folder_is_split(tmp_path: Path) -> None:
    for number in range(9):
        Image.new("RGB", (40, 30), (number * 20, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    read = photos.of_folder(tmp_path)
    assert len(read.measuring) == 2
    assert len(read.calibrating) == 7
    assert not {name for name, _ in read.measuring} & {name for name, _ in read.calibrating}
    with pytest.raises(UsageError, match="at least two"):
        photos.of_folder(_empty(tmp_path))


def _empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def _values(path: Path) -> int:
    return sum(int(np.prod(tensor.dims)) for tensor in onnx.load(path).graph.initializer)


def _logit_graph(path: Path) -> None:
    """One convolution that gives values beyond [0, 1]."""
    weight = numpy_helper.from_array(np.full((1, 3, 1, 1), 5, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["pixel_values", "w"], ["logits"])],
        "g",
        [helper.make_tensor_value_info("pixel_values", 1, [1, 3, 64, 96])],
        [helper.make_tensor_value_info("logits", 1, [1, 1, 64, 96])],
        [weight],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
