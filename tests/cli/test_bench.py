"""`liftout bench`."""

from __future__ import annotations

import dataclasses
import json
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout import Remover, measure
from liftout.engines.choice import installed
from liftout.options import RunOptions
from tests.command import liftout


@pytest.fixture
def small(tmp_path: Path, examples: Path) -> Path:
    """A photo that takes no time."""
    path = tmp_path / "small.jpg"
    with Image.open(examples / "cat.jpg") as image:
        image.resize((160, 120)).save(path)
    return path


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """The built-in pack, somewhere else."""
    return Path(shutil.copytree(str(files("liftout.models").joinpath("built_in", "pocket")), tmp_path / "my-pack"))


def test_every_engine_that_is_installed_is_measured_and_one_is_what_auto_takes(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert liftout("bench", "--photo", small, "--repeats", 1, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["source"], told["size"]) == ("pocket", "built-in", [320, 320])
    engines = {name for name in ("onnxruntime", "openvino", "torch") if installed(name)}
    assert {row["engine"] for row in told["rows"]} == engines
    for row in told["rows"]:
        assert "error" not in row
        assert 0 < row["network_seconds"] <= row["photo_seconds"]
        assert min(row["load_seconds"], row["photo_cpu_seconds"]) > 0
        assert 20e6 < row["peak_bytes"] < 5e9
    (taken,) = [row for row in told["rows"] if row["auto"]]
    with Remover() as remover:
        assert (remover.engine, remover.device) == (taken["engine"], taken["device"])
    assert told["auto"]["reason"]


def test_the_table_marks_what_auto_takes_and_a_failure_is_one_line(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        measure,
        "combinations",
        lambda options: [
            dataclasses.replace(options, engine="onnxruntime", device=device, precision="fp32")
            for device in ("cpu", "cuda")
        ],
    )
    assert liftout("bench", small, "--repeats", 1) == 0
    first, header, good, bad, last = capsys.readouterr().out.splitlines()
    assert first.startswith("pocket (built-in, 320 x 320), small.jpg")
    assert header.split()[-2:] == ["peak", "MB"]
    assert good.startswith("onnxruntime fp32 ")
    assert good.endswith("<- auto")
    assert bad.startswith("onnxruntime cuda fp32  device `cuda` needs CUDAExecutionProvider")
    assert last.startswith("auto uses onnxruntime fp32: ")


def test_a_process_that_dies_is_one_line(tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\nkill -9 $$\n", encoding="ascii")
    dying.chmod(0o755)
    monkeypatch.setattr(measure.sys, "executable", str(dying))
    told = measure.run(RunOptions(engine="onnxruntime", device="cpu", precision="fp32"), [small])
    assert told == "the process was killed by signal 9; it may need more memory than is free"


def test_the_folder_of_a_pack_is_measured(pack: Path, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("bench", "-m", pack, "--photo", small, "--repeats", 1, "--edges", "plain", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["source"]) == ("pocket", "pack")
    assert "network_seconds" in told["rows"][0]


def test_a_remover_of_a_packs_folder_gives_what_the_model_gives(pack: Path, small: Path) -> None:
    with Remover(str(pack), engine="onnxruntime") as one, Remover("pocket", engine="onnxruntime") as other:
        assert np.array_equal(one(small).rgba, other(small).rgba)


def test_without_a_photo_one_of_two_megapixels_is_made() -> None:
    content = measure.made_photo()
    assert content == measure.made_photo()
    with Remover(edges="plain") as remover:
        alpha = remover(content).alpha
    assert alpha.size == 1632 * 1224


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("-m", "pockett"), 2, "did you mean"),
        (("-m", "u2netp"), 3, "LIFTOUT_OFFLINE"),
        (("-m", "./nothing"), 3, "is not a pack"),
        (("--photo", "nothing.jpg"), 2, "does not exist"),
        (("--repeats", "0"), 2, "0"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_line(
    arguments: tuple[str, ...], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert liftout("bench", *arguments) == status
    assert said in capsys.readouterr().err


def test_a_file_that_is_no_photo_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "text.jpg"
    path.write_text("no photo", encoding="ascii")
    assert liftout("bench", path) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("text.jpg") == 1
