"""Networks on disk."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from liftout.convert import build_network, write_network, write_single_file
from liftout.convert.nodes import LeanNetwork
from tests.convert.running import run
from tests.networks import reference


@pytest.fixture(scope="module")
def network() -> LeanNetwork:
    if not reference.FOLDER.is_dir():
        pytest.skip("needs ../shared beside the checkout")
    return build_network("u2netp", reference.state("u2netp"), size=(64, 48))


@pytest.fixture
def no_small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liftout.convert.files.INSIDE_BYTES", 0)


def holds(model: onnx.ModelProto, network: LeanNetwork) -> bool:
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return all(np.array_equal(held[name], array) for name, array in network.weights.items())


def test_small_networks_are_one_file_that_onnx_reads(network: LeanNetwork, tmp_path: Path) -> None:
    assert [path.name for path in write_network(network, tmp_path)] == ["network.onnx"]
    model = onnx.load(tmp_path / "network.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert holds(model, network)
    assert [value.name for value in model.graph.input] == ["input"]
    assert [value.name for value in model.graph.output] == ["output"]
    assert onnx.ModelProto.FromString(model.SerializeToString()).SerializeToString() == model.SerializeToString()


@pytest.mark.usefixtures("no_small_networks")
def test_large_networks_keep_their_weights_beside_the_graph(network: LeanNetwork, tmp_path: Path) -> None:
    written = write_network(network, tmp_path)
    assert [path.name for path in written] == ["network.onnx", "weights.bin"]
    assert written[0].stat().st_size < 0.2 * written[1].stat().st_size
    onnx.checker.check_model(str(written[0]), full_check=True)
    assert holds(onnx.load(written[0]), network)
    tensors = onnx.load(written[0], load_external_data=False).graph.initializer
    external = [{item.key: item.value for item in tensor.external_data} for tensor in tensors if tensor.external_data]
    assert {entry["location"] for entry in external} == {"weights.bin"}
    assert all(int(entry["offset"]) % 4096 == 0 for entry in external)


@pytest.mark.usefixtures("no_small_networks")
def test_one_file_and_two_files_compute_the_same(network: LeanNetwork, tmp_path: Path) -> None:
    write_network(network, tmp_path)
    write_single_file(network, tmp_path / "single.onnx")
    photo = reference.photo("u2netp", 64, 48)
    assert np.array_equal(run(tmp_path / "network.onnx", photo), run(tmp_path / "single.onnx", photo))


def test_a_tensor_beyond_a_varint_byte_or_two_is_framed_right(tmp_path: Path) -> None:
    """Lengths of one, two, three and four bytes occur."""
    from liftout.convert.graph import Graph

    graph = Graph()
    x = graph.input("input", (1, 1, 1, 700_000))
    for size in (1, 100, 7000, 700_000):
        x = graph.add_constant(x, np.arange(size, dtype=np.float32).reshape(1, 1, 1, size)[..., -1:])
    x = graph.add_constant(x, np.arange(700_000, dtype=np.float32).reshape(1, 1, 1, -1))
    network = graph.finish(x, "output")
    write_single_file(network, tmp_path / "sum.onnx")
    output = run(tmp_path / "sum.onnx", np.zeros((1, 1, 1, 700_000), np.float32))
    assert np.array_equal(output.ravel(), np.arange(700_000, dtype=np.float32) + 99 + 6999 + 699_999)


@pytest.mark.usefixtures("no_small_networks")
def test_a_failure_leaves_what_was_there(network: LeanNetwork, tmp_path: Path) -> None:
    (tmp_path / "network.onnx").write_bytes(b"before")
    broken = LeanNetwork(network.model, {**network.weights, "last": np.zeros((40, 60), np.float32).T}, network.shapes)
    with pytest.raises(TypeError, match="contiguous"):
        write_network(broken, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"network.onnx": b"before"}


def test_files_have_the_rights_that_the_user_gives_new_files(network: LeanNetwork, tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_network(network, tmp_path)
    finally:
        os.umask(mask)
    assert (tmp_path / "network.onnx").stat().st_mode & 0o777 == 0o640


@pytest.mark.usefixtures("no_small_networks")
def test_progress_counts_bytes_to_the_end(network: LeanNetwork, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    write_network(network, tmp_path, lambda *call: seen.append(call))
    assert {phase for phase, _, _ in seen} == {"write"}
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1][1:] == (network.weight_bytes, network.weight_bytes)
