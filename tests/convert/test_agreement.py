"""Lean networks compute what the PyTorch networks compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from liftout.convert import build_network
from liftout.convert.graph import Graph
from liftout.convert.lean.inspyrenet import inspyrenet
from liftout.convert.weights import Weights
from liftout.networks import ARCHITECTURES, PatchOrder
from liftout.networks.swin import SWIN_V1_B
from tests.convert.running import original, probability, run_network
from tests.networks import reference

pytestmark = pytest.mark.usefixtures("shared")

TOLERANCE = 1e-4
"""In probability."""


def photos(architecture: str, height: int, width: int, count: int = 1) -> np.ndarray:
    """Different photos: the reference image, mirrored in turn."""
    photo = reference.photo(architecture, height, width)
    return np.ascontiguousarray(np.concatenate([np.flip(photo, axes) for axes in [(), (3,), (2,), (2, 3)][:count]]))


def difference(a: np.ndarray, b: np.ndarray, architecture: str) -> float:
    assert a.shape == b.shape
    if not ARCHITECTURES[architecture].sigmoid:
        a, b = probability(a), probability(b)
    return float(np.abs(a - b).max())


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        ("u2netp", (96, 128)),
        ("u2netp", (45, 33)),
        ("isnet", (96, 128)),
        ("isnet", (45, 33)),
        ("u2net_cloth_seg", (45, 33)),
        pytest.param("u2net_cloth_seg", (96, 128), marks=pytest.mark.long),
        pytest.param("u2net", (96, 128), marks=pytest.mark.long),  # u2netp with more channels
        pytest.param("u2net", (45, 33), marks=pytest.mark.long),
    ],
)
def test_nested_u_networks_agree_at_even_and_odd_sizes(
    architecture: str, size: tuple[int, int], tmp_path: Path
) -> None:
    tensor = photos(architecture, *size)
    network = build_network(architecture, reference.state(architecture), size=size)
    assert difference(run_network(network, tensor, tmp_path), original(architecture, tensor), architecture) < TOLERANCE


@pytest.mark.parametrize("size", [(192, 128), (32, 64), (96, 160)])
def test_modnet_agrees(size: tuple[int, int], tmp_path: Path) -> None:
    tensor = photos("modnet", *size)
    network = build_network("modnet", reference.state("modnet"), size=size)
    assert difference(run_network(network, tensor, tmp_path), original("modnet", tensor), "modnet") < TOLERANCE


@pytest.mark.parametrize("size", [pytest.param((128, 128), marks=pytest.mark.long), (96, 160)])
def test_inspyrenet_agrees_at_the_size_of_its_training_and_at_others(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pieces as small as those of large photos are of theirs."""
    monkeypatch.setattr("liftout.convert.pieces.PIECE_BYTES", 300_000)
    stored = reference.Stored(size, base=128)
    tensor = photos("inspyrenet", *size)
    network = reference.network("inspyrenet", stored)
    graph = Graph()
    photo = graph.input("input", tensor.shape)
    weights = Weights(reference.state("inspyrenet", 128))
    logits = inspyrenet(graph, photo, weights, SWIN_V1_B, (128, 128))
    assert not weights.left
    with torch.inference_mode():
        expected = network(torch.from_numpy(tensor)).numpy()
    output = run_network(graph.finish(graph.sigmoid(logits), "output"), tensor, tmp_path)
    assert difference(output, expected, "inspyrenet") < TOLERANCE


def test_ben2_gives_what_its_authors_code_gives(tmp_path: Path) -> None:
    """Against their stored output: the network in PyTorch, which takes as long again, is held against it in the long tests."""
    architecture, size = "ben2", (512, 512)
    network = build_network(architecture, reference.state(architecture), size=size)
    output = run_network(network, photos(architecture, *size), tmp_path)[..., ::4, ::4]
    assert difference(output, reference.golden(architecture)["512x512_every_4"], architecture) < TOLERANCE


