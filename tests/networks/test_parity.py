"""The networks are the authors': same parameters under the same names, same outputs on the same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from liftout.networks import ARCHITECTURES, load_network
from liftout.networks.swin import relative_position_index
from tests.networks import reference

pytestmark = pytest.mark.usefixtures("shared")

STORED = {
    "u2net": ["320x320", "192x256"],
    "u2netp": ["320x320", "192x256"],
    "u2net_cloth_seg": ["320x320", "192x256"],
    "isnet": ["1024x1024", "256x320"],
    "modnet": ["192x128", "96x160"],
    "inspyrenet": ["128x128_base_128", "96x160_base_128"],
    "inspyrenet_384": ["384x384_every_4"],
    "ben2": ["512x512_every_4", "512x1024_every_4"],
    "birefnet_swin_v1_t": ["256x256", "256x256_patches_wgc", "320x448", "320x448_patches_wgc"],
    "birefnet_swin_v1_l": ["256x256", "256x256_patches_wgc", "320x448", "320x448_patches_wgc"],
}

LONG = {
    ("ben2", "512x512_every_4"),
    ("ben2", "512x1024_every_4"),
    ("birefnet_swin_v1_l", "320x448"),
    ("birefnet_swin_v1_l", "320x448_patches_wgc"),
    ("inspyrenet", "96x160_base_128"),
    ("inspyrenet_384", "384x384_every_4"),
}

CASES = [
    pytest.param(architecture, key, marks=pytest.mark.long if (architecture, key) in LONG else ())
    for architecture, stored in STORED.items()
    for key in stored
]


def test_every_stored_output_of_the_authors_is_compared() -> None:
    files = [path for folder in (reference.FOLDER, reference.OWN) for path in (folder / "golden").glob("*.npz")]
    there = {path.stem: set(reference.golden(path.stem)) for path in files}
    assert there == {architecture: set(stored) for architecture, stored in STORED.items()}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parameters_have_the_names_shapes_types_and_order_of_the_checkpoints(architecture: str) -> None:
    with torch.device("meta"):
        network = ARCHITECTURES[architecture].build()
    held = [
        (name, list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in network.state_dict().items()
    ]
    assert held == reference.keys(architecture)


@pytest.mark.parametrize(("architecture", "key"), CASES)
def test_outputs_are_those_of_the_authors_code(architecture: str, key: str) -> None:
    stored = reference.Stored.of(key)
    network = reference.network(architecture, stored)
    with torch.inference_mode():
        output = network(torch.from_numpy(reference.photo(architecture, *stored.size)))
    if architecture == "u2net_cloth_seg":  # stored after a sigmoid that is not the network's
        output = output.sigmoid()
    if architecture.startswith("inspyrenet"):  # which stretches its prediction where the catalogue does here
        output = (output - output.min()) / (output.max() - output.min())
    output = output[..., :: stored.every, :: stored.every]
    expected = reference.golden(architecture)[key]
    assert output.shape == expected.shape
    assert np.abs(output.numpy() - expected).max() < 2e-5


@pytest.mark.parametrize("architecture", ["u2netp", "isnet"])
def test_a_network_can_end_in_logits_or_in_a_probability(architecture: str) -> None:
    photo = torch.from_numpy(reference.photo(architecture, 64, 64))
    with torch.inference_mode():
        probability = load_network(architecture, reference.state(architecture), sigmoid=True)(photo)
        logits = load_network(architecture, reference.state(architecture), sigmoid=False)(photo)
    assert torch.equal(logits.sigmoid(), probability)
    assert not torch.equal(logits, probability)


def test_the_patch_order_matters() -> None:
    arrays = reference.golden("birefnet_swin_v1_t")
    assert np.abs(arrays["256x256"] - arrays["256x256_patches_wgc"]).max() > 1e-2


@pytest.mark.parametrize("window", [7, 12])
def test_the_position_index_counts_distances_within_a_window(window: int) -> None:
    index = relative_position_index(window)
    for a, b in [(0, 0), (0, window * window - 1), (window * window - 1, 0), (3, 2 * window + 1)]:
        rows, columns = a // window - b // window, a % window - b % window
        assert index[a, b] == (rows + window - 1) * (2 * window - 1) + columns + window - 1
