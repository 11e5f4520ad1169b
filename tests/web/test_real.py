"""Real weights in the browser: U2-Net from the package registry, and IS-Net as another library runs it."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Visit
from hosting import hosting
from PIL import Image
from test_pixels import cut

from liftout import Remover, find, site
from liftout.agreement import compare
from tests.command import liftout
from tests.weights import real

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.long


def test_real_u2net_runs_in_the_browser_as_in_python(
    chromium: str, browser: Any, examples: Path, own_home: Path, tmp_path: Path
) -> None:
    path = real("u2net")
    target = own_home / "models" / "u2net" / path.name
    target.parent.mkdir(parents=True)
    target.symlink_to(path)
    public = tmp_path / "public"
    site.write(public, ["u2net"])
    (public / "blank.html").write_text("<!doctype html><title>blank</title><link rel=icon href=data:,>")
    (public / "photos").mkdir()
    shutil.copy(examples / "astronaut.jpg", public / "photos")
    with hosting(public) as host:
        context = browser.new_context()
        seen = cut(Visit(context.new_page(), host.address), "u2net", "astronaut.jpg")["alpha"]
        context.close()
    with Remover("u2net", engine="onnxruntime", precision="fp32") as remover:
        told = remover(examples / "astronaut.jpg").alpha
    agreement, _ = compare(seen, told, "")
    assert agreement.difference < 0.002
    assert agreement.iou > 0.995


IMGLY = ("@imgly/background-removal@1.4.5", "@imgly/background-removal-data@1.4.5")
"""Real weights of IS-Net in half precision. The packages are under the AGPL: they are fetched to be compared with, and stay in
the test's folder."""

ENTRY = (
    "import { segmentForeground } from '@imgly/background-removal';\nwindow.segmentForeground = segmentForeground;\n"
)

SEGMENT = """async () => {
  const photo = await (await fetch("/photo.jpg")).blob();
  const made = await segmentForeground(photo, {
    publicPath: new URL("/data/", location).href, model: "medium", proxyToWorker: false, output: { format: "image/png" } });
  const bytes = new Uint8Array(await made.arrayBuffer());
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}"""


@pytest.fixture(scope="module")
def imgly(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with imgly's library as `bundle.js`, its data in `data/`, and its IS-Net joined to `isnet.onnx`."""
    bundler = ROOT / "web" / "node_modules" / ".bin" / "rolldown"
    npm = shutil.which("npm")
    if npm is None or not bundler.exists():
        pytest.skip("needs npm and the browser's build tools: make web")
    folder = tmp_path_factory.mktemp("imgly")
    (folder / "package.json").write_text("{}")
    done = subprocess.run(
        [npm, "install", "--ignore-scripts", "--no-audit", *IMGLY],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=900,
    )
    if done.returncode:
        pytest.skip(f"imgly's packages are out of reach: {done.stderr.strip().splitlines()[-1:]}")
    (folder / "entry.js").write_text(ENTRY)
    subprocess.run(
        [bundler, "entry.js", "--file", "bundle.js", "--format", "iife", "--platform", "browser"],
        cwd=folder,
        check=True,
    )
    data = folder / "node_modules" / "@imgly" / "background-removal-data" / "dist"
    (folder / "data").symlink_to(data)
    chunks = json.loads((data / "resources.json").read_text())["/models/medium"]["chunks"]
    chunks.sort(key=lambda chunk: chunk["offsets"][0])
    (folder / "isnet.onnx").write_bytes(b"".join((data / chunk["hash"]).read_bytes() for chunk in chunks))
    return folder


@pytest.mark.parametrize("name", ["astronaut", "cat"])
def test_the_recipe_of_isnet_gives_the_cutouts_of_another_library_on_the_same_weights(
    imgly: Path, browser: Any, examples: Path, name: str
) -> None:
    """imgly resizes in its own way, cuts no levels and stretches nothing: alphas differ a little at edges."""
    if not (Path(os.environ["LIFTOUT_HOME"]) / "catalog" / "imgly.toml").is_file():
        assert liftout("models", "add", "imgly", "--onnx", imgly / "isnet.onnx", "--like", "isnet-general-use") == 0
    assert find("imgly").files[0].precision == "fp16"
    shutil.copyfile(examples / f"{name}.jpg", imgly / "photo.jpg")
    (imgly / "index.html").write_text("<!doctype html><link rel=icon href=data:,><script src=bundle.js></script>")
    with hosting(imgly) as host:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(600_000)
        page.goto(host.address)
        made = page.evaluate(SEGMENT).encode("latin1")
        context.close()
    with Image.open(io.BytesIO(made)) as picture:
        theirs = np.asarray(picture.convert("RGBA"))[..., 3]
    with Remover("imgly", engine="onnxruntime", edges="plain") as remover:
        ours = remover(examples / f"{name}.jpg").alpha
    agreement, _ = compare(ours, theirs, "")
    assert agreement.iou > 0.98, agreement
    assert agreement.difference < 0.01, agreement