@pytest.mark.parametrize(
    ("order", "size"),
    [
        ("cgw", (160, 288)),
        ("cgw", (32, 64)),
        ("wgc", (32, 64)),
        pytest.param("cgw", (256, 256), marks=pytest.mark.long),
        pytest.param("wgc", (256, 256), marks=pytest.mark.long),
        pytest.param("wgc", (160, 288), marks=pytest.mark.long),
    ],
)
def test_birefnet_agrees_with_either_patch_order(order: PatchOrder, size: tuple[int, int], tmp_path: Path) -> None:
    """The first two sizes are no multiple of the window at any stage, and smaller than it at some."""
    architecture = "birefnet_swin_v1_t"
    tensor = photos(architecture, *size)
    network = build_network(architecture, reference.state(architecture), size=size, patch_order=order)
    expected = original(architecture, tensor, patch_order=order)
    assert difference(run_network(network, tensor, tmp_path), expected, architecture) < TOLERANCE


@pytest.mark.parametrize("piece_bytes", [100_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_small_pieces_join_without_a_seam(piece_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sizes fit into one piece each; with smaller pieces they are cut as large ones are."""
    architecture, size = "birefnet_swin_v1_t", (192, 224)
    monkeypatch.setattr("liftout.convert.pieces.PIECE_BYTES", piece_bytes)
    tensor = photos(architecture, *size)
    network = build_network(architecture, reference.state(architecture), size=size)
    assert sum("gridsample" in name for name in network.shapes) > 40
    assert difference(run_network(network, tensor, tmp_path), original(architecture, tensor), architecture) < TOLERANCE


def test_birefnet_runs_a_fixed_batch(tmp_path: Path) -> None:
    architecture, size = "birefnet_swin_v1_t", (96, 128)
    tensor = photos(architecture, *size, count=3)
    network = build_network(architecture, reference.state(architecture), size=size, batch=3)
    output = run_network(network, tensor, tmp_path)
    assert difference(output, original(architecture, tensor), architecture) < TOLERANCE
    assert np.abs(output[0] - output[1]).max() > 1e-3


@pytest.mark.parametrize("architecture", ["u2netp", pytest.param("isnet", marks=pytest.mark.long), "modnet"])
def test_convolutional_networks_run_any_batch(architecture: str, tmp_path: Path) -> None:
    network = build_network(architecture, reference.state(architecture), size=(64, 96), batch=None)
    for count in (1, 4):
        tensor = photos(architecture, 64, 96, count=count)
        expected = original(architecture, tensor)
        assert difference(run_network(network, tensor, tmp_path), expected, architecture) < TOLERANCE


def test_the_end_is_a_logit_or_a_probability_as_asked(tmp_path: Path) -> None:
    tensor = photos("u2netp", 64, 64)
    for sigmoid in (True, False):
        network = build_network("u2netp", reference.state("u2netp"), size=(64, 64), sigmoid=sigmoid)
        output = run_network(network, tensor, tmp_path)
        assert np.abs(output - original("u2netp", tensor, sigmoid=sigmoid)).max() < TOLERANCE


@pytest.mark.long
@pytest.mark.parametrize("order", ["cgw", "wgc"])
def test_the_large_birefnet_agrees(order: PatchOrder, tmp_path: Path) -> None:
    architecture, size = "birefnet_swin_v1_l", (256, 320)
    tensor = photos(architecture, *size)
    network = build_network(architecture, reference.state(architecture), size=size, patch_order=order)
    expected = original(architecture, tensor, patch_order=order)
    assert difference(run_network(network, tensor, tmp_path), expected, architecture) < TOLERANCE


@pytest.mark.long
def test_the_quick_inspyrenet_agrees(tmp_path: Path) -> None:
    architecture, size = "inspyrenet_384", (384, 384)
    tensor = photos(architecture, *size)
    network = build_network(architecture, reference.state(architecture), size=size)
    assert difference(run_network(network, tensor, tmp_path), original(architecture, tensor), architecture) < TOLERANCE


@pytest.mark.long
def test_ben2_agrees_on_a_wide_photo(tmp_path: Path) -> None:
    architecture, size = "ben2", (512, 1024)
    tensor = photos(architecture, *size)
    network = build_network(architecture, reference.state(architecture), size=size)
    assert difference(run_network(network, tensor, tmp_path), original(architecture, tensor), architecture) < TOLERANCE
