"""A training run is a function of its recipe, whatever interrupts it, and learns from what it may."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from training.features import open_features
from training.photos import ROOT as TRAINING
from training.photos import excluded, read_names, serves_for_choosing
from training.targets import open_targets
from training.teacher import Labels, order_of
from training.train import Recipe, Run, load_run

ROOT = TRAINING.parent
RECIPE = 'part = "{part}"\nphotos = {photos}\nbatch = 2\nrate = 1e-3\nwarm_up = 2\n'


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
    for name in ("photos", "teacher", "features"):
        command += [f"--{name}", str(runs / name)]
    command += ["--save-seconds", "0"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(run: subprocess.Popen[str]) -> str:
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output
    return output


def test_a_run_that_was_stopped_continues_to_the_same_weights(runs: Path, tmp_path: Path) -> None:
    recipe = Recipe(part="depth", photos=4, batch=2, rate=1e-3, warm_up=1)
    targets, features = open_targets(runs / "photos", runs / "teacher"), open_features(runs / "features")
    Run(recipe, tmp_path / "whole", targets, features).train()
    Run(recipe, tmp_path / "broken", targets, features).train(until=1)
    Run(recipe, tmp_path / "broken", targets, features).train()
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
    "part", ["depth", pytest.param("fine", marks=pytest.mark.long), pytest.param("whole", marks=pytest.mark.long)]
)
def test_a_part_is_learnt_and_the_rest_stays(part: str, runs: Path, tmp_path: Path) -> None:
    recipe = Recipe(part=part, photos=4, batch=2, rate=1e-3, warm_up=1)
    features = open_features(runs / "features") if part == "depth" else None
    run = Run(recipe, tmp_path / part, open_targets(runs / "photos", runs / "teacher"), features)
    before = {name: weight.clone() for name, weight in run.network.state_dict().items()}
    run.train()
    changed = {
        name.split(".")[0] for name, weight in run.network.state_dict().items() if not torch.equal(weight, before[name])
    }
    assert changed == {"depth": {"depth"}, "fine": {"fine"}, "whole": {"encoder", "depth", "fine"}}[part]


def test_a_run_that_was_begun_with_another_recipe_is_not_continued(runs: Path, tmp_path: Path) -> None:
    targets, features = open_targets(runs / "photos", runs / "teacher"), open_features(runs / "features")
    recipe = Recipe(part="depth", photos=2, batch=2, rate=1e-3)
    Run(recipe, tmp_path / "run", targets, features).train()
    with pytest.raises(SystemExit, match="another recipe"):
        Run(Recipe(part="depth", photos=4, batch=2, rate=1e-3), tmp_path / "run", targets, features)


def test_what_measures_and_what_is_kept_is_never_trained_on(runs: Path) -> None:
    targets = open_targets(runs / "photos", runs / "teacher")
    assert not set(targets.kinds) & excluded()
    assert not {targets.photos.names[row] for row in order_of(targets.photos)} & excluded()
    trained = {name for kind in set(targets.kinds.values()) for name in targets.training(kind)}
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


def test_the_mirror_image_has_features_and_an_alpha_of_its_own(runs: Path, tmp_path: Path) -> None:
    targets, features = open_targets(runs / "photos", runs / "teacher"), open_features(runs / "features")
    run = Run(Recipe(part="depth", photos=2, batch=2, rate=1e-3), tmp_path / "run", targets, features)
    name = next(name for name in run.examples.names["labelled"] if targets.alpha(name).any())
    straight, mirrored = (run.examples.take([name], [turn]) for turn in (0, 1))
    assert torch.equal(straight.alphas.flip(3), mirrored.alphas)
    apart, turned = (float((straight.inputs - x).abs().mean()) for x in (mirrored.inputs, mirrored.inputs.flip(3)))
    assert turned < 0.9 * apart  # convolutions are not symmetric, but see the same things


def test_labels_are_kept_between_sessions(tmp_path: Path) -> None:
    labels = Labels(tmp_path, 3)
    labels.alphas[1], labels.done[1] = 200, True
    labels.keep()
    again = Labels(tmp_path, 3)
    assert again.done.tolist() == [False, True, False]
    assert np.all(again.alphas[1] == 200)
    with pytest.raises(SystemExit, match="move it away"):
        Labels(tmp_path, 4)


def test_interrupted_features_are_completed(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "features"
    shutil.copytree(runs / "features", folder)
    whole = open_features(folder)
    facts = (folder / "features.json").read_text()
    (folder / "features.json").write_text(facts.replace('"complete": 30', '"complete": 29'))
    values = np.load(folder / "features.npy", mmap_mode="r+")
    expected = np.array(values[29])
    values[29] = 0
    from training.features import U2NETP, FeatureWriter
    from training.photos import open_photos

    FeatureWriter(open_photos(runs / "photos"), whole.names, folder, U2NETP, threads=1).run()
    assert np.array_equal(np.load(folder / "features.npy", mmap_mode="r")[29], expected)
