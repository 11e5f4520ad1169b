"""Ctrl-C, kills at random moments, and photos that arrive while a batch runs: real processes and real signals."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from liftout.batch import claim
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
    assert "run the same command again to resume" in err
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


def test_a_second_batch_for_the_same_target_is_refused_until_the_first_has_ended(
    tmp_path: Path, model: str, photo: Any, tree: Any, liftout: Any, results: Any
) -> None:
    pytest.importorskip("watchfiles", reason="needs watchfiles (extra batch)")
    photos = tree(tmp_path / "photos", {"0.jpg": photo(0), "1.jpg": photo(1)})
    out, report = tmp_path / "out", tmp_path / "report.jsonl"
    first = start(photos, out, "-m", model, "--workers", "1", "--watch", "--report", report)
    wait_for((out / "0.png").is_file, first)
    tree(tmp_path / "more", {"2.jpg": photo(2)})
    status, told, err = liftout("batch", tmp_path / "more", out, "-m", model, "--json")
    assert (status, told) == (1, ""), err
    says = f"liftout: {out}: another batch is writing to this target (process {first.pid} on "
    assert err.splitlines()[0].startswith(says)
    first.send_signal(signal.SIGINT)
    assert end(first)[0] == 130
    assert sorted(json.loads(line)["input"] for line in report.read_text().splitlines()) == ["0.jpg", "1.jpg"]
    assert set(results(out)) == {"0.png", "1.png"}
    assert not list((out / ".liftout/running").iterdir())
    assert liftout("batch", tmp_path / "more", out, "-m", model)[2].startswith("1 done")


def test_a_batch_that_was_killed_holds_nobody_up(
    tmp_path: Path, model: str, photo: Any, tree: Any, liftout: Any
) -> None:
    pytest.importorskip("watchfiles", reason="needs watchfiles (extra batch)")
    photos, out = tree(tmp_path / "photos", {"0.jpg": photo(0)}), tmp_path / "out"
    process = start(photos, out, "-m", model, "--workers", "1", "--watch")
    wait_for((out / "0.png").is_file, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(list((out / ".liftout/running").iterdir())) == 1
    tree(photos, {"1.jpg": photo(1)})
    status, _, err = liftout("batch", photos, out, "-m", model)
    assert status == 0
    assert err.startswith("1 done, 0 failed, 1 done before")
    assert not list((out / ".liftout/running").iterdir())


def test_a_batch_of_another_machine_is_believed_while_it_renews_its_claim(
    tmp_path: Path, model: str, photo: Any, tree: Any, liftout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "STALE_SECONDS", 2.0)
    monkeypatch.setattr(claim, "_POLL_SECONDS", 0.1)
    photos = tree(tmp_path / "photos", {"cat.jpg": photo(1)})
    running = tmp_path / "out/.liftout/running"
    running.mkdir(parents=True)
    owner = {
        "host": "elsewhere",
        "pid": 1,
        "machine": "another",
        "process": "1 1",
        "started": "2026-01-01T00:00:00+00:00",
    }
    ended = threading.Event()

    def renew() -> None:
        for renewals in itertools.count():
            (running / "new").write_text(json.dumps({**owner, "renewals": renewals}))
            (running / "new").replace(running / "0123")
            if ended.wait(0.3):
                return

    other = threading.Thread(target=renew)
    other.start()
    while not (running / "0123").is_file():
        time.sleep(0.01)
    try:
        status, _, err = liftout("batch", photos, tmp_path / "out", "-m", model)
        assert status == 1
        assert "a batch on elsewhere has been writing here" in err
        assert "another batch is writing to this target (process 1 on elsewhere" in err
        assert not (tmp_path / "out/cat.png").exists()
    finally:
        ended.set()
        other.join()
    assert liftout("batch", photos, tmp_path / "out", "-m", model)[0] == 0
    assert not list(running.iterdir())


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
