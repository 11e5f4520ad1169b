"""Refined edges in the browser: matting with Python's arithmetic."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Visit
from PIL import Image
from test_pixels import cut, png

from liftout import Remover, matting, remove

WEB = Path(__file__).parents[2] / "web"
PHOTO = (150, 140)
"""Height and width of a photo whose band is small enough to be solved at full size."""

REFINE = """
import { readFileSync, writeFileSync } from "node:fs";
import { refine } from "./refine.mjs";
const [height, width, cell] = JSON.parse(process.argv[2]);
const read = (name) => new Uint8Array(readFileSync(name));
writeFileSync("refined.bin", refine(read("alpha.bin"), read("image.bin"), [height, width], cell));
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `refine.mjs` runs in Node."""
    bundler = WEB / "node_modules" / ".bin" / "rolldown"
    if shutil.which("node") is None or not bundler.exists():
        pytest.skip("needs Node and the packages in web/: make web")
    folder = tmp_path_factory.mktemp("matting")
    source = WEB / "src" / "matting" / "refine.ts"
    subprocess.run(
        [bundler, source, "--file", folder / "refine.mjs", "--format", "esm"], check=True, capture_output=True
    )
    (folder / "run.mjs").write_text(REFINE)
    return folder


def in_node(folder: Path, alpha: np.ndarray, image: np.ndarray, cell: float) -> np.ndarray:
    (folder / "alpha.bin").write_bytes(alpha.tobytes())
    (folder / "image.bin").write_bytes(image.tobytes())
    subprocess.run(["node", "run.mjs", json.dumps([*alpha.shape, cell])], cwd=folder, check=True)
    return np.frombuffer((folder / "refined.bin").read_bytes(), np.uint8).reshape(alpha.shape)


def waves(height: int, width: int) -> np.ndarray:
    """An alpha that is soft in most places: its band is nearly all of it."""
    y, x = np.mgrid[:height, :width]
    return np.rint(127.5 + 127.5 * np.sin(x / 40) * np.cos(y / 30)).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "least"),
    [
        pytest.param(PHOTO, 0, id="at full size"),
        pytest.param((241, 301), matting.SMALL_BAND, id="at half size"),
        pytest.param((1201, 1301), 4 * matting.TILE_UNKNOWN, id="in tiles", marks=pytest.mark.long),
    ],
)
def test_matting_has_the_levels_of_python(module: Path, examples: Path, size: tuple[int, int], least: int) -> None:
    with Image.open(examples / "cat.jpg") as photo:
        image = np.asarray(photo.convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC))
    alpha = waves(*size)
    if size == PHOTO:
        alpha[40:, :] = 255  # a band that meets what is sure
        alpha[:10] = 0
    told = matting.refine(alpha.copy(), image, cell=2.5)
    band = matting.trimap(alpha, radius=matting.band_radius(*size, 2.5)) == matting.UNKNOWN
    assert band.sum() > least
    assert (told != alpha).sum() > band.sum() / 4
    seen = in_node(module, alpha, image, 2.5)
    assert np.abs(seen.astype(int) - told).max() <= 1


def test_an_alpha_without_a_soft_place_stays_as_it_is(module: Path) -> None:
    image = np.zeros((9, 2, 3), np.uint8)
    for level in (0, 255):
        alpha = np.full((9, 2), level, np.uint8)
        np.testing.assert_array_equal(in_node(module, alpha, image, 1), alpha)


def test_refined_edges_are_those_of_python(
    visit: Callable[..., Visit], put_photo: Callable[[str, bytes], str], examples: Path
) -> None:
    with Image.open(examples / "cat.jpg") as image:
        content = png(np.asarray(image.convert("RGB")))
    photo = put_photo("hair.png", content)
    with Remover(edges="refined", engine="onnxruntime") as remover:
        told = remover(content).alpha
        pointed = remover(content, keep=[(225, 150)]).alpha
    assert (np.abs(told.astype(int) - remove(content).alpha) > 10).sum() > 1000, "matting should change something"
    tab = visit()
    model = {"onnx": "/pocket.onnx", "like": "pocket"}
    seen: Any = cut(tab, model, photo, {"edges": "refined"})["alpha"]
    shown: Any = cut(tab, model, photo, {"edges": "refined", "keep": [[225, 150]]})["alpha"]
    for made, expected in ((seen, told), (shown, pointed)):
        # a level more or less of the network's own alpha may move the band's border by a pixel
        assert (np.abs(made.astype(int) - expected) > 1).mean() < 1e-3
