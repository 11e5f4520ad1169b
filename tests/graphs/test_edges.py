"""guide and refine, coarse and cutout: crisp alpha from small predictions, and colours without the old background."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout import graphs
from liftout.models.spec import OutputSpec
from tests import truth

PLAIN = OutputSpec(resample="bilinear")
RNG = np.random.default_rng(8)


@pytest.fixture(scope="module")
def disc() -> tuple[np.ndarray, np.ndarray]:
    """A soft-edged disc's alpha uint8 [H, W], and its photo: orange (200, 100, 50) over grey-blue."""
    y, x = np.mgrid[:300, :400]
    share = np.clip((100.5 - np.hypot(y - 150, x - 200)) / 4, 0, 1)
    front, back = np.array([200, 100, 50]), np.array([40, 60, 90])
    photo = share[..., None] * front + (1 - share[..., None]) * back
    return np.rint(share * 255).astype(np.uint8), np.rint(photo).astype(np.uint8)


def over(rgba: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    share = rgba[..., 3:].astype(np.float64) / 255
    return share * rgba[..., :3] + (1 - share) * np.array(colour)


@pytest.mark.parametrize("ground", [(255, 255, 255), (0, 0, 0), (0, 177, 64)])
def test_a_cutout_has_no_halo_on_any_ground(disc: tuple[np.ndarray, np.ndarray], ground: tuple[int, int, int]) -> None:
    alpha, photo = disc
    made = over(graphs.cutout(photo, alpha), ground)
    share = alpha[..., None] / 255
    right = share * np.array([200, 100, 50]) + (1 - share) * np.array(ground)
    assert np.abs(made - right).max() < 6
    fringed = over(np.dstack([photo, alpha]), ground)
    assert np.abs(fringed - right).max() > 20  # what the photo's own colours would leave


def test_opaque_pixels_keep_the_photo_and_empty_ones_hold_nothing(disc: tuple[np.ndarray, np.ndarray]) -> None:
    alpha, photo = disc
    rgba = graphs.cutout(photo, alpha)
    np.testing.assert_array_equal(rgba[alpha == 255][:, :3], photo[alpha == 255])
    assert not rgba[alpha == 0].any()
    np.testing.assert_array_equal(rgba[..., 3], alpha)


@pytest.mark.parametrize("level", [0, 255])
def test_a_photo_that_is_all_or_nothing_costs_no_estimate(level: int) -> None:
    photo = RNG.integers(0, 256, (33, 57, 3), dtype=np.uint8)
    rgba = graphs.cutout(photo, np.full((33, 57), level, np.uint8))
    np.testing.assert_array_equal(rgba[..., :3], photo if level else np.zeros_like(photo))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 900), (65, 64)])
def test_any_size_of_soft_alpha_gives_a_cutout(size: tuple[int, int]) -> None:
    photo, alpha = RNG.integers(0, 256, (*size, 3), dtype=np.uint8), RNG.integers(0, 256, size, dtype=np.uint8)
    rgba = graphs.cutout(photo, alpha)
    np.testing.assert_array_equal(rgba[..., 3], alpha)
    assert not rgba[alpha == 0].any()


def test_strips_give_the_same_cutout_and_alpha_as_the_whole(
    disc: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha, photo = disc
    small = np.asarray(Image.fromarray(alpha).resize((64, 64), Image.Resampling.BOX), np.float32)[None, None] / 255
    whole = graphs.cutout(photo, alpha), graphs.finish(small, alpha.shape, PLAIN, image=photo)
    monkeypatch.setattr(graphs, "STRIP_PIXELS", 1700)
    np.testing.assert_array_equal(graphs.cutout(photo, alpha), whole[0])
    np.testing.assert_array_equal(graphs.finish(small, alpha.shape, PLAIN, image=photo), whole[1])


def test_a_step_edge_comes_back_crisp_from_a_small_prediction() -> None:
    """An edge between two colours, predicted at a tenth of the size, lies on the pixel again, without stair steps."""
    y, x = np.mgrid[:640, :640]
    inside = x + 0.37 * y > 420
    photo = np.where(inside[..., None], [210, 180, 40], [30, 60, 120]).astype(np.uint8)
    small = inside.reshape(64, 10, 64, 10).mean((1, 3), dtype=np.float32)[None, None]
    alpha = graphs.finish(small, (640, 640), PLAIN, image=photo)
    resized = graphs.finish(small, (640, 640), PLAIN)
    right = np.where(inside, 255, 0)
    assert np.abs(alpha - right).mean() < np.abs(resized - right).mean() / 8


def test_a_prediction_that_is_not_smaller_is_left_alone() -> None:
    prediction = RNG.random((1, 1, 60, 80), dtype=np.float32)
    photo = RNG.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        graphs.finish(prediction, (60, 80), PLAIN, image=photo), graphs.finish(prediction, (60, 80), PLAIN)
    )


def test_nothing_is_added_where_the_network_saw_nothing() -> None:
    photo = RNG.integers(0, 256, (400, 500, 3), dtype=np.uint8)
    prediction = np.zeros((1, 1, 50, 50), np.float32)
    prediction[..., 20:30, 20:30] = 1
    alpha = graphs.finish(prediction, (400, 500), PLAIN, image=photo)
    assert not alpha[:120].any()
    assert not alpha[280:].any()
    assert (alpha[184:216, 230:270] == 255).all()


