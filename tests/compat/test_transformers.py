"""The pipeline with Hugging Face's shape."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout import remove
from liftout.compat.transformers import ImageSegmentationPipeline, pipeline
from liftout.errors import ImageUnreadable, UsageError


@pytest.fixture(scope="module")
def segment() -> Iterator[ImageSegmentationPipeline]:
    with pipeline("image-segmentation") as made:
        yield made


def test_a_photo_gives_one_dict_with_its_alpha(segment: ImageSegmentationPipeline, examples: Path) -> None:
    (found,) = segment(str(examples / "cat.jpg"))
    assert list(found) == ["score", "label", "mask"]
    assert (found["score"], found["label"]) == (None, "foreground")
    mask = found["mask"]
    assert isinstance(mask, Image.Image)
    assert mask.mode == "L"
    np.testing.assert_array_equal(np.asarray(mask), remove(examples / "cat.jpg").alpha)


def test_every_kind_of_photo_gives_the_same(segment: ImageSegmentationPipeline, examples: Path) -> None:
    cat = examples / "cat.jpg"
    with Image.open(cat) as opened:
        image = opened.convert("RGB")
    expected = np.asarray(segment(image)[0]["mask"])
    with cat.open("rb") as stream:
        for photo in (cat, cat.read_bytes(), np.asarray(image), stream, {"bytes": cat.read_bytes(), "path": None}):
            np.testing.assert_array_equal(np.asarray(segment(photo)[0]["mask"]), expected)


def test_several_photos_give_several_lists(segment: ImageSegmentationPipeline, examples: Path) -> None:
    names = ["cat.jpg", "coffee.jpg"]
    found = segment([examples / name for name in names])
    assert isinstance(found, list)
    streamed = segment(examples / name for name in names)
    assert isinstance(streamed, Iterator)
    for one, two, name in zip(found, streamed, names, strict=True):
        with Image.open(examples / name) as photo:
            assert one[0]["mask"].size == two[0]["mask"].size == photo.size
        assert one[0]["mask"].tobytes() == two[0]["mask"].tobytes()
    batch = np.zeros((2, 40, 50, 3), np.uint8)
    assert len(list(segment(batch))) == 2


def test_a_threshold_makes_the_mask_hard(segment: ImageSegmentationPipeline, examples: Path) -> None:
    soft = np.asarray(segment(examples / "cat.jpg")[0]["mask"])
    hard = np.asarray(segment(examples / "cat.jpg", mask_threshold=0.5)[0]["mask"])
    np.testing.assert_array_equal(hard, np.where(soft >= 128, 255, 0))


def test_what_cannot_be_done_is_said(segment: ImageSegmentationPipeline, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="task is 'depth-estimation'; it must be 'image-segmentation'"):
        pipeline("depth-estimation")
    with pytest.raises(UsageError, match="subtask is 'panoptic'"):
        segment("a.jpg", subtask="panoptic")
    with pytest.raises(UsageError, match="mask_threshold is 2"):
        segment("a.jpg", mask_threshold=2)
    with pytest.raises(ImageUnreadable, match="no such file"):
        segment(tmp_path / "missing.jpg")


@pytest.mark.parametrize(("device", "found"), [(None, "cpu"), (-1, "cpu"), ("cpu", "cpu"), ("cpu:0", "cpu")])
def test_devices_are_named_as_there(device: int | str | None, found: str) -> None:
    with pipeline(device=device) as made:
        assert made.remover.device == found


def test_it_needs_neither_transformers_nor_torch() -> None:
    code = "import sys, liftout.compat.transformers; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
