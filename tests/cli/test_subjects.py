"""`liftout cut --subjects`: how many of several subjects, and each as a file of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout.engines import run_once
from liftout.models.add import add_onnx
from tests.bright import discs, write_bright_network
from tests.command import liftout

CENTRES = [(40, 50), (140, 40), (170, 90)]
"""Of the subjects in the photo, the largest first."""


@pytest.fixture
def photo(tmp_path: Path, own_home: Path) -> Path:
    """Three discs, cut out by the model `bright`."""
    add_onnx("bright", write_bright_network(tmp_path / "bright.onnx"), like="u2netp", run=run_once)
    path = tmp_path / "photos" / "crowd.png"
    path.parent.mkdir()
    Image.fromarray(discs((200, 110), (*CENTRES[0], 30), (*CENTRES[1], 20), (*CENTRES[2], 10))).save(path)
    return path


def alphas_at_centres(path: Path) -> list[bool]:
    """At which centres a cutout is solid."""
    with Image.open(path) as image:
        alpha = image.convert("RGBA").getchannel("A")
    return [alpha.getpixel(centre) > 200 for centre in CENTRES]


def files(photo: Path) -> list[str]:
    return sorted(path.name for path in photo.parent.iterdir())


def test_each_subject_becomes_a_file_of_its_own(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("cut", photo, "-m", "bright", "--subjects", "each") == 0
    results = [photo.with_name(f"crowd-cutout-{number}.png") for number in (1, 2, 3)]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in results]
    assert [alphas_at_centres(path) for path in results] == np.eye(3, dtype=bool).tolist()
    assert liftout("cut", photo, "-m", "bright") == 0
    parts = [np.asarray(Image.open(path)) for path in results]
    np.testing.assert_array_equal(np.sum(parts, axis=0), np.asarray(Image.open(photo.with_name("crowd-cutout.png"))))


@pytest.mark.parametrize(
    ("count", "kept"), [("1", [1, 0, 0]), ("2", [1, 1, 0]), ("9", [1, 1, 1]), ("largest", [1, 0, 0])]
)
def test_so_many_of_the_largest_are_kept(photo: Path, count: str, kept: list[int]) -> None:
    assert liftout("cut", photo, "-m", "bright", "--subjects", count) == 0
    assert alphas_at_centres(photo.with_name("crowd-cutout.png")) == [bool(one) for one in kept]


def test_names_follow_the_output_and_its_format(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("-m", "bright", "--subjects", "each", "--crop")
    assert liftout("cut", photo, "-o", tmp_path / "new/part.webp", *options, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert [part["output"] for part in facts["outputs"]] == [str(tmp_path / f"new/part-{n}.webp") for n in (1, 2, 3)]
    assert "output" not in facts and (facts["width"], facts["format"]) == (200, "webp")
    for part in facts["outputs"]:
        left, top, right, bottom = part["box"]
        with Image.open(part["output"]) as image:
            assert (image.format, image.size) == ("WEBP", (right - left, bottom - top))
    assert sum(part["subject"] for part in facts["outputs"]) == pytest.approx(facts["subject"], abs=2e-4)
    twin = photo.parent / "twin/crowd.png"
    twin.parent.mkdir()
    twin.write_bytes(photo.read_bytes())
    assert liftout("cut", photo, twin, "-o", tmp_path / "masks", *options, "--mask", "--format", "jpeg") == 1
    assert "is already the result of" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == [f"crowd-mask-{n}.jpg" for n in (1, 2, 3)]


def test_one_file_that_exists_keeps_all_from_being_written(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ("cut", photo, "-m", "bright", "--subjects", "each")
    third = photo.with_name("crowd-cutout-3.png")
    third.write_bytes(b"precious")
    assert liftout(*call) == 1
    assert capsys.readouterr().err == f"liftout: {third}: already exists; give --overwrite, or give another -o\n"
    assert files(photo) == ["crowd-cutout-3.png", "crowd.png"]
    assert liftout(*call, "--overwrite") == 0
    assert third.read_bytes() != b"precious"


def test_a_photo_is_not_replaced_by_one_of_its_subjects(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = photo.rename(photo.with_name("crowd-2.png"))
    content = named.read_bytes()
    call = ("cut", named, "-m", "bright", "--subjects", "each", "-o", photo.with_name("crowd.png"), "--overwrite")
    assert liftout(*call) == 1
    assert "the result would replace the photo itself" in capsys.readouterr().err
    assert files(photo) == ["crowd-2.png"] and named.read_bytes() == content


def test_without_a_subject_the_empty_cutout_is_the_only_file(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(photo)
    assert liftout("cut", photo, "-m", "bright", "--subjects", "each") == 0
    assert "no subject was found" in capsys.readouterr().err
    assert files(photo) == ["crowd-cutout-1.png", "crowd.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--subjects", "some"), "'some' is not one of all, each, largest, or a whole number"),
        (("--subjects", "0"), "--subjects is 0; it must be at least 1"),
        (("--subjects", "1.5"), "'1.5' is not one of"),
        (("--subjects", "each", "-o", "-"), "standard output takes one; give -o DIR"),
    ],
)
def test_numbers_and_places_that_make_no_sense_are_wrong_usage(
    photo: Path, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert liftout("cut", photo, "-m", "bright", *arguments) == 2
    assert words in capsys.readouterr().err.splitlines()[0]
    assert files(photo) == ["crowd.png"]


def test_a_pipe_takes_no_parts(photo: Path) -> None:
    command = [sys.executable, "-m", "liftout", "cut", "-", "-m", "bright", "--subjects", "each"]
    ended = subprocess.run(command, input=photo.read_bytes(), capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"standard output takes one" in ended.stderr


def test_help_says_what_subjects_may_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("cut", "--help") == 0
    assert "--subjects all|each|largest|N" in capsys.readouterr().out