def test_refined_alpha_beats_bilinear_on_every_photo_with_a_true_matte(shared: Path) -> None:
    """Half of bilinear's error from 320 x 320, and no photo worse: the promise of docs/edges.md."""
    ours, theirs = [], []
    for photo, alpha, _ in truth.mattes(shared):
        small = truth.averaged(alpha, 320)[None, None]
        size = alpha.shape
        ours.append(np.abs(graphs.finish(small, size, PLAIN, image=photo) - alpha.astype(float)).sum())
        theirs.append(np.abs(graphs.finish(small, size, PLAIN) - alpha.astype(float)).sum())
    assert sum(ours) <= 0.5 * sum(theirs)
    assert max(a / b for a, b in zip(ours, theirs, strict=True)) <= 1.02


@pytest.mark.parametrize("size", [(1, 1), (7, 1), (1, 9), (333, 1201), (40, 300_000)])
def test_plain_copies_what_its_graph_gives(size: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    photo, alpha = random.integers(0, 256, (*size, 3), np.uint8), random.integers(0, 3, size, np.uint8)
    (expected,) = graphs._session("plain").run(None, {"image": photo, "alpha": alpha})
    np.testing.assert_array_equal(graphs.plain(photo, alpha), expected)


def refined_by_formula(photo: np.ndarray, model: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """What `refine` says it computes, pixel by pixel in float64: float [H, W] in levels, before rounding."""
    (height, width), (down, across) = photo.shape[:2], soft.shape
    y, x = (np.arange(height) + 0.5) * down / height - 0.5, (np.arange(width) + 0.5) * across / width - 0.5
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    rows = [np.clip(top + k, 0, down - 1)[:, None] for k in (0, 1)]
    columns = [np.clip(left + k, 0, across - 1)[None, :] for k in (0, 1)]
    weights = [[1 - (y - top), y - top], [1 - (x - left), x - left]]
    corners = [
        (r, c, weights[0][i][:, None] * weights[1][k]) for i, r in enumerate(rows) for k, c in enumerate(columns)
    ]
    local = sum(model.astype(np.float64)[:, r, c] * weight for r, c, weight in corners)
    fine = (local[:3] * photo.transpose(2, 0, 1)).sum(0) + 255 * local[3]
    coarse = 255 * model[3][(np.arange(height) * down // height)[:, None], np.arange(width) * across // width]
    touched = np.any([soft[r, c] for r, c, _ in corners], axis=0)
    return np.clip(np.where(touched, fine, coarse), 0, 255)


@pytest.mark.parametrize("size", [(97, 131), (64, 96), (300, 33), (40, 1)])
def test_refine_gives_its_formula(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "STRIP_PIXELS", 1700)
    y, x = np.mgrid[: size[0], : size[1]]
    photo = RNG.integers(0, 256, (*size, 3), dtype=np.uint8)
    photo[x + y > sum(size) / 2] //= 4
    seen = np.asarray(Image.fromarray(photo).convert("L").resize((24, 20)), np.float32)[None, None]
    prediction = np.clip((seen - 60) / 30, 0, 1).astype(np.float32)
    feed = {"activation": np.array(0), "classes": np.array([0]), "rescale": np.array(False)}
    feed |= {"prediction": prediction, "box": np.array([0, 0, 20, 24]), "image": photo}
    model, soft = graphs._session("guide").run(None, feed)
    assert soft.any()
    made = graphs.finish(prediction, size, PLAIN, image=photo)
    assert np.abs(made - refined_by_formula(photo, model, soft)).max() < 0.51


@pytest.mark.parametrize("size", [(97, 131), (64, 96), (300, 33), (40, 1)])
def test_cutout_gives_its_formula(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "STRIP_PIXELS", 1700)
    photo = RNG.integers(0, 256, (*size, 3), dtype=np.uint8)
    alpha = np.asarray(
        Image.fromarray(RNG.integers(-200, 456, (5, 6)).clip(0, 255).astype(np.uint8)).resize(size[::-1])
    )
    (colours,) = graphs._session("coarse").run(None, {"image": photo, "alpha": alpha})
    cells = colours.astype(np.float64)[
        :,
        (np.arange(size[0]) * colours.shape[1] // size[0])[:, None],
        np.arange(size[1]) * colours.shape[2] // size[1],
    ]
    a = alpha / 255
    miss = photo.transpose(2, 0, 1) - a * cells[:3] - (1 - a) * cells[3:]
    right = np.clip(cells[:3] + miss * a / (a * a + (1 - a) ** 2 + 0.01), 0, 255)
    right = np.where(alpha == 255, photo.transpose(2, 0, 1), np.where(alpha == 0, 0, right))
    assert np.abs(graphs.cutout(photo, alpha)[..., :3].transpose(2, 0, 1) - right).max() < 0.51


@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
def test_a_flat_photo_is_resized_in_fewer_strips_and_to_the_same_alpha(
    resample: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the photo is not higher than the prediction, strips of another size."""
    prediction = RNG.random((1, 1, 60, 40), dtype=np.float32)
    whole = graphs.finish(prediction, (50, 300), OutputSpec(resample=resample))
    monkeypatch.setattr(graphs, "WHOLE_STRIP_PIXELS", 300 * 7)
    np.testing.assert_array_equal(graphs.finish(prediction, (50, 300), OutputSpec(resample=resample)), whole)
