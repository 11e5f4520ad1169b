"""The script for darktable, in darktable-cli: it develops a photo, and what it exports is cut out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from liftout.images import decode
from tests.conftest import ROOT

SCRIPT = ROOT / "integrations" / "darktable"


@pytest.mark.long
@pytest.mark.skipif(shutil.which("darktable-cli") is None, reason="needs darktable, as in Debian")
def test_a_photo_is_developed_and_cut_out_with_16_bits(tmp_path: Path, examples: Path) -> None:
    photo, target = tmp_path / "it's a cat.jpg", tmp_path / "cut out"
    shutil.copyfile(examples / "cat.jpg", photo)
    target.mkdir()
    own = {
        "HOME": str(tmp_path),
        "LIFTOUT_COMMAND": str(Path(sys.executable).with_name("liftout")),
        "LIFTOUT_OPTIONS": "--crop --margin 5",
        "LIFTOUT_FOLDER": str(target),
    }
    core = ["--core", "--configdir", str(tmp_path / "config"), "--cachedir", str(tmp_path / "cache")]
    core += [
        "--library",
        ":memory:",
        "--conf",
        "plugins/imageio/format/png/bpp=16",
        "--luacmd",
        f'package.path = "{SCRIPT}/?.lua;" .. package.path; require "liftout"',
    ]
    call = ["darktable-cli", str(photo), str(tmp_path / "developed.png"), *core]
    subprocess.run(call, env={**os.environ, **own}, capture_output=True, check=True, timeout=300)
    made, whole = decode(target / "it's a cat-cutout.png"), decode(tmp_path / "developed.png")
    assert whole.pixels16 is not None
    assert made.pixels16 is not None
    assert made.alpha is not None
    assert made.size[1] < whole.size[1]
