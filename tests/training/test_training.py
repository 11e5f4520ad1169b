"""A training run is a function of its recipe, whatever interrupts it, and learns from what it may."""

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

from training.bare import bare_box
from training.photos import ROOT as TRAINING
from training.photos import excluded, read_names, serves_for_choosing
from training.targets import BARE, KINDS, PAGE, open_targets
from training.teacher import Labels, order_of
from training.train import Recipe, Run, View, between, load_run, start_of

ROOT = TRAINING.parent
RECIPE = 'part = "{part}"\nphotos = {photos}\nbatch = 2\nrate = 1e-3\nwarm_up = 2\nscore_every = 2\n'


@pytest.fixture(autouse=True)
def few_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Norms start from the statistics of a few photos, and few serve for choosing: enough here, and quicker."""
    monkeypatch.setattr("training.train.NORM_PHOTOS", 4)
    monkeypatch.setattr("training.train.MOST_CHOOSING", 6)


def _start(folder: Path, runs: Path, recipe: str) -> subprocess.Popen[str]:
    (folder / "tiny.toml").write_text(recipe)
    command = [
        sys.executable,
        "-m",
        "training.train",
        str(folder / "tiny.toml"),
        "--runs",
        str(folder),
        "--threads",
        "1",
    ]
    for name in ("photos", "teacher"):
        command += [f"--{name}", str(runs / name)]
    command += ["--save-seconds", "0"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(run: subprocess.Popen[str]) -> str:
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output
    return output


def test_a_run_that_was_stopped_continues_to_the_same_weights(runs: Path, tmp_path: Path) -> None:
    recipe = Recipe(part="depth", photos=4, batch=2, rate=1e-3, warm_up=1)
    targets = open_targets(runs / "photos", runs / "teacher")
    Run(recipe, tmp_path / "whole", targets).train()
    Run(recipe, tmp_path / "broken", targets).train(until=1)
    Run(recipe, tmp_path / "broken", targets).train()
    ours, theirs = (load_run(tmp_path / name).state_dict() for name in ("whole", "broken"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.long
def test_a_killed_run_continues_to_the_same_weights(runs: Path, tmp_path: Path) -> None:
    recipe = RECIPE.format(part="depth", photos=10)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    _finish(_start(whole, runs, recipe))
    first = _start(broken, runs, recipe)
    deadline = time.monotonic() + 120
    while not (broken / "tiny" / "log.csv").exists() and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert first.stdout is not None
    first.stdout.close()
    assert torch.load(broken / "tiny" / "checkpoint.pt")["step"] < 5
    _finish(_start(broken, runs, recipe))
    ours, theirs = (load_run(folder / "tiny").state_dict() for folder in (whole, broken))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    "part", ["depth", pytest.param("decoder", marks=pytest.mark.long), pytest.param("whole", marks=pytest.mark.long)]
)
def test_a_part_is_learnt_and_the_rest_stays(part: str, runs: Path, tmp_path: Path) -> None:
    recipe = Recipe(part=part, photos=4, batch=2, rate=1e-3, warm_up=1)
    run = Run(recipe, tmp_path / part, open_targets(runs / "photos", runs / "teacher"))
    before = {name: weight.clone() for name, weight in run.network.state_dict().items()}
    run.train()
    changed = {
        name.split(".")[0] for name, weight in run.network.state_dict().items() if not torch.equal(weight, before[name])
    }
    assert changed == {"depth": {"depth"}, "decoder": {"depth", "fine"}, "whole": {"encoder", "depth", "fine"}}[part]


def test_weights_between_a_run_and_its_start(runs: Path, tmp_path: Path) -> None:
    recipe = Recipe(part="depth", photos=2, batch=2, rate=1e-3, warm_up=1)
    run = Run(recipe, tmp_path / "run", open_targets(runs / "photos", runs / "teacher"))
    run.train()
    photo = run.examples.take(run.examples.choosing[:1]).photos[:, :, :96, :96]
    with torch.no_grad():
        first, middle, last = (between(tmp_path / "run", share)(photo) for share in (0, 0.5, 1))
        assert torch.allclose(first, start_of(recipe, tmp_path)(photo), atol=1e-5)
        assert torch.allclose(last, load_run(tmp_path / "run")(photo), atol=1e-3)
    assert not torch.allclose(first, middle, atol=1e-6)


def test_answers_of_the_teacher_are_kept_in_one_file(runs: Path, tmp_path: Path) -> None:
    targets = open_targets(runs / "photos", runs / "teacher")
    names, kept = targets.photos.names, tmp_path / "labels.zip"
    assert targets.labels.write(kept, names) == targets.labels.done.sum()
    fresh = Labels(tmp_path / "teacher", len(names))
    fresh.take(kept, names)
    assert np.array_equal(fresh.done, targets.labels.done)
    assert np.array_equal(Labels(tmp_path / "teacher", len(names)).done, fresh.done)
    difference = np.abs(fresh.alphas[fresh.done].astype(int) - targets.labels.alphas[fresh.done])
    assert difference.mean() < 2


def test_pages_and_bare_parts_of_photos_are_seen_with_an_alpha_of_zero(runs: Path) -> None:
    targets = open_targets(runs / "photos", runs / "teacher")
    bare, pages = targets.training("bare"), targets.training("page")
    assert bare
    assert len(pages) > 1000
    for name in (bare[0], pages[0]):
        assert targets.pixels(name).shape == (320, 320, 3)
        assert np.array_equal(targets.pixels(name), targets.pixels(name))
        assert not targets.alpha(name).any()
    whole = bare[0].removeprefix(BARE)
    box = bare_box(targets.labels.alphas[targets.rows[whole]])
    assert box is not None
    left, top, right, bottom = box
    assert targets.alpha(whole)[top:bottom, left:right].mean() < 0.03
    assert not np.array_equal(targets.pixels(PAGE + "1"), targets.pixels(PAGE + "2"))


def test_a_photo_full_of_its_subject_has_no_bare_part() -> None:
    alpha = np.full((160, 160), 255, np.uint8)
    assert bare_box(alpha) is None
    alpha[:, 60:] = 0
    assert bare_box(alpha) == (64, 0, 160, 96)


def test_a_run_that_was_begun_with_another_recipe_is_not_continued(runs: Path, tmp_path: Path) -> None:
    targets = open_targets(runs / "photos", runs / "teacher")
    recipe = Recipe(part="depth", photos=2, batch=2, rate=1e-3)
    Run(recipe, tmp_path / "run", targets).train()
    with pytest.raises(SystemExit, match="another recipe"):
        Run(Recipe(part="depth", photos=4, batch=2, rate=1e-3), tmp_path / "run", targets)


def test_what_measures_and_what_is_kept_is_never_trained_on(runs: Path) -> None:
    targets = open_targets(runs / "photos", runs / "teacher")
    assert not set(targets.kinds) & excluded()
    assert not {targets.photos.names[row] for row in order_of(targets.photos)} & excluded()
    trained = {name.removeprefix(BARE) for kind in KINDS for name in targets.training(kind)}
    assert trained
    assert targets.choosing
    assert not trained & set(targets.choosing)
    assert all(serves_for_choosing(name) for name in targets.choosing)


def test_three_domains_are_kept() -> None:
    kept = read_names(TRAINING / "kept.txt")
    domains = {name.split("__")[0] if "Leopards" not in name else "leopards" for name in kept}
    assert domains == {"weizmann", "leopards", "ccp"}
    assert len(kept) == 809


def test_pictures_without_a_subject_are_learnt_as_empty(runs: Path) -> None:
    targets = open_targets(runs / "photos", runs / "teacher")
    empty = targets.training("empty")
    assert empty
    assert not any(targets.alpha(name).any() for name in empty)


def test_a_photo_and_its_alpha_are_shown_alike(runs: Path, tmp_path: Path) -> None:
    targets = open_targets(runs / "photos", runs / "teacher")
    run = Run(Recipe(part="depth", photos=2, batch=2, rate=1e-3), tmp_path / "run", targets)
    name = next(name for name in run.examples.names["labelled"] if targets.alpha(name).any())
    corner = View(box=(0.0, 0.25, 0.75, 1.0))
    straight, mirrored, part = (run.examples.take([name], [view]) for view in (View(), View(mirrored=True), corner))
    assert torch.equal(straight.alphas.flip(3), mirrored.alphas)
    assert torch.equal(straight.photos.flip(3), mirrored.photos)
    cut = torch.nn.functional.interpolate(straight.alphas[:, :, 40:, :120], (160, 160), mode="bilinear")
    assert float((part.alphas - cut).abs().mean()) < 0.01
    seen = torch.nn.functional.interpolate(straight.photos[:, :, 80:, :240], (320, 320), mode="bilinear")
    assert float((part.photos - seen).abs().mean()) < 0.05


def test_labels_are_kept_between_sessions(tmp_path: Path) -> None:
    labels = Labels(tmp_path, 3)
    labels.alphas[1], labels.done[1] = 200, True
    labels.keep()
    again = Labels(tmp_path, 3)
    assert again.done.tolist() == [False, True, False]
    assert np.all(again.alphas[1] == 200)
    with pytest.raises(SystemExit, match="move it away"):
        Labels(tmp_path, 4)
