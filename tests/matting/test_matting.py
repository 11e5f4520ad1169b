"""Matting: hair from trimaps and from what networks leave of it, within memory that follows the band."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from liftout import Remover, graphs, matting
from liftout.cli import main
from liftout.errors import ExtraMissing, InputError
from liftout.models.spec import OutputSpec
from tests import truth

CLOSED_FORM_SAD = 64.80
"""Of pymatting 1.1.16's estimate_alpha_cf on the 14 photos, in thousands; `python -m benchmarks.edges matting`."""


@pytest.fixture(scope="module")
def strands() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A disc with thin strands around it: photo uint8 [H, W, 3], true alpha uint8 [H, W], trimap."""
    height, width = 260, 300
    sharp = np.zeros((4 * height, 4 * width), np.uint8)
    cv2.circle(sharp, (600, 520), 240, 255, -1)
    for angle in np.linspace(0, 2 * np.pi, 60, endpoint=False):
        tip = (int(600 + 420 * np.cos(angle)), int(520 + 420 * np.sin(angle)))
        cv2.line(sharp, (600, 520), tip, 255, 5)
    alpha = cv2.resize(sharp, (width, height), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[:height, :width]
    ground = np.stack([60 + 40 * x / width, 120 + 50 * y / height, 150 + 0 * x], -1)
    share = alpha[..., None] / 255
    photo = np.rint(share * np.array([70, 40, 20]) + (1 - share) * ground).astype(np.uint8)
    far = np.hypot(y - 130, x - 150)
    trimap = np.select([far < 55, far > 112], [255, 0], 128).astype(np.uint8)
    return photo, alpha, trimap


def test_strands_are_found_from_a_trimap(strands: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    photo, alpha, trimap = strands
    made = matting.solve(photo, trimap)
    assert np.abs(made - alpha / 255).mean() < 0.02
    np.testing.assert_array_equal(made[trimap == 0], 0)
    np.testing.assert_array_equal(made[trimap == 255], 1)


def test_tiles_give_nearly_what_the_whole_gives(
    strands: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, _, trimap = strands
    whole = matting.solve(photo, trimap)
    monkeypatch.setattr(matting, "TILE_UNKNOWN", 1000)
    monkeypatch.setattr(matting, "TILE", 64)
    monkeypatch.setattr(matting, "OVERLAP", 16)
    tiled = matting.solve(photo, trimap)
    assert np.abs(tiled - whole).mean() < 0.03
    assert not (tiled[trimap == 0] > 0).any()


def test_a_blurred_prediction_gets_its_strands_back(strands: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    photo, alpha, _ = strands
    small = cv2.resize(alpha.astype(np.float32) / 255, (64, 64), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), 1.5)[None, None]
    seen = graphs.finish(blurred, alpha.shape, OutputSpec(), image=photo)
    made = matting.refine(seen, photo, cell=5)
    right = alpha.astype(float)
    assert np.abs(made - right).sum() < 0.75 * np.abs(seen - right).sum()


def test_closed_form_quality_on_photos_with_true_mattes(shared: Path) -> None:
    error = 0.0
    for photo, alpha, trimap in truth.mattes(shared):
        made = matting.solve(photo, trimap)
        error += np.abs(made - alpha / 255)[trimap == 128].sum() / 1000
    assert error <= 1.1 * CLOSED_FORM_SAD


def test_what_networks_blur_is_improved_on_every_photo(shared: Path) -> None:
    before, after = [], []
    for photo, alpha, _ in truth.mattes(shared):
        prediction = cv2.GaussianBlur(truth.averaged(alpha, 320), (0, 0), 3)[None, None]
        seen = graphs.finish(prediction, alpha.shape, OutputSpec(), image=photo)
        cell = max(side / 320 for side in alpha.shape)
        right = alpha.astype(float)
        before.append(np.abs(seen - right).sum())
        after.append(np.abs(matting.refine(seen, photo, cell=cell) - right).sum())
    assert sum(after) < 0.65 * sum(before)
    assert all(new < old for new, old in zip(after, before, strict=True))


@pytest.mark.parametrize("level", [0, 255])
def test_an_alpha_without_a_soft_pixel_stays(level: int) -> None:
    alpha = np.full((40, 50), level, np.uint8)
    np.testing.assert_array_equal(matting.refine(alpha, np.zeros((40, 50, 3), np.uint8), cell=4), alpha)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (3, 3), (5, 400)])
def test_tiny_photos_are_solved_without_complaint(size: tuple[int, int]) -> None:
    photo = np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)
    alpha = np.random.default_rng(4).integers(0, 256, size, dtype=np.uint8)
    made = matting.refine(alpha, photo, cell=3)
    assert made.shape == size
    assert made.dtype == np.uint8


def test_a_trimap_that_knows_nothing_keeps_what_it_was_given() -> None:
    photo = np.random.default_rng(5).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    made = matting.solve(photo, np.full((30, 40), 128, np.uint8))
    assert np.isfinite(made).all()
    assert made.min() >= 0
    assert made.max() <= 1


def test_shapes_and_types_that_do_not_fit_are_named() -> None:
    with pytest.raises(InputError, match="trimap"):
        matting.solve(np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.uint8))
    with pytest.raises(InputError, match="float64"):
        matting.solve(np.zeros((4, 5, 3)), np.zeros((4, 5), np.uint8))  # type: ignore[arg-type]


def test_refined_edges_go_through_the_whole_pipeline(examples: Path) -> None:
    photo = sorted(examples.glob("*.jpg"))[0]
    with Remover() as remover, remover.with_edges("refined") as refining:
        auto, refined = remover(photo), refining(photo)
    assert refined.alpha.shape == auto.alpha.shape
    assert (refined.alpha != auto.alpha).any()
    assert np.abs(refined.alpha.astype(int) - auto.alpha).mean() < 25
    assert not refined.rgba[refined.alpha == 0].any()


def test_without_scipy_refined_edges_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matting, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissing, match=r"liftout\[matting\]"):
        Remover(edges="refined")
    with Remover() as remover, pytest.raises(ExtraMissing, match=r"liftout\[matting\]"):
        remover.with_edges("refined")


def test_scipy_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, liftout, liftout.matting; sys.exit(any(name.split('.')[0] == 'scipy' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command_makes_refined_cutouts(examples: Path, tmp_path: Path) -> None:
    photo, out = sorted(examples.glob("*.jpg"))[0], tmp_path / "cutout.png"
    with pytest.raises(SystemExit) as ended:
        main(["cut", str(photo), "-o", str(out), "--edges", "refined"])
    assert ended.value.code == 0
    with Image.open(out) as image:
        assert image.mode == "RGBA"
