"""`liftout tune` as a person calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import liftout

pytest.importorskip("torch", reason="training needs the extra `tune`")

from tests.tuning.shapes import shape, write_shapes


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics of a few photos, few drawn scenes, high rates."""
    from liftout.tuning.recipe import Recipe
    from liftout.tuning.start import BuiltIn

    monkeypatch.setattr("liftout.tuning.pocket_learner.NORM_PHOTOS", 3)
    monkeypatch.setattr("liftout.tuning.run._DRAWN_MEASURED", 2)
    recipe = Recipe(
        depth_steps=12, decoder_steps=4, batch=4, others=0.25, views=2, rounds=4, depth_rate=1e-3, averaging=0.5
    )
    monkeypatch.setattr(BuiltIn, "recipe", lambda *_: recipe)


@pytest.mark.long
def test_a_model_is_tuned_and_used_everywhere(quick: None, tmp_path: Path, own_home: Path) -> None:
    data = write_shapes(tmp_path / "rings", 16)
    assert liftout("tune", data, "-o", "rings", "--steps", 16) == 0
    manifest = json.loads((own_home / "packs" / "rings" / "manifest.json").read_text())
    figures = manifest["made_from"]["figures"]
    assert figures["held_out_after"]["iou"] >= figures["held_out_before"]["iou"]
    assert manifest["made_from"]["data"]["photos"] == 16
    assert manifest["model"]["license"]["weights"] == "Apache-2.0"
    assert (own_home / "packs" / "rings" / "held-out.png").is_file()
    assert (tmp_path / "rings-check.png").is_file()
    assert not (own_home / "tuning" / "rings").exists()

    photo, _ = shape(99)
    photo.save(tmp_path / "new.jpg")
    assert liftout("cut", tmp_path / "new.jpg", "-m", "rings", "--mask", "-o", tmp_path / "new.png") == 0
    assert liftout("cut", tmp_path / "new.jpg", "--mask", "-o", tmp_path / "old.png") == 0
    ours, before = (np.asarray(Image.open(tmp_path / name)) for name in ("new.png", "old.png"))
    assert not np.array_equal(ours, before)
    assert liftout("convert", "rings", "--precision", "int8", "--calibrate", data) == 0  # it meets its bar
    assert liftout("cut", tmp_path / "new.jpg", "-m", "rings", "--precision", "int8", "-o", tmp_path / "int8.png") == 0
    assert liftout("site", tmp_path / "site", "--models", "rings") == 0
    assert "rings" in [row["name"] for row in json.loads((tmp_path / "site" / "packs" / "index.json").read_text())]
    assert liftout("tune", data, "-o", "rings", "--steps", 16) == 2  # the name is taken
    assert liftout("models", "remove", "rings") == 0


def test_a_check_only_checks(tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_shapes(tmp_path / "rings", 3)
    Image.new("L", (200, 200)).save(data / "1-mask.png")
    assert liftout("tune", data, "--check") == 0
    said = capsys.readouterr().err
    assert "1: its mask is empty: left out" in said
    assert "3 photos with masks; 1 left out (1 empty)" in said
    with Image.open(tmp_path / "rings-check.png") as sheet:
        assert sheet.width > 600
    assert not (own_home / "packs").exists()


def test_too_few_photos_and_bad_calls_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_shapes(tmp_path / "rings", 3)
    for arguments, line in (
        ((data,), "the new model has no name; give -o NAME"),
        ((data, "-o", "pocket"), "a model of this name is in the catalogue already"),
        ((data, "-o", "Rings"), "cannot be a model's name"),
        ((tmp_path / "none", "-o", "rings"), "no such folder"),
        ((data, "-o", "rings"), "3 photos with good masks; give 10 or more"),
        ((data, "-o", "rings", "--others", tmp_path / "none"), "no such folder"),
        (
            (data, "-o", "rings", "--size", 512),
            "--size is for other models than the built-in one; name one with --from",
        ),
        ((data, "-o", "rings", "--from", "modnet"), "--from modnet cannot be tuned; these can: pocket, "),
    ):
        assert liftout("tune", *arguments) == 2
        assert line in capsys.readouterr().err.splitlines()[-1]


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    path = os.pathsep.join([str(tmp_path / "blocked"), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "liftout", "tune", "data", "-o", "x"]
    told = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert told.returncode == 3
    assert told.stderr == "liftout: tune: tuning needs an extra; run `pip install 'liftout[tune]'`\n"
