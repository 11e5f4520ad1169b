"""The engine torch computes what ONNX Runtime computes, on every operator that lean graphs use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from liftout import Remover
from liftout.convert import build_network, write_network
from liftout.convert.graph import Graph
from liftout.engines import NetworkFile, open_network
from liftout.errors import DeviceUnavailable, ModelMissing, NetworkRejected, UsageError
from liftout.options import RunOptions
from tests.networks import reference


def built(architecture: str, size: tuple[int, int], folder: Path) -> NetworkFile:
    folder.mkdir(exist_ok=True)
    write_network(build_network(architecture, reference.state(architecture), size=size), folder)
    return NetworkFile(name=architecture, path=folder / "network.onnx", size=size)


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(
    ("architecture", "size"), [("u2netp", (96, 64)), ("isnet", (64, 96)), ("birefnet_swin_v1_t", (256, 256))]
)
def test_torch_agrees_with_onnxruntime(architecture: str, size: tuple[int, int], tmp_path: Path) -> None:
    file = built(architecture, size, tmp_path)
    photo = reference.photo(architecture, *size)
    expected = open_network(file).run(photo)
    network = open_network(file, RunOptions(engine="torch", device="cpu"))
    assert (network.engine, network.device, network.precision) == ("torch", "cpu", "fp32")
    assert network.run(photo).shape == expected.shape
    assert np.abs(network.run(photo) - expected).max() < 1e-4
    halved = open_network(file, RunOptions(engine="torch", device="cpu", precision="bf16"))
    assert halved.precision == "bf16"
    assert 0 < np.abs(halved.run(photo) - expected).mean() < 0.02
    network.close()
    with pytest.raises(UsageError, match="closed"):
        network.run(photo)


def test_operators_that_only_the_newer_networks_use_agree(tmp_path: Path) -> None:
    """Uneven padding, kernels that are not square, repetition, means of cells."""
    random, size = np.random.default_rng(0), (16, 24)
    graph = Graph()
    x = graph.input("input", (1, 3, *size))
    x = graph.conv(x, random.standard_normal((4, 3, 2, 3), np.float32), padding=(1, 0, 0, 2))
    x = graph.conv(x, random.standard_normal((4, 4, 1, 5), np.float32), padding=(0, 2, 0, 2))
    x = graph.clip(graph.mean_of_cells(graph.repeat(graph.repeat(x, 2), 2), 4), -1, 1)
    write_network(graph.finish(graph.slice(x, 1, 0, 1), "output"), tmp_path)
    file = NetworkFile(name="operators", path=tmp_path / "network.onnx", size=size)
    photo = random.standard_normal((1, 3, *size), np.float32)
    expected = open_network(file).run(photo)
    assert expected.shape == (1, 1, *size)
    assert expected.std() > 0.1
    assert np.abs(open_network(file, RunOptions(engine="torch", device="cpu")).run(photo) - expected).max() < 1e-5


@pytest.mark.long
@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("architecture", "size"), [("inspyrenet_384", (128, 160)), ("ben2", (512, 512))])
def test_the_newer_networks_agree_as_a_whole(architecture: str, size: tuple[int, int], tmp_path: Path) -> None:
    file = built(architecture, size, tmp_path)
    photo = reference.photo(architecture, *size)
    expected = open_network(file).run(photo)
    assert np.abs(open_network(file, RunOptions(engine="torch", device="cpu")).run(photo) - expected).max() < 1e-4


def test_the_built_in_model_cuts_the_same_in_torch(examples: Path) -> None:
    with Remover(engine="torch", device="cpu") as remover, Remover(engine="onnxruntime") as usual:
        assert remover.engine == "torch"
        one, other = remover(examples / "cat.jpg").alpha, usual(examples / "cat.jpg").alpha
    assert np.abs(one.astype(int) - other).max() <= 1


def test_what_torch_cannot_do_is_said(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Erf", ["x"], ["y"])],
        "odd",
        [info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [info("y", TensorProto.FLOAT, [1, 3, 8, 8])],
    )
    onnx.save(helper.make_model(graph), path)
    file = NetworkFile(name="odd", path=path, size=(8, 8))
    with pytest.raises(NetworkRejected, match="no operator Erf"):
        open_network(file, RunOptions(engine="torch", device="cpu"))
    with pytest.raises(UsageError, match="int8"):
        open_network(file, RunOptions(engine="torch", device="cpu", precision="int8"))
    with pytest.raises(UsageError, match="precision is fp16"):
        open_network(file, RunOptions(engine="torch", device="cpu", precision="fp16"))
    with pytest.raises(DeviceUnavailable, match="npu"):
        open_network(file, RunOptions(engine="torch", device="npu"))
    path.write_bytes(b"\x08 not a graph")
    with pytest.raises(NetworkRejected, match="odd"):
        open_network(file, RunOptions(engine="torch", device="cpu"))
    with pytest.raises(ModelMissing, match="gone"):
        open_network(NetworkFile(name="gone", path=tmp_path / "gone", size=(8, 8)), RunOptions(engine="torch"))


def test_a_gpu_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceUnavailable, match="device='cpu'"):
        open_network(NetworkFile(name="x", path=tmp_path, size=(8, 8)), RunOptions(engine="torch", device="cuda"))
