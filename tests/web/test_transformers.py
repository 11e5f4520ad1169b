"""Our `huggingface` layout in the real @huggingface/transformers, in Chromium: loads, and gives our alpha.

transformers.js divides by 255 where U2-Net divides by the largest level, does not stretch the mask, and resizes by the
browser's canvas; so the photo here has a white pixel and the network's own size, and only the mask's stretch is left.
"""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hosting import hosting
from PIL import Image

from liftout import graphs
from liftout.convert import convert_model, huggingface
from liftout.engines import NetworkFile, open_network
from liftout.models.catalog import find
from tests.networks import reference

VERSION = "4.3.1"
WEIGHTS = Path(__file__).parents[3] / "shared" / "data" / "weights"

PAGE = """<!doctype html><script type="module">
import { pipeline, env, RawImage } from "./tj/transformers.min.js";
env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = "./models/";
env.useBrowserCache = false;
env.backends.onnx.wasm.wasmPaths = new URL("./ort/", location.href).href;
env.backends.onnx.wasm.numThreads = 1;
window.alphaOf = async (model, dtype, photo) => {
  const remove = await pipeline("background-removal", model, { device: "wasm", dtype });
  const made = await remove(await RawImage.read(photo));
  const alpha = new Uint8Array(made.width * made.height);
  for (let k = 0; k < alpha.length; k++) alpha[k] = made.data[4 * k + 3];
  await remove.dispose();
  let text = "";
  for (const value of alpha) text += String.fromCharCode(value);
  return { width: made.width, height: made.height, alpha: btoa(text) };
};
window.ready = true;
</script>"""


@pytest.fixture(scope="module")
def transformers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static site with the published package and its runtime."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("transformers")
    (folder / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--omit=optional"]
    done = subprocess.run(
        [*command, f"@huggingface/transformers@{VERSION}"], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"@huggingface/transformers cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    site = folder / "site"
    (site / "ort").mkdir(parents=True)
    (site / "tj").mkdir()
    modules = folder / "node_modules"
    shutil.copyfile(
        modules / "@huggingface" / "transformers" / "dist" / "transformers.min.js",
        site / "tj" / "transformers.min.js",
    )
    for path in (modules / "onnxruntime-web" / "dist").glob("ort*"):
        shutil.copyfile(path, site / "ort" / path.name)
    (site / "index.html").write_text(PAGE)
    return site


def _photo(size: int) -> tuple[str, np.ndarray]:
    picture = Image.open(Path(__file__).parents[2] / "examples" / "cat.jpg").convert("RGB").resize((size, size))
    picture.putpixel((0, 0), (255, 255, 255))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode(), np.asarray(picture)


@pytest.mark.long
@pytest.mark.parametrize(("model", "size"), [("u2netp", 320), ("birefnet-general-lite", 512)])
def test_package_loads_our_folder_and_gives_our_alpha(
    transformers: Path, browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, size: int
) -> None:
    spec = find(model)
    if model == "u2netp":
        if not WEIGHTS.is_dir():
            pytest.skip(f"no real weights in {WEIGHTS}")
        checkpoint = WEIGHTS / "u2netp.pth"
    else:
        import torch

        # int8 of weights that mean nothing takes minutes and says nothing
        monkeypatch.setattr(huggingface, "GRAPHS", {"fp32": "model.onnx"})
        checkpoint = tmp_path / "lite.pth"
        torch.save(reference.state(spec.architecture), checkpoint)
    folder = convert_model(
        spec, checkpoint, size=(size, size), layout="huggingface", out_dir=tmp_path / "made", keep_below_bar=False
    )
    target = transformers / "models" / model
    shutil.copytree(folder, target)
    photo, pixels = _photo(size)
    with hosting(transformers) as host:
        page = browser.new_page()
        try:
            page.goto(host.address)
            page.wait_for_function("window.ready", timeout=60_000)
            made = page.evaluate("([m, p]) => window.alphaOf(m, 'fp32', p)", [model, photo])
        finally:
            page.close()
    assert (made["width"], made["height"]) == (size, size)
    theirs = np.frombuffer(base64.b64decode(made["alpha"]), np.uint8).reshape(size, size)
    network = open_network(NetworkFile(name=model, path=folder / "onnx" / "model.onnx", size=(size, size)))
    tensor, _ = graphs.prepare(pixels, spec.with_size((size, size)).input)
    ours = (network.run(tensor)[0, 0] * 255).astype(np.uint8)  # transformers.js cuts, where we round
    apart = np.abs(theirs.astype(int) - ours)
    assert apart.max() <= 1, apart.max()
    assert ours.max() > ours.min()
