"""A training run is a function of its recipe, whatever interrupts it."""

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

from training.augment import Batches, Mixture
from training.cache import open_cache
from training.network import SIZE, PocketNetwork, take_over
from training.train import Recipe, read_names, select, structure_loss

ROOT = Path(__file__).resolve().parents[2]

RECIPE = """
seed = 3
warm_up = 2

[[phases]]
side = 64
batch = 4
photos = 40
rate = [1e-3, 5e-4]
cache = 192
"""


def _start(folder: Path, cache: Path) -> subprocess.Popen[str]:
    (folder / "tiny.toml").write_text(RECIPE)
    options = ["--runs", str(folder), "--cache", str(cache), "--threads", "1", "--device", "cpu", "--save-seconds", "0"]
    command = [sys.executable, "-m", "training.train", str(folder / "tiny.toml"), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(run: subprocess.Popen[str]) -> str:
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output
    return output


def test_a_killed_run_continues_to_the_same_weights(small_cache: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    _finish(_start(whole, small_cache))
    first = _start(broken, small_cache)
    deadline = time.monotonic() + 120
    while not (broken / "tiny" / "log.csv").exists() and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert first.stdout is not None
    first.stdout.close()
    second = _finish(_start(broken, small_cache))
    assert "continuing tiny after step" in second

    one = torch.load(whole / "tiny" / "checkpoint.pt")
    two = torch.load(broken / "tiny" / "checkpoint.pt")
    assert one["step"] == two["step"] == 10
    for kind in ("network", "averaged"):
        for name, weight in one[kind].items():
            assert torch.equal(weight, two[kind][name]), f"{kind} {name} differs"
    assert (broken / "tiny" / "curves.png").stat().st_size > 1000


def test_a_run_of_another_recipe_is_not_continued(small_cache: Path, tmp_path: Path) -> None:
    _finish(_start(tmp_path, small_cache))
    run = _start(tmp_path, small_cache)
    (tmp_path / "tiny.toml").write_text(RECIPE.replace("seed = 3", "seed = 4"))
    output, _ = run.communicate(timeout=240)
    if run.returncode == 0:
        # The process read the first text before it was replaced; read the second now.
        options = ["--runs", str(tmp_path), "--cache", str(small_cache), "--device", "cpu"]
        command = [sys.executable, "-m", "training.train", str(tmp_path / "tiny.toml"), *options]
        again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
        output, code = again.stderr, again.returncode
    else:
        code = run.returncode
    assert code == 1
    assert "holds a run of another recipe" in output


def test_labels_follow_the_photo(small_cache: Path) -> None:
    cache = open_cache(small_cache / "192")
    rows = np.arange(8)
    still = Mixture(paste=0, empty=0, grey=0, soften=0, noise=0, contrast=1)
    photos, alphas, *_ = Batches(cache, rows, rows[:0], rows[:0], still, seed=5)(0, 0, 8, 96, torch.device("cpu"))
    assert photos.shape == (8, 3, 96, 96)
    assert alphas.shape == (8, 1, 96, 96)
    assert float(alphas.min()) >= 0
    assert float(alphas.max()) <= 1

    # A copy of the alpha in place of the photo's colours must come out where the alpha does.
    grey = np.repeat(np.asarray(cache.alphas)[..., None], 3, axis=3)
    mirrored = type(cache)(grey, cache.alphas, cache.names)
    photos, alphas, *_ = Batches(mirrored, rows, rows[:0], rows[:0], still, seed=5)(0, 0, 8, 96, torch.device("cpu"))
    for photo, alpha in zip(photos, alphas, strict=True):
        if float(alpha.std()) > 0.1:
            assert np.corrcoef(photo.mean(0).flatten(), alpha.flatten())[0, 1] > 0.95


def test_scenes_come_with_an_empty_alpha(small_cache: Path) -> None:
    cache = open_cache(small_cache / "192")
    rows = np.arange(8)
    batches = Batches(cache, rows, rows, rows[:0], Mixture(paste=0, empty=1), seed=5)
    assert float(batches(0, 0, 8, 64, torch.device("cpu"))[1].max()) == 0


def test_pictures_without_a_subject_are_kept_out_of_training(small_cache: Path) -> None:
    listed = read_names(ROOT / "training" / "no_subject.txt")
    scenes = read_names(ROOT / "training" / "scenes.txt")
    assert len(listed) == 100
    assert not listed & scenes
    cache = open_cache(small_cache / "192")
    some = set(cache.names[::7])
    drawn = select(cache, some, set())
    for rows in vars(drawn).values():
        assert not some & {cache.names[row] for row in rows}


def test_the_loss_prefers_the_right_alpha() -> None:
    torch.manual_seed(0)
    alphas = torch.zeros(2, 1, 64, 64)
    alphas[:, :, 16:48, 20:40] = 1
    network = PocketNetwork()
    with torch.no_grad():
        outputs = network.logits(torch.randn(2, 3, 64, 64))
    right = [torch.nn.functional.interpolate(alphas, size=o.shape[-1], mode="area") * 20 - 10 for o in outputs]
    wrong = [-o for o in right]
    assert (
        float(structure_loss(right, alphas))
        < float(structure_loss(outputs, alphas))
        < float(structure_loss(wrong, alphas))
    )


@pytest.mark.parametrize("step", [0, 3, 4, 9])
def test_a_recipe_knows_every_step(tmp_path: Path, step: int) -> None:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE + "\n[[phases]]\nside = 96\nbatch = 8\nphotos = 16\nrate = [4e-4, 0.0]\n")
    recipe = Recipe.read(path)
    assert recipe.steps == 12
    phase, rate, drawn = recipe.at(step)
    assert (phase.side, drawn) == (64, 4 * step)
    assert 0 < rate <= 1e-3
    assert recipe.at(11)[0].side == 96
    assert recipe.at(11)[2] == 48
    with pytest.raises(IndexError):
        recipe.at(12)


def test_the_network_is_small() -> None:
    network = PocketNetwork()
    assert sum(weight.numel() for weight in network.parameters()) < 4_500_000, "too many for 5 MB of int8"
    assert network(torch.zeros(1, 3, SIZE, SIZE)).shape == (1, 1, SIZE, SIZE)


def test_a_wider_network_starts_as_the_narrower_one() -> None:
    torch.manual_seed(2)
    narrow, wide = PocketNetwork((32, 48, 64, 64)), PocketNetwork((32, 64, 96, 80))
    for parameter in narrow.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    photo = torch.randn(2, 3, 64, 64)
    take_over(wide, narrow.state_dict())
    with torch.no_grad():
        assert torch.allclose(narrow.eval()(photo), wide.eval()(photo), atol=1e-5)
    with pytest.raises(ValueError, match="does not fit into"):
        take_over(narrow, wide.state_dict())


def test_photos_of_a_source_may_come_less_often(small_cache: Path) -> None:
    cache = open_cache(small_cache / "192")
    rows = np.arange(10)
    shares = np.array([1.0] * 5 + [0.2] * 5)
    batches = Batches(cache, rows, rows[:0], rows[:0], Mixture(), seed=5, shares=shares)
    drawn = [batches._row(number) for number in range(6 * 200)]
    counts = np.bincount(drawn, minlength=10)
    for epoch in range(200):
        assert len(set(drawn[6 * epoch : 6 * epoch + 6])) == 6, "a photo came twice in one epoch"
    assert counts[:5].mean() > 2.5 * counts[5:].mean()
