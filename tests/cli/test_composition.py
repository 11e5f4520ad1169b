"""Composition and fidelity as a user runs them."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from liftout.images import decode, encode, format_of
from tests.command import liftout
from tests.images import pictures


@pytest.fixture
def photo(examples: Path, tmp_path: Path) -> Path:
    path = tmp_path / "coffee.jpg"
    Image.open(examples / "coffee.jpg").resize((150, 100)).save(path, icc_profile=pictures.profile(), dpi=(200, 200))
    return path


def test_a_product_shot_has_the_size_that_was_asked_for(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "shop.jpg"
    options = ("--canvas", "90x120", "--margin", 8, "--position", "bottom", "--shadow", "--subjects", "largest")
    assert liftout(photo, "-o", out, *options, "--background", "#f4f1ec", "--fill-holes", "--feather", 1) == 0
    with Image.open(out) as image:
        assert image.size == (90, 120)
        assert image.info["icc_profile"] == pictures.profile() and image.info["dpi"] == (200, 200)
    plain = decode(np.full((1, 1, 3), (0xF4, 0xF1, 0xEC), np.uint8))
    found = decode(out).seen_by_network()[2, 2].astype(int)
    assert np.abs(found - plain.pixels[0, 0]).max() <= 3


def test_a_threshold_leaves_two_alphas(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "hard.png"
    assert liftout(photo, "-o", out, "--threshold", 128, "--mask") == 0
    assert set(np.unique(np.asarray(Image.open(out)))) <= {0, 255}


def test_the_photo_out_of_focus_is_a_background(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "blur.png"
    assert liftout(photo, "-o", out, "--background", "blur:12") == 0
    with Image.open(out) as image:
        assert image.mode == "RGB" and image.size == (150, 100)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--canvas", "big", "canvas `big` is not a size"), ("--canvas", "60000x60000", "200 megapixels"),
        ("--background", "blur:x", "radius"), ("--threshold", "0", "threshold"), ("--position", "middle", "position"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_wrong_usage(
    photo: Path, option: str, value: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert liftout(photo, option, value) == 2
    assert says in capsys.readouterr().err
    assert list(photo.parent.iterdir()) == [photo]


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bits_stay_16(photo: Path, tmp_path: Path, suffix: str) -> None:
    levels = decode(photo).pixels.astype(np.uint16) * 257 // 3 + 11
    source, out = tmp_path / f"deep.{suffix}", tmp_path / f"out.{suffix}"
    source.write_bytes(encode(levels, format_of(suffix), icc=pictures.profile()))
    assert liftout(source, "-o", out) == 0
    found = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    assert found.dtype == np.uint16
    opaque = found[..., 3] == 65535
    np.testing.assert_array_equal(found[..., 2::-1][opaque], levels[opaque])


def test_heic_without_its_extra_is_status_3_and_the_others_are_done(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(100))
    assert liftout(path, photo) == 3
    said = capsys.readouterr()
    assert "pip install 'liftout[heif]'" in said.err
    assert said.out == f"{photo.with_name('coffee-cutout.png')}\n"
