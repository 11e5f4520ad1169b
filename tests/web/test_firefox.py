"""The page in a real Firefox: a photo is cut, a stroke is painted at once, and the saved file holds it."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from firefox import firefox
from hosting import hosting

READY = "while (!('ready' in document.documentElement.dataset)) await new Promise((go) => setTimeout(go, 100));"
GIVE = """
  const bytes = await (await fetch("samples/coffee.jpg")).arrayBuffer();
  const data = new DataTransfer();
  data.items.add(new File([bytes], "coffee.jpg", { type: "image/jpeg" }));
  const input = document.getElementById("photo-input");
  input.files = data.files;
  input.dispatchEvent(new Event("change"));
  while (!document.querySelector("#strip li.done, #strip li.failed")) await new Promise((go) => setTimeout(go, 100));
  return document.querySelector("#strip li").className + document.getElementById("verdict-text").textContent;
"""
STAGE = """
  document.querySelector("input[name=tool][value=erase]").click();
  const { x, y, width, height } = document.getElementById("before").getBoundingClientRect();
  return [x, y, width, height];
"""
DOWNLOAD = """
  let file;
  const make = URL.createObjectURL;
  URL.createObjectURL = (blob) => {
    if (blob.type === "image/png") file = blob;
    return make.call(URL, blob);
  };
  document.getElementById("download").click();
  while (!document.getElementById("notice").textContent.includes("cutout.png")) await new Promise((go) => setTimeout(go, 100));
"""
SAVE = f"""{DOWNLOAD}
  const bitmap = await createImageBitmap(file);
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return [200, 160].map((y) => context.getImageData(300, y, 1, 1).data[3]);
"""


def test_the_page_works_in_firefox(place: Path, tmp_path: Path) -> None:
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        pytest.skip("needs Firefox: apt-get install firefox-esr")
    if importlib.util.find_spec("aiohttp") is None:
        pytest.skip("needs aiohttp: pip install aiohttp")
    with hosting(place) as host, firefox(path, tmp_path) as visit:
        visit.open(host.address)
        visit.run(READY)
        assert visit.run(GIVE).startswith("done")
        visit.run("await new Promise((go) => setTimeout(go, 1500))")  # the stage draws
        left, top, width, height = visit.run(STAGE)
        visit.drag((left + 0.4 * width, top + 0.5 * height), (left + 0.6 * width, top + 0.5 * height))
        assert visit.run(SAVE) == [0, 255]
        assert visit.errors == []
