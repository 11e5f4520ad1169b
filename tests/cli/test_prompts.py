"""`--keep`, `--drop` and `--box` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from liftout import Remover
from liftout.engines import run_once
from liftout.models.add import add_onnx
from tests.bright import discs, write_bright_network
from tests.command import liftout

LEFT, RIGHT = (50, 60), (150, 50)
"""Centres of the subjects in the photo."""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "pair.png"
    path.parent.mkdir()
    Image.fromarray(discs((200, 120), (*LEFT, 30), (*RIGHT, 25))).save(path)
    return path


@pytest.fixture
def bright(tmp_path: Path, own_home: Path) -> str:
    return add_onnx("bright", write_bright_network(tmp_path / "bright.onnx"), like="u2netp", run=run_once).name


@pytest.mark.parametrize(
    ("arguments", "prompts"),
    [
        (("--keep", "50,60"), {"keep": [LEFT]}),
        (("--keep", "25%,50%"), {"keep": [LEFT]}),
        (("--keep", "50,60", "--keep", "75%,50", "--drop", "100,5"), {"keep": [LEFT, RIGHT], "drop": [(100, 5)]}),
        (("--drop", "150,50"), {"drop": [RIGHT]}),
        (("--box", "10,20,45%,95"), {"box": (10, 20, 90, 95)}),
    ],
)
def test_points_and_boxes_are_those_of_python(photo: Path, arguments: tuple[str, ...], prompts: dict[str, Any]) -> None:
    assert liftout("cut", photo, *arguments) == 0
    with Remover() as remover:
        expected = remover(photo, **prompts).to_bytes("png")
    assert photo.with_name("pair-cutout.png").read_bytes() == expected


@pytest.mark.parametrize(("at", "empty"), [(LEFT, RIGHT), (RIGHT, LEFT)])
def test_a_point_chooses_among_what_another_model_finds(
    photo: Path, bright: str, at: tuple[int, int], empty: tuple[int, int]
) -> None:
    assert liftout("cut", photo, "-m", bright, "--mask") == 0
    assert liftout("cut", photo, "-m", bright, "--keep", "{},{}".format(*at), "-o", photo.with_name("one.png")) == 0
    both = Image.open(photo.with_name("pair-mask.png"))
    one = Image.open(photo.with_name("one.png")).getchannel("A")
    assert min(both.getpixel(LEFT), both.getpixel(RIGHT)) > 200  # type: ignore[type-var]
    assert one.getpixel(at) == both.getpixel(at) and one.getpixel(empty) == 0


def test_prompts_hold_for_every_photo_and_one_that_they_do_not_fit_fails_alone(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, turned = photo.with_name("small.png"), photo.with_name("turned.png")
    Image.fromarray(discs((40, 30), (20, 15, 8))).save(small)
    Image.fromarray(discs((200, 160), (*LEFT, 30))).save(turned)
    assert liftout("cut", photo, small, turned, "--keep", "50,60") == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [str(path.with_name(f"{path.stem}-cutout.png")) for path in (photo, turned)]
    assert said.err == (
        f"liftout: {small}: --keep 50,60 lies outside the photo, which is 40x30 pixels; x goes from 0 to 40, y from 0 to 30\n"
    )
    assert not small.with_name("small-cutout.png").exists()


def test_pixels_are_those_of_the_upright_photo(tmp_path: Path) -> None:
    pixels = discs((200, 120), (*LEFT, 30), (*RIGHT, 25))
    upright, turned = tmp_path / "upright.png", tmp_path / "turned.png"
    Image.fromarray(pixels).save(upright)
    exif = Image.Exif()
    exif[274] = 6  # to be turned to the right
    Image.fromarray(np.rot90(pixels).copy()).save(turned, exif=exif)
    for path in (upright, turned):
        assert liftout("cut", path, "--keep", "150,50", "--mask", "--metadata", "none") == 0
    found = [np.asarray(Image.open(tmp_path / f"{name}-mask.png")) for name in ("upright", "turned")]
    np.testing.assert_array_equal(*found)


def test_subjects_and_prompts_go_together(photo: Path, bright: str) -> None:
    call = ("cut", photo, "-m", bright, "--keep", "50,60", "--keep", "150,50")
    assert liftout(*call, "--subjects", "each") == 0
    first, second = (Image.open(photo.with_name(f"pair-cutout-{n}.png")).getchannel("A") for n in (1, 2))
    assert first.getpixel(LEFT) == second.getpixel(RIGHT) == 255
    assert first.getpixel(RIGHT) == second.getpixel(LEFT) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--keep", "50"), "--keep `50` is not a point; give X,Y in pixels or percent"),
        (("--keep", "50,60", "--keep", "a,b"), "--keep `a,b` is not a point"),
        (("--drop", "1,2,3"), "--drop `1,2,3` is not a point"),
        (("--box", "1,2,3"), "--box `1,2,3` is not a box; give LEFT,TOP,RIGHT,BOTTOM"),
        (("--keep", ""), "--keep `` is not a point"),
    ],
)
def test_what_is_no_point_or_box_is_wrong_usage_in_one_line(
    photo: Path, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert liftout("cut", photo, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert [path.name for path in photo.parent.iterdir()] == ["pair.png"]


def test_a_film_has_no_room_for_each_subject(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av", reason="needs PyAV (extra video)")
    frames = [Image.fromarray(discs((64, 48), (20 + shift, 20, 12))) for shift in range(3)]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:], duration=40)
    assert liftout("video", tmp_path / "clip.gif", "--subjects", "each") == 2
    assert "--subjects is each, which gives a picture of each subject" in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("clip*")] == ["clip.gif"]


def test_help_shows_the_prompts(capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("cut", "--help") == 0
    shown = capsys.readouterr().out
    assert "--keep X,Y" in shown and "--drop X,Y" in shown and "--box LEFT,TOP,RIGHT,BOTTOM" in shown
    assert liftout("video", "--help") == 0
    assert "--keep [TIME:]X,Y" in capsys.readouterr().out
