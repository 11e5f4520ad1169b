"""SIGTERM and SIGKILL: nothing half-made stays among the packs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import liftout

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def test_a_conversion_that_is_terminated_leaves_nothing(own_home: Path) -> None:
    pytest.importorskip("torch", reason="needs torch (extra convert)")
    packs = own_home / "packs"
    process = subprocess.Popen(
        [sys.executable, "-m", "liftout", "convert", "pocket", "--precision", "int8"], stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 180
    while not any(path.name.endswith(".work") for path in packs.glob(".*")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not list(packs.iterdir())


def test_what_a_killed_conversion_left_goes_when_liftout_is_started_next(own_home: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    packs = own_home / "packs"
    host = re.sub("[^A-Za-z0-9-]", "-", socket.gethostname())
    dead, alive = f"{host}@{ended.pid}-01234567", f"{host}@{os.getpid()}-01234567"
    names = {
        f".u2netp.{dead}.work": False,
        f".u2netp-1.5.{dead}.partial": False,
        f".u2netp.{alive}.work": True,
        ".u2netp.elsewhere@1-01234567.work": True,
        ".u2netp.abcd1234.work": True,
        ".u2net.abcd1234.partial": False,
        ".notes": True,
    }
    for name in names:
        (packs / name).mkdir(parents=True)
        (packs / name / "network.onnx").write_bytes(b"half")
    day_before = time.time() - 2 * 24 * 3600
    os.utime(packs / ".u2net.abcd1234.partial", (day_before, day_before))
    (packs / f".u2net.{dead}.old").mkdir()  # killed between two renames: the only copy of the pack
    assert liftout("doctor") == 0
    kept = {name for name, stays in names.items() if stays} | {"u2net"}
    assert {path.name for path in packs.iterdir()} == kept


def test_what_liftout_does_not_know_stays_in_the_users_own_folder(tmp_path: Path, own_home: Path) -> None:
    from liftout.models.packs import writing

    for name in (".settings.20240101.work", ".site.old", ".u2net.elsewhere@1-01234567.partial"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        os.utime(tmp_path / "mine" / name, (0, 0))
    with writing(tmp_path / "mine/u2net") as folder:
        (folder / "network.onnx").write_bytes(b"whole")
    assert len(list((tmp_path / "mine").iterdir())) == 4
    assert (tmp_path / "mine/u2net/network.onnx").read_bytes() == b"whole"
