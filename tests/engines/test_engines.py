"""Engines run the same network to the same prediction, and refuse what they cannot do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout import graphs
from liftout.engines import NetworkFile, open_network
from liftout.errors import DeviceUnavailable, ModelMissing, NetworkRejected, UsageError
from liftout.models.catalog import find
from liftout.options import RunOptions


@pytest.fixture
def u2netp(shared: Path) -> NetworkFile:
    return NetworkFile(name="u2netp", path=shared / "data/weights/u2netp.onnx", size=(320, 320), output=0)


@pytest.fixture
def tensor(examples: Path) -> np.ndarray:
    with Image.open(examples / "cat.jpg") as image:
        return graphs.prepare(np.asarray(image), find("u2netp").input)[0]


def test_openvino_in_fp32_agrees_with_onnxruntime(u2netp: NetworkFile, tensor: np.ndarray) -> None:
    expected = open_network(u2netp, RunOptions(engine="onnxruntime")).run(tensor)
    network = open_network(u2netp, RunOptions(engine="openvino"))
    assert (network.engine, network.device, network.precision) == ("openvino", "cpu", "fp32")
    assert np.abs(network.run(tensor) - expected).max() < 1e-3


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_device_that_is_not_there_is_an_error_never_a_silent_cpu_run(u2netp: NetworkFile, engine: str) -> None:
    with pytest.raises(DeviceUnavailable, match="cuda"):
        open_network(u2netp, RunOptions(engine=engine, device="cuda"))


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_files_that_are_not_networks_are_refused(engine: str, tmp_path: Path) -> None:
    page = tmp_path / "page.onnx"
    page.write_text("<html>404</html>")
    with pytest.raises(NetworkRejected, match="page"):
        open_network(NetworkFile(name="page", path=page, size=(8, 8)), RunOptions(engine=engine))
    with pytest.raises(ModelMissing, match="gone"):
        open_network(NetworkFile(name="gone", path=tmp_path / "gone.onnx", size=(8, 8)), RunOptions(engine=engine))


def test_unknown_engines_and_precisions_are_named(u2netp: NetworkFile) -> None:
    with pytest.raises(UsageError, match="tensorrt"):
        open_network(u2netp, RunOptions(engine="tensorrt"))
    with pytest.raises(UsageError, match="int8"):
        open_network(u2netp, RunOptions(engine="onnxruntime", precision="int8"))


def test_several_outputs_without_an_index_are_refused(u2netp: NetworkFile) -> None:
    unclear = NetworkFile(name="u2netp", path=u2netp.path, size=(320, 320))
    with pytest.raises(NetworkRejected, match="7 outputs"):
        open_network(unclear)


def test_a_closed_network_says_so(u2netp: NetworkFile, tensor: np.ndarray) -> None:
    network = open_network(u2netp)
    network.close()
    with pytest.raises(UsageError, match="closed"):
        network.run(tensor)


def test_a_missing_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['openvino'] = None;"
        "from liftout.cli import main; main(['cut', 'x.jpg', '--engine', 'openvino'])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert "liftout[openvino]" in ended.stderr
    assert ended.stderr.count("\n") == 1
