"""`liftout cut` as a user runs it: real files, real processes where streams matter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import liftout
from tests.images.pictures import raw_png
from tests.terminal import on_terminal


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
    assert "is already the result of" in capsys.readouterr().err
    with Image.open(tmp_path / "out/cat-cutout.png") as image:
        assert image.size == (451, 300)


def test_a_photo_is_done_where_another_one_of_its_name_is_broken(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twins = [photo.with_name(name) for name in ("a.jpg", "a.png", "a.webp")]
    with Image.open(photo) as image:
        for twin in twins:
            image.resize((50, 40)).save(twin)
    twins[0].write_bytes(photo.read_bytes()[:4000])
    for more, status in (((), 1), (("--overwrite",), 1)):
        assert liftout("cut", *twins, "-o", tmp_path / "out", *more) == status
        told, errors = capsys.readouterr()
        result = tmp_path / "out/a-cutout.png"
        assert told == f"{result}\n"
        first, second = errors.splitlines()
        assert "a.jpg" in first
        assert "truncated" in first
        assert second == f"liftout: {twins[2]}: {result} is already the result of {twins[1]}; give another -o"
        with Image.open(result) as image:
            assert image.size == (50, 40)
        result.unlink()


def test_a_photo_is_never_replaced_by_its_own_result(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = photo.read_bytes()
    link = photo.with_name("link.jpg")
    link.symlink_to(photo)
    for output in (photo, link, photo.parent / "../photos/cat.jpg"):
        for more in ((), ("--overwrite",)):
            assert liftout("cut", photo, "-o", output, *more) == 1
            err = capsys.readouterr().err
            assert err == f"liftout: {photo}: the result would replace the photo itself; give another -o\n"
    assert photo.read_bytes() == content
    assert link.is_symlink()


def test_a_background_is_never_replaced_by_a_result(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    behind = photo.with_name("sky.png")
    Image.new("RGB", (9, 9), "navy").save(behind)
    content = behind.read_bytes()
    assert liftout("cut", photo, "--background", behind, "-o", behind, "--overwrite") == 1
    assert "would replace the background" in capsys.readouterr().err
    assert behind.read_bytes() == content


def test_a_folder_that_is_not_there_is_made_for_the_result(photo: Path) -> None:
    assert liftout("cut", photo, "-o", photo.parent / "new/deep/out.webp") == 0
    with Image.open(photo.parent / "new/deep/out.webp") as image:
        assert image.format == "WEBP"


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be there")
def test_a_name_with_a_line_break_stays_on_its_line(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = photo.rename(photo.with_name("one\ntwo\x1b[31m.jpg"))
    assert liftout("cut", odd) == 0
    assert capsys.readouterr().out == f"{photo.parent}/one\\ntwo\\x1b[31m-cutout.png\n"
    assert liftout("cut", odd) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert liftout("bench", f"{photo.parent}/no\nsuch.jpg") == 2
    assert "no\\nsuch.jpg" in capsys.readouterr().err.splitlines()[0]


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_no_text_can_be_printed(photo: Path) -> None:
    odd = photo.rename(os.fsdecode(os.fsencode(photo.parent) + b"/\xff.jpg"))
    for more in (("--json",), ("--overwrite",), ()):
        ended = piped("cut", str(odd), *more)
        assert ended.returncode == (0 if more else 1), ended.stderr
        assert b"Traceback" not in ended.stderr
        if more == ("--json",):
            assert json.loads(ended.stdout)["input"] == str(odd)
        assert b"\\udcff" in ended.stdout + ended.stderr


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_names_and_errors_do_not_run_into_the_progress_bar(examples: Path, tmp_path: Path) -> None:
    for name in ("cat", "coffee", "rocket"):
        (tmp_path / f"{name}.jpg").write_bytes((examples / f"{name}.jpg").read_bytes())
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    photos = [tmp_path / f"{name}.jpg" for name in ("cat", "broken", "coffee", "rocket")]
    status, lines, _ = on_terminal("cut", *photos)
    assert status == 1
    assert [line for line in lines if line.startswith("/")] == [
        str(tmp_path / f"{name}-cutout.png") for name in ("cat", "coffee", "rocket")
    ]
    assert len(lines) == 4
    assert lines[1].startswith(f"liftout: {tmp_path}/broken.jpg: not an image")

    with (tmp_path / "list").open("wb") as file:
        status, lines, _ = on_terminal("cut", *photos, "--overwrite", stdout=file.fileno())
    assert len((tmp_path / "list").read_text().splitlines()) == 3
    assert len(lines) == 1


def test_the_exit_status_is_the_highest_of_what_happened(photo: Path) -> None:
    bad = photo.with_name("bad.jpg")
    bad.write_bytes(b"no photo")
    needs = photo.with_name("phone.heic")
    needs.write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1" + bytes(100))
    code = "import sys; sys.modules['pillow_heif'] = None; from liftout.cli import main; main(sys.argv[1:])"
    ended = subprocess.run(
        [sys.executable, "-c", code, "cut", str(bad), str(needs), str(photo)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3, ended.stderr
    assert len(ended.stderr.splitlines()) == 2
    assert photo.with_name("cat-cutout.png").is_file()


@pytest.mark.parametrize("arguments", [(), ("models",)])
def test_a_bare_command_shows_its_help(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout(*arguments) == 0
    told, err = capsys.readouterr()
    assert err == ""
    assert told.startswith("Usage: liftout")
    assert "Commands:" in told


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
        (["-o", "out.xyz"], "is not a format"),
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
