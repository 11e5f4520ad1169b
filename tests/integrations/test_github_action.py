"""The GitHub Action: its script, with the inputs as GitHub passes them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from liftout import remove
from tests.conftest import ROOT

yaml = pytest.importorskip("yaml")
pytest.importorskip("fsspec")

FOLDER = ROOT / "integrations" / "github-action"


def action() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "action.yml").read_text(encoding="utf-8"))


def run(folder: Path, **inputs: str) -> tuple[int, dict[str, str]]:
    """Run the step that cuts out, as a runner does; gives its status and its outputs."""
    described = action()
    values = {name: str(one.get("default", "")) for name, one in described["inputs"].items()} | inputs
    (step,) = (step for step in described["runs"]["steps"] if step.get("id") == "cut")
    assert step["shell"] == "bash"
    environment = {name: values[text.split("inputs.")[1].rstrip(" }")] for name, text in step["env"].items()}
    (folder / "step.sh").write_text(step["run"], encoding="utf-8")
    (folder / "output").touch()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "GITHUB_OUTPUT": str(folder / "output"), "RUNNER_TEMP": str(folder)}
    call = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(folder / "step.sh")]
    ended = subprocess.run(call, cwd=folder, env={**os.environ, **environment, **own}, check=False)
    return ended.returncode, dict(line.split("=", 1) for line in (folder / "output").read_text().splitlines())


@pytest.mark.long
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_folder_is_cut_out_and_counted(tmp_path: Path, examples: Path) -> None:
    photos = tmp_path / "my photos; touch hacked" / "cats"
    photos.mkdir(parents=True)
    with Image.open(examples / "cat.jpg") as photo:
        photo.resize((90, 60)).save(photos / "cat.jpg")
    source = "my photos; touch hacked"
    status, outputs = run(tmp_path, source=source, target="cut outs", options="--background white --format jpeg")
    assert status == 0
    assert (outputs["done"], outputs["failed"]) == ("1", "0")
    expected = remove(photos / "cat.jpg").to_bytes("jpeg", background="white")
    assert (tmp_path / "cut outs" / "cats" / "cat.jpg").read_bytes() == expected
    assert not (tmp_path / "hacked").exists()
    lines = Path(outputs["report"]).read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["done"]

    (photos / "broken.jpg").write_bytes(b"no photo")
    status, outputs = run(tmp_path, source=source, target="cut outs", options="--background white --format jpeg")
    assert status == 1
    assert outputs["failed"] == "1"


def test_what_the_readme_and_the_outputs_name_is_there() -> None:
    described = action()
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in (*described["inputs"], *described["outputs"]):
        assert f"`{name}`" in readme
    (cut,) = (step for step in described["runs"]["steps"] if step.get("id") == "cut")
    for name, output in described["outputs"].items():
        assert output["value"] == f"${{{{ steps.cut.outputs.{name} }}}}"
        assert f'"{name}=' in cut["run"]
    for step in described["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
