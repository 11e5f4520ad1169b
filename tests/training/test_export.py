"""The file that ships computes what was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from training.evaluate import pocket
from training.export import SHIPPED, fold, store_as_bytes, store_as_half, to_onnx, write
from training.network import SIZE, PocketNetwork

SIMPLE = {
    "Conv",
    "Relu",
    "Add",
    "Resize",
    "Sigmoid",
    "DepthToSpace",
    "GlobalAveragePool",
    "Cast",
    "Mul",
    "Concat",
    "Slice",
    "Split",
}


@pytest.fixture(scope="module")
def network() -> PocketNetwork:
    """Random weights, and normalisation statistics as training would leave them."""
    torch.manual_seed(0)
    network = PocketNetwork()
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    network.train()
    with torch.no_grad():
        for _ in range(8):
            network.logits(torch.randn(4, 3, 96, 96) * 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def graph(network: PocketNetwork) -> onnx.ModelProto:
    return to_onnx(network)


def _run(model: onnx.ModelProto, tensor: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["output"], {"input": tensor})[0])


def test_folding_changes_nothing(network: PocketNetwork) -> None:
    photo = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        assert torch.allclose(network(photo), fold(network)(photo), atol=1e-5)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fold(network).modules())


def test_the_graph_equals_torch(network: PocketNetwork, graph: onnx.ModelProto) -> None:
    photo = torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        expected = network(photo).numpy()
    assert np.abs(_run(graph, photo.numpy()) - expected).max() < 1e-4
    assert expected.std() > 1e-3


def test_several_sides_and_mirror_images_decide_together(network: PocketNetwork) -> None:
    photo = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        seen = []
        for side in (224, 256):
            both = torch.nn.functional.interpolate(photo, size=side, mode="bilinear", align_corners=False)
            both = torch.cat([both, both.flip(3)])
            logits = network.logits(both)[0]
            mean = (logits[:1] + logits[1:].flip(3)) / 2
            seen.append(torch.nn.functional.interpolate(mean, size=256, mode="bilinear", align_corners=False))
        expected = torch.sigmoid(1.5 * sum(seen) / 2 + 0.3).numpy()  # type: ignore[call-overload]
    graph = to_onnx(network, 256, sides=(224, 256), gain=1.5, mirror=True, shift=0.3)
    assert np.abs(_run(graph, photo.numpy()) - expected).max() < 1e-3
    single = to_onnx(network)
    assert len(graph.SerializeToString()) < 1.02 * len(single.SerializeToString()), "the weights are kept twice"
    assert {node.op_type for node in graph.graph.node} <= SIMPLE


def test_stored_weights_stay_close(graph: onnx.ModelProto) -> None:
    photo = np.random.default_rng(0).normal(size=(1, 3, SIZE, SIZE)).astype(np.float32)
    expected = _run(graph, photo)
    for store, bytes_left, difference in ((store_as_half, 0.6, 0.02), (store_as_bytes, 0.3, 0.1)):
        stored = store(graph)
        assert len(stored.SerializeToString()) < bytes_left * len(graph.SerializeToString())
        assert np.abs(expected - _run(stored, photo)).max() < difference
        assert np.abs(expected - _run(stored, photo)).mean() < difference / 10


def test_only_operators_that_every_engine_runs_fast(graph: onnx.ModelProto) -> None:
    for store in (store_as_half, store_as_bytes):
        assert {node.op_type for node in store(graph).graph.node} <= SIMPLE


def test_a_network_too_large_to_ship_is_refused(graph: onnx.ModelProto, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than 5000000"):
        write(graph, tmp_path / "network.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_network_keeps_its_contract() -> None:
    if not SHIPPED.exists():
        pytest.skip("no network has been exported yet")
    from PIL import Image

    assert SHIPPED.stat().st_size <= 5_000_000
    session = onnxruntime.InferenceSession(SHIPPED, providers=["CPUExecutionProvider"])
    assert [(i.name, i.shape) for i in session.get_inputs()] == [("input", [1, 3, 320, 320])]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [("output", [1, 1, 320, 320])]
    photo = Image.new("RGB", (301, 173), (120, 140, 90))
    alpha, _ = pocket(SHIPPED)(photo)
    assert alpha.shape == (173, 301)
