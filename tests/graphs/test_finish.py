"""finish against torch and Pillow: every activation, rescaling and resampler, whole and in strips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from liftout import graphs
from liftout.errors import InputError
from liftout.models.spec import InputSpec, OutputSpec

RNG = np.random.default_rng(5)
MAP_SIZES = [(7, 9), (64, 48), (320, 320)]
RESAMPLERS = ["bilinear", "bilinear-antialias", "bicubic", "bilinear-corners"]
PHOTO_SIZES = [(1, 1), (3, 200), (64, 48), (333, 71), (700, 1100), (1500, 2000)]


def levels(values: np.ndarray) -> np.ndarray:
    return np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(int)


@pytest.mark.parametrize("source", MAP_SIZES)
@pytest.mark.parametrize("size", PHOTO_SIZES)
@pytest.mark.parametrize("resample", RESAMPLERS)
def test_resampling_is_that_of_torch_and_pillow(source: tuple[int, int], size: tuple[int, int], resample: str) -> None:
    prediction = RNG.random((1, 1, *source), dtype=np.float32)
    if resample in ("bilinear", "bilinear-corners"):
        tensor, corners = torch.from_numpy(prediction), resample == "bilinear-corners"
        enlarged = torch.nn.functional.interpolate(tensor, size=size, mode="bilinear", align_corners=corners)
        expected = enlarged[0, 0].numpy()
    else:
        filter_ = Image.Resampling.BICUBIC if resample == "bicubic" else Image.Resampling.BILINEAR
        expected = np.asarray(Image.fromarray(prediction[0, 0]).resize(size[::-1], filter_))
    difference = np.abs(graphs.finish(prediction, size, OutputSpec(resample=resample)) - levels(expected))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 0.002


def test_sigmoid_is_applied_before_resizing() -> None:
    logits = RNG.normal(0, 3, (1, 1, 40, 40)).astype(np.float32)
    expected = levels(torch.sigmoid(torch.from_numpy(logits))[0, 0].numpy())
    assert np.abs(graphs.finish(logits, (40, 40), OutputSpec(activation="sigmoid")) - expected).max() <= 1


def test_argmax_keeps_the_chosen_classes() -> None:
    logits = RNG.normal(size=(1, 4, 30, 20)).astype(np.float32)
    alpha = graphs.finish(logits, (30, 20), OutputSpec(activation="argmax", classes=(1, 3)))
    assert np.array_equal(alpha == 255, np.isin(logits.argmax(1)[0], [1, 3]))
    assert set(np.unique(alpha)) <= {0, 255}


def test_min_max_after_resizing_reads_the_range_of_the_whole_photo_not_of_a_strip() -> None:
    prediction = (RNG.random((1, 1, 64, 64), dtype=np.float32) * 0.6 + 0.1).astype(np.float32)
    size = (2000, 3000)
    spec = OutputSpec(rescale="minmax", rescale_when="after-resize", quantize="truncate")
    assert len(list(graphs.strips(size))) > 1
    resized = torch.nn.functional.interpolate(torch.from_numpy(prediction), size=size, mode="bilinear")[0, 0]
    expected = ((resized - resized.min()) / (resized.max() - resized.min()) * 255).numpy().astype(np.uint8).astype(int)
    difference = np.abs(graphs.finish(prediction, size, spec) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_min_max_before_resizing_stretches_the_prediction_itself() -> None:
    prediction = (RNG.random((1, 1, 32, 32), dtype=np.float32) * 0.5).astype(np.float32)
    stretched = (prediction - prediction.min()) / (prediction.max() - prediction.min())
    alpha = graphs.finish(prediction, (32, 32), OutputSpec(rescale="minmax", rescale_when="before-resize"))
    assert np.abs(alpha - levels(stretched[0, 0])).max() <= 1


@pytest.mark.parametrize("when", ["before-resize", "after-resize"])
@pytest.mark.parametrize("level", [0.0, 0.02, 0.5, 1.0])
def test_a_flat_prediction_gives_an_empty_alpha_under_min_max(when: str, level: float) -> None:
    prediction = np.full((1, 1, 16, 16), level, np.float32)
    prediction[0, 0, 3, 3] += 0.04 if level < 1 else -0.04
    assert graphs.finish(prediction, (50, 50), OutputSpec(rescale="minmax", rescale_when=when)).max() == 0


def test_rounding_and_truncation_differ_as_they_say() -> None:
    prediction = np.full((1, 1, 2, 2), 100.7 / 255, np.float32)
    assert graphs.finish(prediction, (2, 2), OutputSpec(quantize="round")).max() == 101
    assert graphs.finish(prediction, (2, 2), OutputSpec(quantize="truncate")).max() == 100


@pytest.mark.parametrize("resample", RESAMPLERS)
def test_strips_give_the_same_alpha_as_the_whole(resample: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction = RNG.random((1, 1, 40, 50), dtype=np.float32)
    whole = graphs.finish(prediction, (300, 200), OutputSpec(resample=resample))
    monkeypatch.setattr(graphs, "STRIP_PIXELS", 200 * 7)
    assert np.array_equal(graphs.finish(prediction, (300, 200), OutputSpec(resample=resample)), whole)


def test_a_letterboxed_photo_gets_its_own_part_of_the_prediction() -> None:
    image = RNG.integers(0, 256, (300, 100, 3), dtype=np.uint8)
    _, box = graphs.prepare(image, InputSpec(size=(96, 96), fit="letterbox"))
    top, left, height, width = box.tolist()
    prediction = np.ones((1, 1, 96, 96), np.float32)
    prediction[0, 0, top : top + height, left : left + width] = 0.25
    alpha = graphs.finish(prediction, (300, 100), OutputSpec(), box=box)
    assert alpha.shape == (300, 100)
    assert set(np.unique(alpha)) == {64}


def test_values_that_are_not_numbers_are_an_error_not_an_alpha() -> None:
    prediction = np.full((1, 1, 4, 4), np.nan, np.float32)
    with pytest.raises(InputError, match="not numbers"):
        graphs.finish(prediction, (4, 4), OutputSpec())
