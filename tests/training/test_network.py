"""The built-in network starts as U2NetP without its last decoder stage, and its file computes what was trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch.nn import functional

from liftout.networks.u2net import SMALL_WIDTHS, U2Net, nested_u
from liftout.tuning.graph import store_as_bytes, to_onnx, write
from liftout.tuning.network import WIDTHS, PocketNetwork, add_norms, enlarge
from training.export import SHIPPED, sharpen
from training.network import from_u2netp
from training.photos import ROOT as TRAINING
from training.photos import U2NETP
from training.train import between

OPERATORS = {"Conv", "Relu", "Add", "Resize", "Sigmoid", "Cast", "Mul", "Concat", "MaxPool", "GlobalAveragePool"}
SIDE = 96


@pytest.fixture(scope="module")
def network() -> PocketNetwork:
    """Real weights of U2NetP."""
    if not U2NETP.exists():
        pytest.skip(f"no {U2NETP}")
    torch.manual_seed(0)
    network = from_u2netp(U2NETP)
    return network.eval()


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 3, SIDE, SIDE)


def test_the_network_starts_as_u2netp_without_its_last_decoder_stage(
    network: PocketNetwork, photos: torch.Tensor
) -> None:
    teacher = U2Net(SMALL_WIDTHS)
    teacher.load_state_dict(torch.load(U2NETP, map_location="cpu"))
    teacher.eval()
    with torch.no_grad():
        stages = nested_u(teacher, photos)
        fine, logits = network.logits(photos)
        second = teacher.get_submodule("side2")(stages[1])
        assert torch.allclose(fine, second + enlarge(logits[3], second), atol=1e-3, rtol=1e-4)
        for number, mine in logits.items():
            theirs = teacher.get_submodule(f"side{number}")(stages[number - 1])
            assert torch.allclose(mine, theirs, atol=1e-3, rtol=1e-4), number


def test_every_width_starts_as_the_same_function(photos: torch.Tensor) -> None:
    torch.manual_seed(0)
    narrow, wide = (from_u2netp(U2NETP, dict.fromkeys(WIDTHS, width)) for width in (16, 48))
    with torch.no_grad():
        assert torch.allclose(narrow(photos), wide(photos), atol=1e-5)


def test_channels_that_widening_added_are_trained(photos: torch.Tensor) -> None:
    torch.manual_seed(0)
    network = from_u2netp(U2NETP, dict.fromkeys(WIDTHS, 32))
    network(photos).sum().backward()
    unit = network.depth.get_submodule("stage3").down[2]  # type: ignore[index]
    gradient = unit.conv.weight.grad
    assert gradient is not None
    assert bool(gradient[:16, 16:].any())  # old channels learn to read the new ones


def test_norms_change_nothing_and_are_folded_into_the_graph(photos: torch.Tensor) -> None:
    torch.manual_seed(0)
    network = from_u2netp(U2NETP, dict.fromkeys(WIDTHS, 24)).eval()
    with torch.no_grad():
        before = network.logits(photos)[0]
        add_norms([network.depth, network.fine], lambda: network(photos))
        after = network.logits(photos)[0]
    assert any(isinstance(part, torch.nn.BatchNorm2d) for part in network.fine.modules())
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in network.encoder.modules())
    assert torch.allclose(before, after, atol=2e-3, rtol=1e-3)
    model = to_onnx(network, SIDE)
    assert {node.op_type for node in model.graph.node} <= OPERATORS
    with torch.no_grad():
        logits, _ = network.logits(photos[:1])
        expected = torch.sigmoid(functional.interpolate(logits, scale_factor=2.0, mode="bilinear"))
    assert np.abs(_run(model, photos[:1].numpy()) - expected.numpy()).max() < 1e-3


def test_the_graph_computes_what_torch_does(network: PocketNetwork, photos: torch.Tensor) -> None:
    model = to_onnx(network, SIDE)
    assert {node.op_type for node in model.graph.node} <= OPERATORS
    with torch.no_grad():
        logits, _ = network.logits(photos[:1])
        expected = torch.sigmoid(functional.interpolate(logits, scale_factor=2.0, mode="bilinear"))
    assert np.abs(_run(model, photos[:1].numpy()) - expected.numpy()).max() < 1e-4


def test_gain_and_shift_act_on_the_logits(photos: torch.Tensor) -> None:
    with torch.no_grad():
        before = from_u2netp(U2NETP).logits(photos)[0]
        after = sharpen(from_u2netp(U2NETP), 0.5, 0.25).logits(photos)[0]
    assert torch.allclose(after, before / 2 + 0.25, atol=1e-3)


def test_presence_lowers_all_logits_alike_where_it_finds_no_subject(photos: torch.Tensor) -> None:
    network = from_u2netp(U2NETP).eval()
    with torch.no_grad():
        before = network.logits(photos)[0]
        for layer in (network.presence.first, network.presence.second):
            layer.weight.fill_(0.01)
        network.presence.second.bias.fill_(2)
        after = network.logits(photos)[0]
        lowered = (before - after).amax((1, 2, 3))
        assert bool((lowered > 2).all())
        assert torch.allclose(after, before - lowered[:, None, None, None], atol=1e-3)
        expected = torch.sigmoid(functional.interpolate(after[:1], scale_factor=2.0, mode="bilinear"))
        assert np.abs(_run(to_onnx(network, SIDE), photos[:1].numpy()) - expected.numpy()).max() < 1e-3
        network.presence.second.bias.fill_(-100)
        assert torch.equal(network.logits(photos)[0], before)


def test_stored_as_bytes_it_is_a_quarter_of_the_size_and_computes_nearly_the_same(
    network: PocketNetwork, photos: torch.Tensor
) -> None:
    whole = to_onnx(network, SIDE)
    stored = store_as_bytes(whole)
    assert stored.ByteSize() < 0.3 * whole.ByteSize()
    difference = np.abs(_run(stored, photos[:1].numpy()) - _run(whole, photos[:1].numpy()))
    assert difference.mean() < 0.01
    assert difference.any()  # weights are rounded


def test_what_ships_comes_out_of_the_checkpoints_that_are_kept(network: PocketNetwork, tmp_path: Path) -> None:
    for kept, name in (("decoder.pt", "checkpoint.pt"), ("presence.pt", "presence.pt")):
        shutil.copy(TRAINING / "checkpoints" / kept, tmp_path / name)
    made = store_as_bytes(to_onnx(between(tmp_path, 0.5)))
    ships = onnx.load(SHIPPED)
    assert [node.op_type for node in made.graph.node] == [node.op_type for node in ships.graph.node]
    ours, theirs = ({item.name: numpy_helper.to_array(item) for item in one.graph.initializer} for one in (made, ships))
    assert ours.keys() == theirs.keys()
    levels = [name for name in ours if name.endswith(".int8")]
    # a weight that falls between two levels may be rounded up on one processor and down on another
    differences = np.concatenate([np.abs(ours[name].astype(int) - theirs[name]).ravel() for name in levels])
    assert differences.max() <= 1
    assert differences.mean() < 1e-4
    for name in ours.keys() - set(levels):
        assert np.allclose(ours[name], theirs[name], atol=1e-4, rtol=1e-4), name


def test_the_same_weights_give_the_same_bytes(network: PocketNetwork, tmp_path: Path) -> None:
    for name in ("first", "second"):
        write(store_as_bytes(to_onnx(network, SIDE)), tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def _run(model: onnx.ModelProto, photo: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["output"], {"input": photo})[0])
