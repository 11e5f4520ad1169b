"""Progress of what takes long: time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import on_terminal

SLOW = """
import sys, time
from liftout.cli import progress
progress.LINE_SECONDS = 0.3
with progress.shown() as report:
    for done in range(6):
        report("calibrate", done, 6)
        time.sleep(0.2)
    report("calibrate", 6, 6)
    report("compare", 0, 2)
"""


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_a_long_phase_says_how_much_time_is_left_on_a_terminal() -> None:
    status, lines, received = on_terminal(code=SLOW)
    assert status == 0
    assert "0:00:00 left" in received or "0:00:01 left" in received
    assert lines[0].startswith("calibrate")
    assert "100%" in lines[0]
    assert lines[1].startswith("compare")


def test_a_long_phase_says_how_much_time_is_left_in_a_log() -> None:
    ended = subprocess.run([sys.executable, "-c", SLOW], capture_output=True, text=True, check=True)
    lines = ended.stderr.splitlines()
    assert lines[0] == "calibrate ..."
    assert lines[-2:] == ["calibrate: done", "compare ..."]
    between = lines[1:-2]
    assert between
    assert all(re.fullmatch(r"calibrate: \d of 6, 0:00:0\d left", line) for line in between)


def test_comparing_a_reduced_network_counts_its_photos(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx (extra convert)")
    from liftout import find
    from liftout.convert.precision import photos, reduce_network
    from liftout.models.resolve import locate

    located = locate(find("pocket"))
    reported: list[tuple[str, int, int | None]] = []
    reduce_network(
        located.file,
        "fp16",
        located.spec,
        tmp_path,
        photos.built_in(),
        progress=lambda phase, done, total: reported.append((phase, done, total)),
    )
    count = len(photos.built_in().measuring)
    assert [call for call in reported if call[0] == "compare"] == [("compare", n, count) for n in range(count + 1)]
