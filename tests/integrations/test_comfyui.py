"""The node pack for ComfyUI, under its contract."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout import remove
from liftout.errors import ModelMissing
from liftout.images import decode
from liftout.pointing import load
from tests.conftest import ROOT

torch = pytest.importorskip("torch")
contract = pytest.importorskip("tests.integrations.comfyui_contract")
pytest.importorskip("scipy")

PACK = ROOT / "integrations" / "comfyui"


@pytest.fixture(scope="module")
def nodes() -> dict[str, type]:
    return contract.load_pack(PACK)


@pytest.fixture
def batch(examples: Path) -> torch.Tensor:
    photos = []
    for name in ("cat.jpg", "officer.jpg"):
        with Image.open(examples / name) as photo:
            photos.append(np.asarray(photo.convert("RGB").resize((150, 120)), np.float32) / 255)
    return torch.from_numpy(np.stack(photos))


def eight_bits(tensor: torch.Tensor) -> np.ndarray:
    return np.rint(tensor.numpy() * 255).astype(np.uint8)


def test_every_default_is_a_value_that_the_input_takes(nodes: dict[str, type]) -> None:
    assert set(nodes) == {"LiftoutRemoveBackground", "LiftoutMatte", "LiftoutRefineEdges", "LiftoutSelect"}
    for cls in nodes.values():
        for name, (kind, settings) in contract.declared(cls).items():
            if "default" in settings:
                contract.check_input(name, settings["default"], kind, settings)


def test_a_workflow_runs_from_a_file_to_files(nodes: dict[str, type], tmp_path: Path, examples: Path) -> None:
    shutil.copyfile(examples / "cat.jpg", tmp_path / "photo.jpg")
    load = type("LoadImage", (contract.LoadImage,), {"folder": tmp_path})
    save = type("SaveImage", (contract.SaveImage,), {"folder": tmp_path})
    workflow = json.loads((PACK / "workflow.json").read_text(encoding="utf-8"))
    contract.run(workflow, {**nodes, "LoadImage": load, "SaveImage": save})
    expected = remove(tmp_path / "photo.jpg").rgba.astype(int)
    with Image.open(tmp_path / "cutout_00000.png") as cutout:
        assert np.abs(np.asarray(cutout) - expected).max() <= 1  # ComfyUI cuts levels off where we round
    with Image.open(tmp_path / "refined_00000.png") as refined:
        assert refined.mode == "RGBA"
        assert np.asarray(refined)[..., 3].any()


def test_opaque_pixels_keep_their_colours_exactly(nodes: dict[str, type], batch: torch.Tensor) -> None:
    image, mask = contract.call(
        nodes["LiftoutRemoveBackground"], image=batch, model="pocket", edges="auto", background="transparent"
    )
    assert image.shape == (2, 120, 150, 4)
    assert mask.shape == (2, 120, 150)
    opaque = mask == 1
    assert opaque.any()
    np.testing.assert_array_equal(eight_bits(image[..., :3][opaque]), eight_bits(batch[opaque]))
    assert torch.equal(image[..., 3], mask)
    for photo, alpha in zip(eight_bits(batch), eight_bits(mask), strict=True):
        np.testing.assert_array_equal(alpha, remove(photo).alpha)


def test_over_a_colour_the_image_has_three_channels(nodes: dict[str, type], batch: torch.Tensor) -> None:
    image, mask = contract.call(
        nodes["LiftoutRemoveBackground"], image=batch, model="pocket", edges="plain", background="#ff0000"
    )
    assert image.shape == (2, 120, 150, 3)
    behind = mask == 0
    assert behind.any()
    assert torch.equal(image[behind].unique(dim=0), torch.tensor([[1.0, 0.0, 0.0]]))


def test_the_matte_can_be_hard_and_the_other_way_round(nodes: dict[str, type], batch: torch.Tensor) -> None:
    options = {"model": "pocket", "edges": "auto", "largest_only": True, "fill_holes": True, "threshold": 128}
    (mask,) = contract.call(nodes["LiftoutMatte"], image=batch, invert=False, **options)
    (other,) = contract.call(nodes["LiftoutMatte"], image=batch, invert=True, **options)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(other, 1 - mask)


def test_a_coarse_mask_of_another_node_gets_better_edges(nodes: dict[str, type], examples: Path) -> None:
    """The truth is the alpha of the photo itself; the mask is that alpha, hard and coarse."""
    photo = decode(examples / "cat.jpg").pixels
    truth = remove(photo, edges="refined").alpha
    coarse = Image.fromarray(np.where(truth > 127, 255, 0).astype(np.uint8)).resize((28, 19)).resize(photo.shape[1::-1])
    tensor = torch.from_numpy(photo.astype(np.float32) / 255)[None]
    mask = torch.from_numpy(np.asarray(coarse, np.float32) / 255)[None]
    image, refined = contract.call(nodes["LiftoutRefineEdges"], image=tensor, mask=mask, width=16)
    assert image.shape == (1, *photo.shape[:2], 4)

    def distance(alpha: torch.Tensor) -> float:
        return float(np.abs(eight_bits(alpha)[0].astype(int) - truth).mean())

    assert distance(refined) < distance(mask)
    with pytest.raises(ValueError, match="scale the mask"):
        contract.call(nodes["LiftoutRefineEdges"], image=tensor, mask=mask[:, :10], width=16)


def test_what_liftout_refuses_reaches_the_user_as_one_line(nodes: dict[str, type]) -> None:
    wide = torch.zeros((1, 2, 900, 3))
    with pytest.raises(Exception, match="one side may be at most 200 times"):
        contract.call(nodes["LiftoutRemoveBackground"], image=wide, model="pocket", edges="auto", background="white")


def test_points_select_an_object(nodes: dict[str, type], batch: torch.Tensor) -> None:
    try:
        load()
    except ModelMissing:
        pytest.skip("needs the built-in network that reads points")
    said = {"drop": "2%,2%", "box": "", "edges": "auto"}
    image, mask = contract.call(nodes["LiftoutSelect"], image=batch, keep="50%,50%\n60%,60%", **said)
    assert image.shape == (2, 120, 150, 4)
    assert mask.shape == (2, 120, 150)
    _, corrected = contract.call(nodes["LiftoutSelect"], image=batch, keep="75,60", mask=mask[:1], **said)
    assert corrected.shape == mask.shape
    with pytest.raises(Exception, match="keep"):
        contract.call(nodes["LiftoutSelect"], image=batch, keep="999,999", **said)
