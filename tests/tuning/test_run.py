"""A run is a function of its photos, its recipe and its seed, whatever interrupts it, and writes nothing that is worse than before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from liftout.errors import BelowBar, UsageError
from liftout.tuning.examples import Examples, gather
from liftout.tuning.reading import find_pairs
from liftout.tuning.recipe import Recipe
from liftout.tuning.run import Source, TuningRun
from liftout.tuning.start import BuiltIn, answers
from tests.tuning.shapes import write_shapes

SHORT = Recipe(depth_steps=2, decoder_steps=1, batch=2, others=0.5, views=1, rounds=3, patience=9)


@pytest.fixture(autouse=True)
def few_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics of a few photos, and few drawn scenes: enough here, and quicker."""
    monkeypatch.setattr("liftout.tuning.pocket_learner.NORM_PHOTOS", 3)
    monkeypatch.setattr("liftout.tuning.run._DRAWN_MEASURED", 2)


@pytest.fixture(scope="module")
def source(shop: Path) -> Source:
    """At a fifth of the size, which costs a twenty-fifth."""
    start = BuiltIn()
    start.spec = start.spec.with_size((64, 64))
    examples, refused = gather(find_pairs(shop).pairs, start.spec.input)
    assert not refused
    return Source(start, examples, Examples.none(start.spec.input), "these photos")


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(source: Source, tmp_path: Path) -> None:
    whole = TuningRun(source, tmp_path / "whole", SHORT, tmp_path / "whole.png")
    reports = list(whole.rounds())
    assert [report.step for report in reports] == SHORT.round_ends
    assert (tmp_path / "whole.png").read_bytes()[:4] == b"\x89PNG"
    assert (
        next(TuningRun(source, tmp_path / "broken", SHORT, tmp_path / "broken.png").rounds()).step
        == SHORT.round_ends[0]
    )
    broken = TuningRun(source, tmp_path / "broken", SHORT, tmp_path / "broken.png")
    assert broken.resumed
    assert len(list(broken.rounds())) == len(SHORT.round_ends) - 1
    assert broken.learner.step == SHORT.steps
    ours, theirs = whole.learner.weights(), broken.learner.weights()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    start = source.start.network().state_dict()
    now = whole.learner.at_share(1).state_dict()
    changed = {name.split(".")[0] for name in start if not torch.allclose(start[name], now[name], rtol=1e-3, atol=1e-5)}
    assert changed == {"depth", "fine"}


def test_other_photos_do_not_go_on_with_a_run(source: Source, tmp_path: Path) -> None:
    TuningRun(source, tmp_path, SHORT, tmp_path / "x.png")
    other = Source(source.start, source.examples, source.others, "other photos")
    with pytest.raises(UsageError, match="a run of other photos or settings was begun under this name"):
        TuningRun(other, tmp_path, SHORT, tmp_path / "x.png")


def test_a_run_that_gains_nothing_says_so(source: Source, tmp_path: Path) -> None:
    run = TuningRun(source, tmp_path, SHORT, tmp_path / "x.png")
    with pytest.raises(BelowBar, match=r"nothing was gained.*nothing was written"):
        run.finish()


def test_a_gain_that_the_held_out_photos_do_not_share_is_not_taken(source: Source, tmp_path: Path) -> None:
    run = TuningRun(source, tmp_path, SHORT, tmp_path / "x.png")
    with torch.no_grad():  # what a bad step could make of it
        run.learner.averaged.fine.side2.bias += 9
    run.best = 1.0, 4, run.learner.weights()
    run.choosing = Examples(  # what it answers now is right there
        run.choosing.names, run.choosing.pixels, _answered(run), run.choosing.sizes
    )
    run.held_out = Examples(run.held_out.names, run.held_out.pixels, run._answered["held_out"], run.held_out.sizes)
    with pytest.raises(BelowBar, match="held out came out worse"):
        run.finish()


def _answered(run: TuningRun) -> np.ndarray:
    return answers(run.source.start, run.learner.at_share(1), run.choosing.pixels)


def _start(data: Path, home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "liftout", "tune", str(data), "-o", "rings", "--steps", "8", "--threads", "1"]
    environment = {**os.environ, "LIFTOUT_HOME": str(home)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.long
def test_a_killed_command_goes_on_to_the_same_file(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shop", 12)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    first = _start(data, whole)
    told, _ = first.communicate(timeout=1800)
    killed = _start(data, broken)
    checkpoint = broken / "tuning" / "rings" / "checkpoint.pt"
    deadline = time.monotonic() + 900
    while not checkpoint.exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert killed.stdout is not None
    killed.stdout.close()
    again = _start(data, broken)
    retold, _ = again.communicate(timeout=1800)
    assert "goes on after step" in retold
    assert again.returncode == first.returncode, (told, retold)
    if first.returncode == 0:
        ours, theirs = ((home / "packs" / "rings" / "network.onnx").read_bytes() for home in (whole, broken))
        assert ours == theirs
    else:
        assert told.splitlines()[-1] == retold.splitlines()[-1]


@pytest.mark.long
def test_a_few_photos_teach_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    start = BuiltIn()
    start.spec = start.spec.with_size((160, 160))
    examples, _ = gather(find_pairs(write_shapes(tmp_path / "shop", 40)).pairs, start.spec.input)
    recipe = Recipe(depth_steps=60, decoder_steps=30, views=3)
    source = Source(start, examples, Examples.none(start.spec.input), "rings")
    run = TuningRun(source, tmp_path / "run", recipe, tmp_path / "x.png")
    list(run.rounds())
    outcome = run.finish()
    assert outcome.after.iou > outcome.before.iou + 0.3 * (1 - outcome.before.iou)
    assert outcome.others.iou > 0.8
