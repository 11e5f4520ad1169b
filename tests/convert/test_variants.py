"""Files as their authors publish them become packs that run, for the models that share a network and for those of torch.save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from liftout.convert import convert_model
from liftout.engines import NetworkFile, open_network
from liftout.models import packs
from liftout.models.catalog import find
from liftout.networks import load_network, read_checkpoint
from tests.convert.running import probability
from tests.networks import reference

pytestmark = pytest.mark.usefixtures("shared")

VARIANTS = [
    # model, type of the published file, its bytes, size to run it at
    ("birefnet-lite-matting", torch.float16, 88965896, (128, 160)),
    ("birefnet-lite-2k", torch.float32, 177634392, (96, 160)),
    ("birefnet-dynamic-matting", torch.float16, 444473596, (160, 96)),
    ("birefnet-dynamic", torch.float16, None, (96, 256)),
    ("birefnet-hr", torch.float16, 444473596, (128, 128)),
    ("birefnet-hr-matting", torch.float16, None, (128, 128)),
]


@pytest.mark.parametrize(
    ("name", "dtype", "size_of_file", "size"),
    [
        pytest.param(*variant, id=variant[0], marks=() if variant[0] == "birefnet-lite-matting" else pytest.mark.long)
        for variant in VARIANTS
    ],
)
def test_a_variant_becomes_a_pack_that_gives_what_its_checkpoint_gives(
    name: str, dtype: torch.dtype, size_of_file: int | None, size: tuple[int, int], tmp_path: Path
) -> None:
    spec = find(name)
    checkpoint = tmp_path / "model.safetensors"
    state = reference.state(spec.architecture)
    held = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    save_file(held, checkpoint, metadata={"format": "pt"})
    published = next(file for file in spec.files if file.role == "checkpoint")
    assert published.bytes == size_of_file
    # The header alone may differ: the authors' files may name their tensors' places in another order.
    assert size_of_file is None or abs(checkpoint.stat().st_size - size_of_file) < 100_000

    pack = packs.read(convert_model(spec, checkpoint, size=size, out_dir=tmp_path))
    packs.verify(pack)
    assert pack.spec.input.size == size
    tensor = reference.photo(spec.architecture, *size)
    network = load_network(spec.architecture, read_checkpoint(checkpoint), patch_order=spec.patch_order or "cgw")
    with torch.inference_mode():
        expected = network(torch.from_numpy(tensor)).numpy()
    output = open_network(NetworkFile(name=name, path=pack.network, size=size)).run(tensor)
    assert np.abs(probability(output) - probability(expected)).max() < 1e-4


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "size", "most"),
    [
        ("inspyrenet-fast", (96, 128), 367520613),
        ("inspyrenet-base", (64, 96), 367520613),
        ("ben2-base", (512, 512), None),
    ],
)
def test_a_checkpoint_of_torch_becomes_a_pack_that_gives_what_it_gives(
    name: str, size: tuple[int, int], most: int | None, tmp_path: Path
) -> None:
    spec = find(name)
    checkpoint = tmp_path / "checkpoint.pth"
    state = reference.state(spec.architecture)
    torch.save({"model_state_dict": state} if name == "ben2-base" else state, checkpoint)
    assert most is None or abs(checkpoint.stat().st_size - most) < 300_000
    pack = packs.read(convert_model(spec, checkpoint, size=size, out_dir=tmp_path))
    packs.verify(pack)
    tensor = reference.photo(spec.architecture, *size)
    with torch.inference_mode():
        expected = load_network(spec.architecture, state)(torch.from_numpy(tensor)).numpy()
    output = open_network(NetworkFile(name=name, path=pack.network, size=size)).run(tensor)
    assert output.min() >= 0
    assert output.max() <= 1
    assert np.abs(output - expected).max() < 1e-4
