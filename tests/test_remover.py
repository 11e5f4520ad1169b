"""The pipeline with real weights."""

from __future__ import annotations

import io
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout import Remover, remove
from liftout.engines import run_once
from liftout.errors import ImageTooLarge, ImageUnreadable, ModelMissing, UnknownModel, UsageError
from liftout.models.add import add_onnx
from liftout.options import RunOptions


@pytest.fixture
def u2netp(shared: Path) -> str:
    return add_onnx("own-u2netp", shared / "data/weights/u2netp.onnx", like="u2netp", run=run_once).name


def iou(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a >= 128, b >= 128
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize(
    ("photo", "bar"), [("anime-girl-1", 0.97), ("car-1", 0.97), ("cloth-1", 0.97), ("plants-1", 0.90)]
)
def test_u2netp_agrees_with_the_alpha_that_rembg_stored(u2netp: str, shared: Path, photo: str, bar: float) -> None:
    folder = shared / "data/fixtures/rembg"
    stored = Image.open(folder / f"{photo}.u2netp.png")
    expected = np.asarray(stored if stored.mode == "L" else stored.convert("RGBA").getchannel("A"))
    with Remover(u2netp) as remover:
        assert iou(remover(folder / f"{photo}.jpg").alpha, expected) >= bar


def figures(model: str, folder: Path, photos: list[Path]) -> tuple[float, float]:
    """MAE and maxF (beta^2 = 0.3; precision and recall curves averaged over photos first)."""
    errors, precisions, recalls = [], [], []
    with Remover(model) as remover:
        for path, cutout in zip(photos, remover.map(photos), strict=True):
            with Image.open(folder / "masks" / f"{path.stem}.png") as mask:
                truth = np.asarray(mask.convert("L")) > 128
            errors.append(np.abs(cutout.alpha / 255 - truth).mean())
            alpha = cutout.alpha.astype(np.float64)
            span = alpha.max() - alpha.min()
            scaled = ((alpha - alpha.min()) / span * 255).astype(np.uint8) if span else cutout.alpha
            hits = np.bincount(scaled[truth], minlength=256)[::-1].cumsum()
            marked = np.bincount(scaled.ravel(), minlength=256)[::-1].cumsum()
            precisions.append(hits / np.maximum(marked, 1))
            recalls.append(hits / max(truth.sum(), 1))
    precision, recall = np.mean(precisions, axis=0), np.mean(recalls, axis=0)
    max_f = float((1.3 * precision * recall / np.maximum(0.3 * precision + recall, 1e-12)).max())
    return float(np.mean(errors)), max_f


@pytest.mark.long
def test_u2netp_reaches_its_published_figures_on_ecssd(u2netp: str, shared: Path) -> None:
    folder = shared / "data/eval/ecssd"
    mae, max_f = figures(u2netp, folder, sorted((folder / "images").glob("*.jpg")))
    assert mae <= 0.034
    assert max_f >= 0.952


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.long)])
def test_the_pocket_model_is_a_real_model(shared: Path, every: int) -> None:
    folder = shared / "data/eval/ecssd"
    mae, max_f = figures("pocket", folder, sorted((folder / "images").glob("*.jpg"))[::every])
    assert mae <= 0.12
    assert max_f >= 0.80


def test_every_kind_of_input_gives_the_same_cutout(examples: Path) -> None:
    path = examples / "cat.jpg"
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    with Remover() as remover:
        first = remover(path)
        for same in (str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), image, np.asarray(image)):
            assert np.array_equal(remover(same).rgba, first.rgba)
    assert np.array_equal(remove(path).rgba, first.rgba)


def test_a_photo_gives_the_same_alpha_from_several_threads(examples: Path) -> None:
    with Remover() as remover:
        expected = remover(examples / "coffee.jpg").alpha
        found: list[np.ndarray] = []
        threads = [
            threading.Thread(target=lambda: found.append(remover(examples / "coffee.jpg").alpha)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 4
    assert all(np.array_equal(alpha, expected) for alpha in found)


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (7, 5)])
def test_tiny_photos_are_cut_out_without_complaint(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert remove(image).rgba.shape == (*size, 4)


def test_hidden_colours_reach_neither_the_network_nor_the_result(examples: Path) -> None:
    with Image.open(examples / "cat.jpg") as opened:
        pixels = np.asarray(opened.convert("RGB"))
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:, :200] = 0
    alpha[:, 200:230] = 128
    loud = np.where(alpha[..., None] == 0, np.uint8(255), pixels)
    with Remover() as remover:
        quiet_cutout = remover(np.dstack([pixels, alpha]))
        loud_cutout = remover(np.dstack([loud, alpha]))
    assert np.array_equal(quiet_cutout.rgba, loud_cutout.rgba)
    assert quiet_cutout.alpha[:, :200].max() == 0
    assert quiet_cutout.alpha[:, 200:230].max() <= 128
    assert quiet_cutout.rgba[quiet_cutout.alpha == 0].max() == 0


def test_map_puts_an_error_in_the_place_of_a_bad_photo(examples: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((examples / "cat.jpg").read_bytes()[:5000])
    with Remover() as remover:
        results = list(remover.map([examples / "cat.jpg", broken, examples / "coffee.jpg"], errors="return"))
        assert [isinstance(result, ImageUnreadable) for result in results] == [False, True, False]
        with pytest.raises(ImageUnreadable, match=r"broken\.jpg"):
            list(remover.map([broken]))


def test_a_misspelt_model_is_answered_with_the_right_name() -> None:
    with pytest.raises(UnknownModel, match=r"did you mean .u2netp.\?"):
        Remover("u2-netp")


def test_a_remover_is_pickled_as_its_options(examples: Path) -> None:
    photo = examples / "cat.jpg"
    with Remover(edges="plain", threads=1) as remover, pickle.loads(pickle.dumps(remover)) as again:  # noqa: S301
        assert again.spec == remover.spec
        assert np.array_equal(again(photo).rgba, remover(photo).rgba)
        with pytest.raises(ImageTooLarge):
            pickle.loads(pickle.dumps(remover.with_options(RunOptions(max_pixels=100))))(photo)  # noqa: S301
        own = Remover.from_network(remover.spec, remover._network)
        for mine in (own, own.with_edges("plain")):
            with pytest.raises(UsageError, match="cannot be pickled; make one in the other process"):
                pickle.dumps(mine)


def test_wrong_options_are_named() -> None:
    with pytest.raises(UsageError, match="edges"):
        Remover(edges="soft")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="threads"):
        Remover(threads=0)
    with pytest.raises(TypeError, match="alpha_mating"):
        remove("x.jpg", alpha_mating=True)  # type: ignore[call-arg]


def test_a_model_that_is_not_here_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFTOUT_OFFLINE", "1")
    with pytest.raises(ModelMissing, match="u2netp"):
        Remover("u2netp")


def test_prompts_are_checked_against_the_photo(examples: Path) -> None:
    with pytest.raises(UsageError, match=r"drop `here` is not a point"):
        remove(examples / "cat.jpg", drop="here")
    with pytest.raises(UsageError, match=r"box has \(1, 2, 3\)"):
        remove(examples / "cat.jpg", box=(1, 2, 3))
