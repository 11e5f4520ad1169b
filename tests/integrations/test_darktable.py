"""The script for darktable, in darktable-cli: it develops a photo, and what it exports is cut out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from liftout.images import decode
from tests.conftest import ROOT

SCRIPT = ROOT / "integrations" / "darktable"
CALL = """
package.path = "{script}/?.lua;" .. package.path
local dt, liftout = require "darktable", require "liftout"
liftout.export(dt.database.import("{photo}"), "{target}")
"""


@pytest.mark.long
@pytest.mark.skipif(shutil.which("darktable-cli") is None, reason="needs darktable, as in Debian")
def test_a_photo_is_developed_and_cut_out_with_16_bits(tmp_path: Path, examples: Path) -> None:
    photo, target = tmp_path / "cat.jpg", tmp_path / "it's a cat.png"
    shutil.copyfile(examples / "cat.jpg", photo)
    (tmp_path / "run.lua").write_text(CALL.format(script=SCRIPT, photo=photo, target=target), encoding="utf-8")
    own = {
        "HOME": str(tmp_path),
        "LIFTOUT_COMMAND": str(Path(sys.executable).with_name("liftout")),
        "LIFTOUT_OPTIONS": "--crop --margin 5",
    }
    core = ["--core", "--configdir", str(tmp_path / "config"), "--cachedir", str(tmp_path / "cache")]
    core += ["--library", ":memory:", "--luacmd", f'dofile("{tmp_path / "run.lua"}")']
    call = ["darktable-cli", str(photo), str(tmp_path / "developed.png"), *core]
    subprocess.run(call, env={**os.environ, **own}, capture_output=True, check=True, timeout=300)
    end = time.monotonic() + 120  # darktable does not wait for its scripts
    while not target.exists() and time.monotonic() < end:
        time.sleep(0.2)
    made, whole = decode(target), decode(photo)
    assert made.pixels16 is not None
    assert made.alpha is not None
    assert made.size[1] < whole.size[1]
