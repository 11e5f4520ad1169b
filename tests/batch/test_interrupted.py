"""Ctrl-C, kills at random moments, and photos that arrive while a batch runs: real processes and real signals."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from liftout.batch.local import DEPTH

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

PATIENCE = 180
"""Seconds after which a test gives up; a loaded machine takes long to start processes."""


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """The command line in a process group of its own, as a terminal would start it."""
    command = [sys.executable, "-m", "liftout", "batch", *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)


def wait_for(what: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > until or process.poll() is not None:
            process.kill()
            pytest.fail(f"it did not happen; the process says {process.communicate()[1]!r}")
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Exit status and standard error of a process that is about to end."""
    try:
        _, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, err.decode()


def test_ctrl_c_finishes_what_is_in_hand_and_the_same_line_goes_on(
    tmp_path: Path, model: str, photo: Any, tree: Any, results: Any, expected: Callable[[bytes], bytes]
) -> None:
    photos = tree(tmp_path / "photos", {f"{index:03}.jpg": photo(index, (500, 400)) for index in range(40)})
    out, report = tmp_path / "out", tmp_path / "report.jsonl"
    process = start(photos, out, "-m", model, "--workers", "1", "--report", report)
    wait_for(lambda: len(list(out.glob("*.png"))) >= 2, process)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    status, err = end(process)
    assert status == 130, err
    assert "the same line goes on" in err
    assert "Traceback" not in err
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert 2 <= len(lines) < 40
    assert {line["status"] for line in lines} == {"done"}
    assert set(results(out)) == {line["output"] for line in lines}

    process = start(photos, out, "-m", model, "--workers", "1")
    status, err = end(process)
    assert status == 0
    assert err.startswith(f"{40 - len(lines)} done, 0 failed, {len(lines)} done before")
    made = results(out)
    assert len(made) == 40
    assert made["017.png"] == expected((photos / "017.jpg").read_bytes())


@pytest.mark.long
def test_killed_at_ten_random_moments_nothing_is_lost_or_broken_and_only_photos_in_hand_are_done_twice(
    tmp_path: Path, model: str, photo: Any, tree: Any, results: Any, expected: Callable[[bytes], bytes]
) -> None:
    count, workers, kills = 400, 2, 10
    chance = random.Random(11)
    photos = tree(tmp_path / "photos", {f"{i % 7}/{i:03}.jpg": photo(i, (300, 200)) for i in range(count)})
    right = {f"{i % 7}/{i:03}.png": expected((photos / f"{i % 7}/{i:03}.jpg").read_bytes()) for i in range(count)}
    out = tmp_path / "out"
    done: list[str] = []
    for attempt in range(kills):
        report = tmp_path / f"{attempt}.jsonl"
        before = len(results(out))
        process = start(photos, out, "-m", model, "--workers", workers, "--report", report)
        wait_for(lambda before=before: len(list(out.glob("*/*.png"))) > before, process)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 1.5))
        if attempt % 2:
            os.killpg(process.pid, signal.SIGKILL)  # a power cut: parent and workers at once
        else:
            process.kill()  # the parent alone; its workers end by themselves
        process.communicate()
        made = results(out)
        assert all(right[name] == content for name, content in made.items())
        done += [json.loads(line)["input"] for line in report.read_text().splitlines() if line.endswith("}")]
    report = tmp_path / "last.jsonl"
    status, err = end(start(photos, out, "-m", model, "--workers", workers, "--report", report))
    assert status == 0, err
    done += [json.loads(line)["input"] for line in report.read_text().splitlines()]
    assert results(out) == right
    # What a kill left unsaid was in hand; no photo that was reported as done is done again.
    assert len(done) == len(set(done))
    assert count - len(set(done)) <= kills * workers * DEPTH
    records = [path.name.split("-")[0] for path in (out / ".liftout/done").rglob("*-*")]
    assert len(records) == len(set(records)) == count


def test_watching_waits_until_a_photo_is_complete(
    tmp_path: Path, model: str, photo: Any, tree: Any, expected: Callable[[bytes], bytes]
) -> None:
    pytest.importorskip("watchfiles", reason="needs watchfiles (extra batch)")
    photos = tree(tmp_path / "photos", {"there.jpg": photo(0)})
    out, report = tmp_path / "out", tmp_path / "report.jsonl"
    process = start(photos, out, "-m", model, "--workers", "1", "--watch", "--report", report)
    wait_for((out / "there.png").is_file, process)

    content = photo(1, (200, 150))
    with (photos / "slow.jpg").open("wb") as stream:
        for part in range(4):
            stream.write(content[part * len(content) // 4 : (part + 1) * len(content) // 4])
            stream.flush()
            time.sleep(0.6)
    tree(tmp_path / "elsewhere", {"moved/in.jpg": photo(2), "moved/deep/er.jpg": photo(3)})
    (tmp_path / "elsewhere/moved").rename(photos / "moved")
    wanted = [out / "slow.png", out / "moved/in.png", out / "moved/deep/er.png"]
    wait_for(lambda: all(path.is_file() for path in wanted), process)
    (photos / "there.jpg").write_bytes(photo(9))
    changed = expected(photo(9))
    wait_for(lambda: (out / "there.png").read_bytes() == changed, process)
    process.send_signal(signal.SIGINT)
    status, err = end(process)
    assert status == 130, err
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["status"] for line in lines] == ["done"] * 5
    assert (out / "slow.png").read_bytes() == expected(content)
