"""What needs only ONNX works where PyTorch cannot be imported, as with `pip install 'liftout[reduce]'`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from tests.convert.choosing import write_network

Liftout = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def liftout(tmp_path: Path) -> Liftout:
    """The command line, in a process in which `import torch` fails."""
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    path = os.pathsep.join([str(tmp_path / "blocked"), *filter(None, [os.environ.get("PYTHONPATH")])])

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "liftout", *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
        )

    tried = subprocess.run([sys.executable, "-c", "import torch"], env={**os.environ, "PYTHONPATH": path}, check=False)
    assert tried.returncode != 0
    return run


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_graph_is_reduced_and_runs(precision: str, liftout: Liftout, tmp_path: Path, examples: Path) -> None:
    write_network(tmp_path / "small.onnx", (320, 320))
    added = liftout("models", "add", "small", "--onnx", "small.onnx", "--like", "u2netp")
    assert added.returncode == 0, added.stderr
    made = liftout(
        "convert", "small", "--precision", precision, "--calibrate", examples, "--force"
    )  # nobody trained it
    assert made.returncode == 0, made.stderr
    run = made.stdout.splitlines()[-1].removeprefix("run it: liftout ").replace("photo.jpg", str(examples / "cat.jpg"))
    cut = liftout(*run.split(), "-o", "cat.png")
    assert cut.returncode == 0, cut.stderr
    manifest = json.loads((tmp_path / "home" / "packs" / f"small-{precision}" / "manifest.json").read_text())
    assert "torch" not in manifest["made_from"]["tools"]
    types = {
        tensor.data_type
        for tensor in onnx.load(next((tmp_path / "home").rglob("packs/*/network.onnx"))).graph.initializer
    }
    assert {"fp16": onnx.TensorProto.FLOAT16, "int8": onnx.TensorProto.INT8}[precision] in types


def test_a_checkpoint_is_refused_with_what_to_install(liftout: Liftout, tmp_path: Path) -> None:
    (tmp_path / "u2netp.pth").write_bytes(b"weights")
    told = liftout("convert", "u2netp", "--checkpoint", "u2netp.pth", "--precision", "int8")
    assert told.returncode == 3
    assert "pip install 'liftout[convert]'" in told.stderr
    assert told.stderr.count("\n") == 1
