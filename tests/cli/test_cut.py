"""`liftout cut` as a user runs it: real files, real processes where streams matter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import liftout
from tests.images.pictures import raw_png


@pytest.fixture
def photo(examples: Path, tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "cat.jpg"
    path.parent.mkdir()
    path.write_bytes((examples / "cat.jpg").read_bytes())
    return path


def piped(*arguments: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "liftout", *arguments], input=content, capture_output=True, check=False
    )


def test_a_photo_becomes_a_cutout_beside_it(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout(photo) == 0
    result = photo.with_name("cat-cutout.png")
    assert capsys.readouterr().out == f"{result}\n"
    with Image.open(result) as image:
        rgba = np.asarray(image)
    assert rgba.shape == (300, 451, 4)
    assert rgba[rgba[..., 3] == 0].max() == 0


def test_options_may_stand_before_the_photo(photo: Path) -> None:
    assert liftout("--mask", photo) == 0
    with Image.open(photo.with_name("cat-mask.png")) as image:
        assert image.mode == "L"


def test_an_existing_result_is_kept_unless_overwrite_is_given(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = photo.with_name("cat-cutout.png")
    result.write_bytes(b"precious")
    assert liftout("cut", photo) == 1
    assert "give --overwrite" in capsys.readouterr().err
    assert result.read_bytes() == b"precious"
    assert liftout("cut", photo, "--overwrite") == 0
    assert result.read_bytes() != b"precious"


def test_a_bad_photo_leaves_no_file_and_does_not_stop_the_others(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = photo.with_name("bad.jpg")
    bad.write_bytes(photo.read_bytes()[:4000])
    empty = photo.with_name("empty.png")
    empty.touch()
    assert liftout("cut", bad, photo, empty, photo.with_name("gone.jpg")) == 1
    errors = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in errors] == ["liftout"] * 3
    assert "bad.jpg" in errors[0]
    assert "empty.png: is empty" in errors[1]
    assert "gone.jpg: no such file" in errors[2]
    assert sorted(path.name for path in photo.parent.iterdir()) == ["bad.jpg", "cat-cutout.png", "cat.jpg", "empty.png"]


def test_a_photo_of_an_impossible_shape_is_one_line_and_the_others_are_cut(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = photo.with_name("line.png")
    line.write_bytes(raw_png(1, 20_000_000, 8, 0, bytes(200)))
    assert liftout("cut", line, photo, "--max-pixels", "50000000") == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"liftout: {line}: 1 x 20000000 pixels; a side may have at most 65535")
    assert photo.with_name("cat-cutout.png").exists()


def test_two_photos_with_one_name_do_not_become_one_file(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = tmp_path / "cat.png"
    with Image.open(photo) as image:
        image.resize((50, 40)).save(twin)
    assert liftout("cut", photo, twin, "-o", tmp_path / "out", "--overwrite") == 1
    assert "is the result of" in capsys.readouterr().err
    with Image.open(tmp_path / "out/cat-cutout.png") as image:
        assert image.size == (451, 300)


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "PNG"), ("a.webp", "WEBP"), ("a.avif", "AVIF"), ("a.tif", "TIFF")]
)
def test_the_suffix_of_the_output_chooses_the_format(photo: Path, name: str, kind: str) -> None:
    assert liftout("cut", photo, "-o", photo.with_name(name)) == 0
    with Image.open(photo.with_name(name)) as image:
        assert (image.format, image.mode) == (kind, "RGBA")


def test_jpeg_goes_over_white_and_says_so(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("cut", photo, "--format", "jpeg") == 0
    assert "placed over white" in capsys.readouterr().err
    with Image.open(photo.with_name("cat-cutout.jpg")) as image:
        assert image.format == "JPEG"


def test_a_background_given_by_the_user_is_not_commented_on(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("cut", photo, "--format", "jpeg", "--background", "#102030") == 0
    assert capsys.readouterr().err == ""
    with Image.open(photo.with_name("cat-cutout.jpg")) as image:
        assert image.mode == "RGB"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "out.xyz"], "names no format"),
        (["--background", "no-such-colour"], "neither a colour nor a file"),
        (["--quality", "0"], "1<=x<=100"),
        (["--bogus"], "--bogus"),
        (["-m", "u2-netp"], "did you mean `u2netp`"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    photo: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert liftout("cut", photo, *arguments) == 2
    assert words in capsys.readouterr().err.splitlines()[0]
    assert [path.name for path in photo.parent.iterdir()] == ["cat.jpg"]


def test_several_photos_cannot_become_one_file(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("cut", photo, photo, "-o", "one.png") == 2
    assert "give -o DIR" in capsys.readouterr().err


def test_json_is_one_object_per_photo(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = photo.with_name("bad.jpg")
    bad.write_bytes(b"not a photo")
    assert liftout("cut", bad, photo, "--json") == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert "not an image" in first["error"]
    assert second["output"] == str(photo.with_name("cat-cutout.png"))
    assert (second["width"], second["height"], second["format"]) == (451, 300, "png")


def test_stdin_to_stdout(photo: Path) -> None:
    ended = piped("-", content=photo.read_bytes())
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(b"\x89PNG")
    file_ended = piped("cut", str(photo), "-o", "-")
    assert file_ended.stdout == ended.stdout


def test_a_folder_as_input_names_the_command_for_folders(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("cut", photo.parent) == 1
    assert "folder" in capsys.readouterr().err


def test_debug_shows_the_traceback(photo: Path) -> None:
    ended = piped("cut", str(photo.with_name("gone.jpg")), "--debug")
    assert b"Traceback" in ended.stderr
    assert b"Traceback" not in piped("cut", str(photo.with_name("gone.jpg"))).stderr


def test_crop_keeps_the_margin_around_the_subject(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("cut", photo, "--crop", "--margin", "3", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    left, top, right, bottom = report["box"]
    with Image.open(report["output"]) as image:
        assert image.size[0] == min(451, right + 3) - max(0, left - 3)
        assert image.size[1] == min(300, bottom + 3) - max(0, top - 3)


def test_several_photos_are_told_and_written_in_their_order_whatever_goes_wrong_between(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from liftout.errors import EngineError
    from liftout.remover import Remover

    names = ["cat", "broken", "coffee", "kept", "unlucky", "astronaut", "officer"]
    for name in names:
        source = examples / f"{name}.jpg"
        content = source.read_bytes() if source.exists() else (examples / "cat.jpg").read_bytes()
        (tmp_path / f"{name}.jpg").write_bytes(b"no photo" if name == "broken" else content)
    (tmp_path / "kept-cutout.png").write_bytes(b"precious")
    usual, seen = Remover._predicted, []

    def predicted(self: Remover, prepared: object) -> object:
        seen.append(prepared.photo.size)  # type: ignore[attr-defined]
        if len(seen) == 3:  # cat, coffee, then this: the one called unlucky
            raise EngineError("unlucky: the engine gave up")
        return usual(self, prepared)  # type: ignore[arg-type]

    monkeypatch.setattr(Remover, "_predicted", predicted)
    assert liftout("cut", "--json", *[tmp_path / f"{name}.jpg" for name in names]) == 1
    out, err = capsys.readouterr()
    reports = [json.loads(line) for line in out.splitlines()]
    assert [Path(report["input"]).stem for report in reports] == names
    assert [Path(report["input"]).stem for report in reports if "error" in report] == ["broken", "kept", "unlucky"]
    assert err.count("\n") == 3
    assert (tmp_path / "kept-cutout.png").read_bytes() == b"precious"
    for name in ("cat", "coffee", "astronaut", "officer"):
        with Image.open(tmp_path / f"{name}-cutout.png") as image, Image.open(tmp_path / f"{name}.jpg") as photo:
            assert image.size == photo.size
