"""The examples of docs/browser.md, as they stand there: on a static host, and in fresh Vite projects."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hosting import hosting
from PIL import Image

from liftout import site

ROOT = Path(__file__).parents[2]
PAGE = '<!doctype html><input type="file" id="photo" /><div id="root"></div>{image}<script type="module" src="/main.jsx"></script>'
REACT_MAIN = """
import { useState } from "react";
import { createRoot } from "react-dom/client";
import { Cutout } from "./cutout.jsx";
function App() {
  const [file, setFile] = useState(null);
  document.getElementById("photo").onchange = (event) => setFile(event.target.files[0]);
  return file && <Cutout file={file} />;
}
createRoot(document.getElementById("root")).render(<App />);
"""


def example(language: str) -> str:
    """The only block of this language in the page."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "browser.md").read_text(), re.DOTALL)
    return found


def cuts_a_photo(browser: Any, address: str, photo: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    page.locator("#photo").set_input_files(str(photo))
    try:
        page.wait_for_function("document.querySelector('img')?.naturalWidth > 0", timeout=120_000)
    finally:
        assert problems == []
    size = page.evaluate("[document.querySelector('img').naturalWidth, document.querySelector('img').naturalHeight]")
    with Image.open(photo) as image:
        assert tuple(size) == image.size
    context.close()


def test_the_five_lines_run_on_a_static_host(browser: Any, tmp_path: Path, examples: Path) -> None:
    site.write(tmp_path / "public", ["pocket"])
    (tmp_path / "public" / "example.html").write_text(f"<!doctype html>{example('html')}")
    with hosting(tmp_path / "public") as host:
        cuts_a_photo(browser, f"{host.address}example.html", examples / "cat.jpg")


@pytest.fixture(scope="session")
def npm_package(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make npm` packs."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("npm")
    shutil.copyfile(ROOT / "web" / "package.json", folder / "package.json")
    site.write(folder / "dist", [])
    for name in site.PAGE_FILES:
        (folder / "dist" / name).unlink()
    shutil.rmtree(folder / "dist" / "packs")
    run(["npm", "pack"], folder)
    return next(folder.glob("*.tgz"))


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize("kind", ["plain", "react"])
def test_the_example_runs_in_a_fresh_vite_project(
    browser: Any, npm_package: Path, tmp_path: Path, examples: Path, kind: str
) -> None:
    react = {"react": "^19", "react-dom": "^19"} if kind == "react" else {}
    described = {
        "name": "fresh",
        "private": True,
        "type": "module",
        "dependencies": {"liftout": f"file:{npm_package}", **react},
        "devDependencies": {"vite": "^8"},
    }
    (tmp_path / "package.json").write_text(json.dumps(described))
    if kind == "react":
        (tmp_path / "index.html").write_text(PAGE.format(image=""))
        (tmp_path / "cutout.jsx").write_text(example("jsx"))
        (tmp_path / "main.jsx").write_text(REACT_MAIN)
        (tmp_path / "vite.config.js").write_text('export default { esbuild: { jsx: "automatic" } };')
    else:
        (tmp_path / "index.html").write_text(PAGE.format(image='<img id="cutout" />'))
        (tmp_path / "main.jsx").write_text(example("js"))
    site.write(tmp_path / "public" / "liftout", ["pocket"])
    run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], tmp_path)
    run(["npx", "vite", "build", "--target", "esnext"], tmp_path)
    with hosting(tmp_path / "dist") as host:
        cuts_a_photo(browser, host.address, examples / "cat.jpg")


def test_examples_of_the_page_are_there() -> None:
    assert all(example(language) for language in ("html", "js", "jsx"))
