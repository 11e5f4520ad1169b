"""A training run is a function of its recipe, whatever interrupts it."""

from __future__ import annotations

import json
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

from liftout.networks.u2net import SMALL_WIDTHS, U2Net
from training.augment import Mixture, PhotoBatches
from training.blend import blend
from training.cache import open_cache
from training.export import load_run, store_as_bytes, to_onnx, write
from training.muon import orthogonal
from training.network import SIZE, WIDTHS, PocketNetwork, take_over
from training.scenes import CHUNK, SIDE, TEACHER, make_scenes, open_scenes, to_teacher
from training.selection import read_names, select
from training.shipped import read_shipped, settle
from training.train import Batches, Hints, Recipe, agreed, structure_loss

ROOT = Path(__file__).resolve().parents[2]

RECIPE = """
seed = 3
warm_up = 2

[[phases]]
batch = 4
scenes = 40
sides = [64, 96]
rate = [4e-3, 2e-3]
"""


def _start(folder: Path, scenes: Path) -> subprocess.Popen[str]:
    (folder / "tiny.toml").write_text(RECIPE)
    options = [
        "--runs",
        str(folder),
        "--scenes",
        str(scenes),
        "--threads",
        "1",
        "--device",
        "cpu",
        "--save-seconds",
        "0",
    ]
    command = [sys.executable, "-m", "training.train", str(folder / "tiny.toml"), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(run: subprocess.Popen[str]) -> str:
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output
    return output


def test_a_killed_run_continues_to_the_same_weights(few_scenes: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    _finish(_start(whole, few_scenes))
    first = _start(broken, few_scenes)
    deadline = time.monotonic() + 120
    while not (broken / "tiny" / "log.csv").exists() and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert first.stdout is not None
    first.stdout.close()
    second = _finish(_start(broken, few_scenes))
    assert "continuing tiny after step" in second

    one = torch.load(whole / "tiny" / "checkpoint.pt")
    two = torch.load(broken / "tiny" / "checkpoint.pt")
    assert one["step"] == two["step"] == 10
    for kind in ("network", "averaged"):
        for name, weight in one[kind].items():
            assert torch.equal(weight, two[kind][name]), f"{kind} {name} differs"
    assert (broken / "tiny" / "curves.png").stat().st_size > 1000


def test_a_run_of_another_recipe_is_not_continued(few_scenes: Path, tmp_path: Path) -> None:
    _finish(_start(tmp_path, few_scenes))
    run = _start(tmp_path, few_scenes)
    (tmp_path / "tiny.toml").write_text(RECIPE.replace("seed = 3", "seed = 4"))
    output, _ = run.communicate(timeout=240)
    if run.returncode == 0:
        # The process read the first text before it was replaced; read the second now.
        options = ["--runs", str(tmp_path), "--scenes", str(few_scenes), "--device", "cpu"]
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
    photos, alphas, *_ = PhotoBatches(cache, rows, rows[:0], rows[:0], still, seed=5)(0, 0, 8, 96, torch.device("cpu"))
    assert photos.shape == (8, 3, 96, 96)
    assert alphas.shape == (8, 1, 96, 96)
    assert float(alphas.min()) >= 0
    assert float(alphas.max()) <= 1

    # A copy of the alpha in place of the photo's colours must come out where the alpha does.
    grey = np.repeat(np.asarray(cache.alphas)[..., None], 3, axis=3)
    mirrored = type(cache)(grey, cache.alphas, cache.names)
    photos, alphas, *_ = PhotoBatches(mirrored, rows, rows[:0], rows[:0], still, seed=5)(
        0, 0, 8, 96, torch.device("cpu")
    )
    for photo, alpha in zip(photos, alphas, strict=True):
        if float(alpha.std()) > 0.1:
            assert np.corrcoef(photo.mean(0).flatten(), alpha.flatten())[0, 1] > 0.95


def test_scenes_come_with_an_empty_alpha(small_cache: Path) -> None:
    cache = open_cache(small_cache / "192")
    rows = np.arange(8)
    batches = PhotoBatches(cache, rows, rows, rows[:0], Mixture(paste=0, empty=1), seed=5)
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


def test_scenes_are_what_the_teacher_saw(few_scenes: Path) -> None:
    scenes = open_scenes(few_scenes)
    assert len(scenes.photos) == 40
    whole = U2Net(SMALL_WIDTHS).eval()
    whole.load_state_dict(torch.load(TEACHER, map_location="cpu"))
    seen: dict[str, torch.Tensor] = {}
    for name in ("stage4", "stage5d", "side3"):
        part = whole.get_submodule(name)
        part.register_forward_hook(lambda module, inputs, output, name=name: seen.update({name: output[0]}))
    for row in (3, 17):
        with torch.no_grad():
            whole(torch.from_numpy(to_teacher(scenes.photos[row])))
        teacher = torch.from_numpy(scenes.teacher[row] / np.float32(255))
        assert float((teacher - torch.sigmoid(seen["side3"][0])).abs().mean()) < 0.02
        for name in ("stage4", "stage5d"):
            known = scenes.maps[name]
            apart = np.abs(known.values[row] * known.step - seen[name].permute(1, 2, 0).numpy()) / known.spread
            assert float(apart.mean()) < 0.1, f"{name} is another map"


def test_a_window_shows_the_same_place_of_everything(few_scenes: Path) -> None:
    scenes = open_scenes(few_scenes)
    batches = Batches(scenes, np.arange(40), seed=1, contrast=1, device=torch.device("cpu"))
    rows, left_half = np.arange(4), torch.tensor([[-0.5, 0, -0.5], [0, 1.0, 0]]).expand(4, -1, -1)
    whole, half = batches.take(rows, SIDE), batches.take(rows, SIDE, left_half)
    for name, all_of_it, part in (
        ("photos", whole.photos, half.photos),
        ("alphas", whole.alphas, half.alphas),
        ("teacher", whole.teacher, half.teacher),
        *[(name, whole.maps[name], half.maps[name]) for name in whole.maps],
    ):
        mirrored = part.flip(3)
        width = all_of_it.shape[3] // 2
        expected = torch.nn.functional.interpolate(all_of_it[..., :width], size=all_of_it.shape[2:], mode="bilinear")
        inside = slice(4, -4)
        apart = (mirrored - expected)[..., inside].abs().mean() / all_of_it.std()
        assert float(apart) < 0.1, f"{name} shows another place"


def test_making_scenes_goes_on_where_it_was(few_scenes: Path, small_cache: Path, tmp_path: Path) -> None:
    shutil.copytree(few_scenes, tmp_path / "scenes")
    facts = json.loads((tmp_path / "scenes" / "scenes.json").read_text())
    facts["complete"] = CHUNK
    (tmp_path / "scenes" / "scenes.json").write_text(json.dumps(facts))
    photos = np.load(tmp_path / "scenes" / "photos.npy", mmap_mode="r+")
    photos[CHUNK:] = 0
    photos.flush()
    cache = open_cache(small_cache / "192")
    make_scenes(cache, select(cache, set(), set()), tmp_path / "scenes", count=40, seed=5)
    again, once = open_scenes(tmp_path / "scenes"), open_scenes(few_scenes)
    assert len(again.photos) == 40
    assert np.array_equal(again.photos, once.photos)
    with pytest.raises(SystemExit, match="holds 40 scenes of seed 5"):
        make_scenes(cache, select(cache, set(), set()), tmp_path / "scenes", count=40, seed=6)


def test_the_teacher_is_asked_where_it_disagrees() -> None:
    made = torch.zeros(2, 1, 64, 64)
    made[0, :, 8:24, 8:24] = 1
    made[0, :, 40:56, 40:56] = 1
    teacher = torch.zeros(2, 1, 32, 32)
    teacher[0, :, 4:12, 4:12] = 1
    teacher[1] = 0.6
    alpha, coarse = agreed(made, teacher)
    assert torch.equal(alpha[0, :, 8:24, 8:24], made[0, :, 8:24, 8:24])
    assert float(alpha[0, :, 44:52, 44:52].max()) < 0.1, "the teacher saw no second subject"
    assert float(coarse[1].max()) == 0
    assert float(alpha[1].max()) == 0, "a scene without a subject stays empty"


def test_the_loss_prefers_the_right_alpha() -> None:
    torch.manual_seed(0)
    alphas = torch.zeros(2, 1, 32, 32)
    alphas[:, :, 8:24, 10:20] = 1
    teacher = torch.nn.functional.avg_pool2d(alphas, 2)
    network = PocketNetwork()
    with torch.no_grad():
        outputs = network.logits(torch.randn(2, 3, 64, 64))
    right = [torch.nn.functional.interpolate(alphas, size=o.shape[-1], mode="area") * 20 - 10 for o in outputs]
    wrong = [-o for o in right]
    losses = [float(structure_loss(some, alphas, teacher)) for some in (right, outputs, wrong)]
    assert losses[0] < losses[1] < losses[2]


@pytest.mark.parametrize("step", [0, 3, 9, 12])
def test_a_recipe_knows_every_step(tmp_path: Path, step: int) -> None:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE + "\n[[phases]]\nbatch = 8\nscenes = 32\nrate = [4e-4, 0.0]\n")
    recipe = Recipe.read(path)
    assert recipe.steps == 14
    now = recipe.at(step)
    assert now.drawn == (4 * step if step < 10 else 40 + 8 * (step - 10))
    assert 0 < now.rate <= 4e-3
    assert recipe.at(13).phase.batch == 8
    with pytest.raises(IndexError):
        recipe.at(14)


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


def test_what_ships_can_be_trained_on(few_scenes: Path, tmp_path: Path) -> None:
    scenes = open_scenes(few_scenes)
    photos = (
        Batches(scenes, np.arange(40), seed=1, contrast=1, device=torch.device("cpu")).take(np.arange(8), 128).photos
    )
    torch.manual_seed(0)
    trained = PocketNetwork()
    for parameter in trained.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    with torch.no_grad():
        for _ in range(8):
            trained.logits(photos)
        expected = trained.eval().logits(photos)[0]
    write(store_as_bytes(to_onnx(trained, 64, gain=1.5)), tmp_path / "network.onnx")
    network = read_shipped(tmp_path / "network.onnx", gain=1.5)
    with torch.no_grad():
        read_back = network.logits(photos)[0]
        settle(network, [photos])
        settled = network.eval().logits(photos)[0]
        training = network.train().logits(photos)[0]
    spread = expected.std()
    assert float((read_back - expected).abs().mean()) < 0.05 * spread, "more than int8 costs"
    assert float((settled - read_back).abs().max()) < 0.01 * spread
    assert float((training - read_back).abs().mean()) < 0.05 * spread, "norms change what the network computes"


@pytest.mark.parametrize("shape", [(24, 100), (100, 24), (32, 32)])
def test_orthogonal_steps(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape) @ torch.diag(torch.logspace(0, -1, shape[1]))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert float(values.max()) < 1.3
    assert float(values.median()) > 0.6
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert float((orthogonal(matrix) * (u @ v)).sum()) > 0.7 * min(shape), "points elsewhere"


def test_a_blend_is_the_mean_of_its_runs(tmp_path: Path) -> None:
    networks = []
    for name in ("one", "two"):
        torch.manual_seed(len(networks))
        networks.append(PocketNetwork())
        (tmp_path / name).mkdir()
        state = {"averaged": networks[-1].state_dict(), "hints": Hints().state_dict(), "recipe": {"widths": WIDTHS}}
        torch.save(state, tmp_path / name / "checkpoint.pt")
    blend([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    mean = load_run(tmp_path / "both").stem[0].weight
    assert torch.allclose(mean, (networks[0].stem[0].weight + networks[1].stem[0].weight) / 2)
    with pytest.raises(SystemExit, match="holds a run"):
        blend([tmp_path / "one"], tmp_path / "two")


def test_photos_of_a_source_may_come_less_often(small_cache: Path) -> None:
    cache = open_cache(small_cache / "192")
    rows = np.arange(10)
    shares = np.array([1.0] * 5 + [0.2] * 5)
    batches = PhotoBatches(cache, rows, rows[:0], rows[:0], Mixture(), seed=5, shares=shares)
    drawn = [batches._row(number) for number in range(6 * 200)]
    counts = np.bincount(drawn, minlength=10)
    for epoch in range(200):
        assert len(set(drawn[6 * epoch : 6 * epoch + 6])) == 6, "a photo came twice in one epoch"
    assert counts[:5].mean() > 2.5 * counts[5:].mean()
