"""Entries for the menus of file managers: what they run, with the files as each file manager gives them."""

from __future__ import annotations

import configparser
import os
import plistlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import ROOT

FOLDER = ROOT / "integrations" / "file-manager"
pytestmark = pytest.mark.skipif(not Path("/bin/bash").exists(), reason="needs bash: menus of Linux and macOS")


@pytest.fixture
def photos(tmp_path: Path, examples: Path) -> list[Path]:
    """Two small photos with names that shells take apart."""
    found = [tmp_path / "my cat's photo.jpg", tmp_path / "-$HOME (2).jpg"]
    for path in found:
        with Image.open(examples / "cat.jpg") as photo:
            photo.resize((90, 60)).save(path)
    return found


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """A user without a desktop, whose messages go to standard output."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "env"):
        found = next(folder / name for folder in map(Path, ("/bin", "/usr/bin")) if (folder / name).exists())
        (tools / name).symlink_to(found)
    path = os.pathsep.join([str(Path(sys.executable).parent), str(tools)])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NAUTILUS_", "NEMO_", "CAJA_"))}
    return {**kept, "PATH": path, "HOME": str(tmp_path), **more}


def all_cut(photos: list[Path]) -> None:
    for photo in photos:
        with Image.open(photo.with_name(f"{photo.stem}-cutout.png")) as cutout:
            assert (cutout.mode, cutout.size) == ("RGBA", (90, 60))


@pytest.mark.parametrize(
    "manager", ["NAUTILUS", pytest.param("NEMO", marks=pytest.mark.long), pytest.param("CAJA", marks=pytest.mark.long)]
)
def test_the_script_cuts_out_what_is_chosen(tmp_path: Path, photos: list[Path], manager: str) -> None:
    chosen = "".join(f"{path}\n" for path in photos)
    given = environment(tmp_path, **{f"{manager}_SCRIPT_SELECTED_FILE_PATHS": chosen})
    ended = subprocess.run([FOLDER / "nautilus.sh"], env=given, capture_output=True, text=True, check=True)
    assert ended.stdout == "Background removed: 2 file(s), saved beside the originals\n"
    all_cut(photos)
    if manager == "NAUTILUS":
        again = subprocess.run([FOLDER / "nautilus.sh"], env=given, capture_output=True, text=True, check=True)
        assert again.stdout.startswith("Not every background was removed: ")
        assert "already exists; give --overwrite" in again.stdout


def test_with_nothing_chosen_the_script_does_nothing(tmp_path: Path) -> None:
    ended = subprocess.run([FOLDER / "nautilus.sh"], env=environment(tmp_path), capture_output=True, check=True)
    assert ended.stdout == b""


def test_the_entry_for_dolphin_runs_a_command_that_works(tmp_path: Path, photos: list[Path]) -> None:
    entry = configparser.ConfigParser(interpolation=None)
    entry.optionxform = str  # type: ignore[assignment,method-assign]
    entry.read(FOLDER / "dolphin.desktop", encoding="utf-8")
    assert entry["Desktop Entry"]["Actions"] == "liftout"
    words = shlex.split(entry["Desktop Action liftout"]["Exec"])
    assert words[-1] == "%F"  # the paths of the chosen files
    program = Path(sys.executable).parent / words[0]
    subprocess.run([program, *words[1:-1], *photos], env=environment(tmp_path), check=True)
    all_cut(photos)


@pytest.mark.long
def test_the_workflow_for_finder_runs_a_command_that_works(tmp_path: Path, photos: list[Path]) -> None:
    contents = FOLDER / "Remove Background.workflow" / "Contents"
    service = plistlib.loads((contents / "Info.plist").read_bytes())["NSServices"][0]
    assert service["NSSendFileTypes"] == ["public.image"]
    document = plistlib.loads((contents / "document.wflow").read_bytes())
    parameters = document["actions"][0]["action"]["ActionParameters"]
    assert parameters["inputMethod"] == 1  # the paths come as arguments
    call = [parameters["shell"], "-c", parameters["COMMAND_STRING"], "-"]
    subprocess.run([*call, *photos], env=environment(tmp_path), check=True)
    all_cut(photos)
