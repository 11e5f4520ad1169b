"""prepare against Pillow and torch, on odd sizes, up and down."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch
from PIL import Image

from liftout import graphs
from liftout.errors import InputError
from liftout.models.spec import InputSpec

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
SIZES = [
    (1, 1),
    (1, 7),
    (3, 2),
    (37, 53),
    (480, 360),
    (360, 480),
    (1023, 1025),
    (1481, 987),
    (1080, 1920),
    (4000, 6000),
]


@functools.lru_cache(maxsize=2)
def photo(height: int, width: int) -> np.ndarray:
    """Smooth octaves of noise with a little grain, as a photo has."""
    rng = np.random.default_rng(height * 7919 + width)
    image = np.zeros((height, width, 3))
    for cells, weight in ((4, 0.6), (24, 0.3)):
        grid = Image.fromarray((rng.random((cells, cells, 3)) * 255).astype(np.uint8))
        image += weight * np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def interpolated(image: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    planes = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    return torch.nn.functional.interpolate(planes, size=size, mode="bilinear", align_corners=False)


def simple(source: int, target: int) -> bool:
    """Whether the ratio has so small a denominator that rounding ties are common."""
    return min(source, target) // math.gcd(source, target) <= 128


PAIRS = [(source, size) for source in SIZES for size in [(320, 320), (1024, 1024), (352, 224)]]
PAIRS += [((4000, 6000), (320, 320)), ((4000, 6000), (1024, 1024))]


@pytest.mark.parametrize(("source", "size"), PAIRS)
def test_antialiased_bilinear_is_pillows_within_a_level(source: tuple[int, int], size: tuple[int, int]) -> None:
    image = photo(*source)
    tensor, _ = graphs.prepare(image, InputSpec(size=size, **PLAIN))
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)).astype(int)
    difference = np.abs(np.rint(tensor[0].transpose(1, 2, 0) * 255).astype(int) - expected)
    tie = simple(source[0], size[0]) or simple(source[1], size[1])
    assert difference.max() <= 1
    assert (difference > 0).mean() <= (0.25 if tie else 0.005)


@pytest.mark.parametrize(("source", "size"), PAIRS)
def test_bilinear_is_torchs_interpolate(source: tuple[int, int], size: tuple[int, int]) -> None:
    image = photo(*source)
    tensor, _ = graphs.prepare(image, InputSpec(size=size, resample="bilinear", **PLAIN))
    assert np.abs(tensor - interpolated(image, size).numpy() / 255).max() <= 5e-4


@pytest.mark.parametrize("source", [(1, 7), (37, 53), (480, 360), (360, 480), (700, 300), (1023, 1025)])
def test_lanczos_is_pillows_within_a_level(source: tuple[int, int]) -> None:
    image = photo(*source)
    tensor, box = graphs.prepare(image, InputSpec(size=(256, 224), resample="lanczos", **PLAIN))
    expected = np.asarray(Image.fromarray(image).resize((224, 256), Image.Resampling.LANCZOS)).astype(int)
    difference = np.abs(np.rint(tensor[0].transpose(1, 2, 0) * 255).astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 0.005
    assert box.tolist() == [0, 0, 256, 224]


def test_truncation_cuts_to_whole_levels_as_the_authors_cast_does() -> None:
    image = photo(500, 333)
    spec = InputSpec(size=(320, 320), resample="bilinear", quantize="truncate", **PLAIN)
    levels = graphs.prepare(image, spec)[0] * 255
    expected = interpolated(image, (320, 320)).type(torch.uint8).numpy()
    assert np.abs(levels - np.rint(levels)).max() < 1e-4
    assert (np.rint(levels) != expected).mean() < 1e-4


def test_scale_max_divides_by_the_largest_resized_level() -> None:
    image = photo(200, 300) // 3
    spec = InputSpec(size=(320, 320), resample="bilinear", scale="max", **PLAIN)
    expected = interpolated(image, (320, 320)).numpy()
    assert np.abs(graphs.prepare(image, spec)[0] - expected / expected.max()).max() < 5e-4


def test_a_black_photo_gives_zeros_under_scale_max() -> None:
    tensor, _ = graphs.prepare(np.zeros((9, 9, 3), np.uint8), InputSpec(size=(32, 32), scale="max", **PLAIN))
    assert np.isfinite(tensor).all()
    assert tensor.max() == 0


def test_mean_and_std_are_applied_per_channel() -> None:
    image = photo(64, 64)
    spec = InputSpec(size=(64, 64))
    expected = (image / 255 - np.array(spec.mean)) / np.array(spec.std)
    assert np.abs(graphs.prepare(image, spec)[0][0].transpose(1, 2, 0) - expected).max() < 1e-5


@pytest.mark.parametrize("source", [(600, 300), (300, 600), (400, 400), (1, 900), (997, 13)])
@pytest.mark.parametrize("resample", ["bilinear", "bilinear-antialias"])
def test_letterbox_keeps_the_aspect_and_centres_on_zeros(source: tuple[int, int], resample: str) -> None:
    height, width = source
    image = np.maximum(photo(height, width), 1)
    spec = InputSpec(size=(256, 256), fit="letterbox", resample=resample, **PLAIN)
    tensor, box = graphs.prepare(image, spec)
    top, left, inner_height, inner_width = box.tolist()
    longest = max(height, width)
    assert inner_height == max(1, height * 256 // longest)
    assert inner_width == max(1, width * 256 // longest)
    assert (top, left) == ((256 - inner_height) // 2, (256 - inner_width) // 2)
    inside = tensor[0, :, top : top + inner_height, left : left + inner_width]
    assert inside.min() > 0
    outside = tensor.copy()
    outside[0, :, top : top + inner_height, left : left + inner_width] = 0
    assert np.abs(outside).max() == 0
    stretched, _ = graphs.prepare(image, InputSpec(size=(inner_height, inner_width), resample=resample, **PLAIN))
    assert np.array_equal(inside, stretched[0])


def test_anything_but_an_rgb_photo_is_refused() -> None:
    with pytest.raises(InputError, match="uint8"):
        graphs.prepare(np.zeros((4, 4), np.uint8), InputSpec(size=(8, 8)))


@pytest.mark.parametrize("size", [(32, 64), (90, 30), (64, 64)])
@pytest.mark.parametrize("mean", [(0.0, 0.0, 0.0), (0.485, 0.456, 0.406)])
def test_the_box_of_a_letterboxed_photo_is_read_back_from_the_tensor(
    size: tuple[int, int], mean: tuple[float, float, float]
) -> None:
    spec = InputSpec(size=(64, 64), fit="letterbox", resample="bilinear", mean=mean)
    tensor, box = graphs.prepare(np.full((*size, 3), 200, np.uint8), spec)
    assert graphs.photo_box(tensor, spec).tolist() == box.tolist()
    assert graphs.photo_box(tensor, InputSpec(size=(64, 64))).tolist() == [0, 0, 64, 64]
