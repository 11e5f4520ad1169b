"""examples/notebook.ipynb and the code of docs/notebooks.md, run by a real kernel in an environment of its own."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from liftout import remove
from tests.conftest import ROOT
from tests.manual.documents import blocks

NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
RUN = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], 4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[1])
"""
COMPARE = """
import json

ways = {"pillow": from_pillow, "numpy": from_numpy, "opencv": from_opencv, "torch": from_torch}
found = {name: float(np.abs(way.alpha.astype(int) - cutout.alpha).max()) for name, way in ways.items()}
found["datasets"] = float(np.abs(np.asarray(cut[0]["cutout"]).astype(int) - cutout.rgba).max())
found["bgra"] = bool((from_opencv.bgra[..., ::-1][..., 1:] == from_opencv.rgba[..., :3]).all())
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with Jupyter's kernel and `datasets`, which finds the packages of this one too."""
    pytest.importorskip("torch")
    pytest.importorskip("cv2")
    folder = tmp_path_factory.mktemp("kernel")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    (inside,) = (folder / "lib").glob("python*/site-packages")
    (inside / "outer.pth").write_text("\n".join(site.getsitepackages()) + "\n", encoding="utf-8")
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*install, "nbclient", "ipykernel", "datasets"], check=True)
    subprocess.run([str(python), "-m", "ipykernel", "install", "--prefix", str(folder)], check=True)
    return python


def executed(python: Path, notebook: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The code cells of a notebook after a kernel ran it in a folder with the example photos."""
    for photo in (ROOT / "examples").glob("*.jpg"):
        shutil.copy(photo, folder)
    path = folder / "notebook.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    own = {"PYTHONPATH": str(ROOT / "src"), "IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder)}
    ended = subprocess.run(
        [str(python), "-c", RUN, str(path)], cwd=folder, env={**os.environ, **own}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def shown(cell: dict[str, Any]) -> Image.Image:
    """The picture that a cell shows."""
    (result,) = [output for output in cell["outputs"] if output["output_type"] == "execute_result"]
    return Image.open(io.BytesIO(base64.b64decode(result["data"]["image/png"])))


def printed(cell: dict[str, Any]) -> str:
    return "".join("".join(output["text"]) for output in cell["outputs"] if output.get("name") == "stdout")


def code_cell(code: str) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": code}


def test_the_notebook_is_stored_without_results() -> None:
    stored = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    for cell in stored["cells"]:
        assert not cell.get("outputs"), cell["id"]
        if cell["cell_type"] == "code":
            compile("".join(cell["source"]), cell["id"], "exec")


@pytest.mark.long
def test_the_notebook_shows_cutouts_of_every_library(kernel: Path, tmp_path: Path, examples: Path) -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    notebook["cells"].append({**code_cell(COMPARE), "id": "compare"})
    cells = {cell["id"]: cell for cell in executed(kernel, notebook, tmp_path)}
    cat = remove(examples / "cat.jpg")
    np.testing.assert_array_equal(np.asarray(shown(cells["first"])), cat.rgba)
    assert shown(cells["pillow"]).mode == "RGB"
    assert shown(cells["torch"]).size == cat.image.size
    assert shown(cells["datasets"]).mode == "RGBA"
    found = json.loads(printed(cells["compare"]))
    assert found.pop("bgra") is True
    assert found.pop("opencv") <= 32  # OpenCV's own decoder may differ by a level of colour
    assert found == {"pillow": 0, "numpy": 0, "torch": 0, "datasets": 0}


@pytest.mark.long
def test_the_code_of_the_page_runs_in_a_kernel(kernel: Path, tmp_path: Path, examples: Path) -> None:
    """All blocks of docs/notebooks.md, with the one that needs `datasets`."""
    shutil.copy(examples / "officer.jpg", tmp_path / "photo.jpg")
    (tmp_path / "photos").mkdir()
    shutil.copy(examples / "cat.jpg", tmp_path / "photos")
    cells = [code_cell(block.code) for block in blocks(ROOT / "docs/notebooks.md") if block.kind == "python"]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    ran = executed(kernel, notebook, tmp_path)
    assert shown(ran[0]).mode == "RGBA"
    assert any("datasets" in "".join(cell["source"]) for cell in ran)
    assert (tmp_path / "cutout.png").is_file()
