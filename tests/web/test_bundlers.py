"""The examples of docs/browser.md, as they stand there: on a static host, and in fresh Vite projects."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hosting import hosting
from PIL import Image

from liftout import remove, site
from liftout.options import ResultOptions
from liftout.render import render

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
    for name in ("package.json", "README.md"):
        shutil.copyfile(ROOT / "web" / name, folder / name)
    site.write_module(folder / "dist")
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


@pytest.fixture(scope="session")
def unpacked(npm_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The npm package as it lies on a CDN, with the runtime that it depends on beside it."""
    folder = tmp_path_factory.mktemp("cdn") / "npm"
    with tarfile.open(npm_package) as archive:
        archive.extractall(folder, filter="data")
    described = json.loads((folder / "package" / "package.json").read_text())
    (folder / "package").rename(folder / f"liftout@{described['version']}")
    version = described["dependencies"]["onnxruntime-web"]
    runtime = folder / f"onnxruntime-web@{version}" / "dist"
    runtime.mkdir(parents=True)
    for path in (ROOT / "web" / "node_modules" / "onnxruntime-web" / "dist").glob("ort*wasm*"):
        (runtime / path.name).symlink_to(path)
    return folder


def test_the_npm_package_is_small(npm_package: Path) -> None:
    assert npm_package.stat().st_size < 5_500_000


CALLS = """async ([cdn, address]) => {
  const { removeBackground, segmentForeground, applySegmentationMask, unload } = await import(cdn);
  const file = await (await fetch(address)).blob();
  const image = Object.assign(new Image(), { src: address });
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const sources = {
    url: address,
    URL: new URL(address, location.href),
    Blob: file,
    File: new File([file], "cat.jpg"),
    img: image,
    canvas,
    ImageBitmap: await createImageBitmap(image),
    ImageData: context.getImageData(0, 0, canvas.width, canvas.height),
  };
  const alphaOf = async (blob, channel) => {
    const bitmap = await createImageBitmap(blob);
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, bitmap.width, bitmap.height).data.filter((_, i) => i % 4 === channel);
  };
  const found = {};
  let first;
  for (const [name, source] of Object.entries(sources)) {
    const blob = await removeBackground(source);
    const alpha = await alphaOf(blob, 3);
    first ??= alpha;
    found[name] = [blob.type, alpha.length, alpha.filter((level, i) => Math.abs(level - first[i]) > 2).length];
  }
  const mask = await segmentForeground(address);
  const levels = await alphaOf(mask, 0);
  found.mask = [mask.type, levels.length, levels.filter((level, i) => level !== first[i]).length];
  const applied = await alphaOf(await applySegmentationMask(address, mask), 3);
  found.applied = ["image/png", applied.length, applied.filter((level, i) => level !== first[i]).length];
  found.transparent = first.filter((level) => level === 0).length;
  found.refused = await removeBackground("/no-such.jpg").catch((error) => `${error.name}: ${error.message}`);
  await unload();
  return found;
}"""


def test_one_line_works_from_a_cdn_without_a_bundler(
    browser: Any, unpacked: Path, tmp_path: Path, examples: Path
) -> None:
    (tmp_path / "blank.html").write_text("<!doctype html><title>blank</title><link rel=icon href=data:,>")
    shutil.copyfile(examples / "cat.jpg", tmp_path / "cat.jpg")
    shared = {"Access_Control_Allow_Origin": "*", "Cross_Origin_Resource_Policy": "cross-origin"}
    with hosting(unpacked.parent, **shared) as cdn, hosting(tmp_path) as host:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{host.address}blank.html")
        (name,) = (path.name for path in unpacked.glob("liftout@*"))
        found = page.evaluate(CALLS, [f"{cdn.address}npm/{name}/dist/liftout.js", "/cat.jpg"])
        context.close()
    with Image.open(examples / "cat.jpg") as image:
        pixels = image.width * image.height
    assert found.pop("transparent") > pixels / 10
    assert "answered 404" in found.pop("refused")
    for name, (kind, count, differ) in found.items():
        assert (kind, count) == ("image/png", pixels), name
        assert differ <= pixels / 1000, name


@pytest.mark.long
def test_the_custom_element_shows_the_subject(browser: Any, tmp_path: Path, examples: Path) -> None:
    site.write(tmp_path, ["pocket"])
    shutil.copyfile(examples / "cat.jpg", tmp_path / "cat.jpg")
    (tmp_path / "example.html").write_text(
        '<!doctype html><link rel=icon href=data:,><script type="module" src="element.js"></script>'
        '<lift-out src="cat.jpg" alt="A cat">one moment</lift-out>'
    )
    with hosting(tmp_path) as host:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{host.address}example.html")
        page.wait_for_function(
            "document.querySelector('lift-out').shadowRoot?.querySelector('img').naturalWidth === 451", timeout=120_000
        )
        page.evaluate(
            """() => new Promise((done) => {
              const element = document.querySelector("lift-out");
              element.addEventListener("error", ({ detail }) => done(window.said = detail.message));
              element.setAttribute("src", "missing.jpg");
            })"""
        )
        assert "missing.jpg" in page.evaluate("said")
        assert page.locator("lift-out").inner_text() == "one moment"
        context.close()


IN_NODE = """
import { writeFileSync } from "node:fs";
import { Lifter, applySegmentationMask, removeBackground, segmentForeground } from "liftout";

const [calls] = process.argv.slice(2).map(JSON.parse);
for (const [photo, options, target] of calls) {
  try {
    const blob = await removeBackground(photo, options);
    writeFileSync(target, Buffer.from(await blob.arrayBuffer()));
    console.log(blob.type);
  } catch (error) {
    console.log(`${error.name}: ${error.message}`);
  }
}
if (calls.length > 1) {
  const photo = calls[0][0];
  const lifter = await Lifter.load("pocket", { threads: 1 });
  const { alpha, width, height } = await lifter.cut(photo);
  writeFileSync("alpha.bin", alpha);
  console.log(width, height, lifter.engine.reason);
  const outcomes = [];
  for await (const outcome of lifter.cutAll([photo, "missing.png"])) outcomes.push(outcome.ok || outcome.error.name);
  console.log(outcomes.join(" "));
  const mask = await segmentForeground(photo);
  writeFileSync("masked.png", Buffer.from(await (await applySegmentationMask(photo, mask)).arrayBuffer()));
}
"""


@pytest.fixture
def node_project(unpacked: Path, tmp_path: Path) -> Path:
    """A project of Node that has the package, and nothing that it may ask for."""
    if shutil.which("node") is None:
        pytest.skip("needs Node")
    (module,) = unpacked.glob("liftout@*")
    shutil.copytree(module, tmp_path / "node_modules" / "liftout")
    (tmp_path / "cut.mjs").write_text(IN_NODE)
    return tmp_path


def in_node(project: Path, *calls: tuple[str, dict[str, Any], str]) -> list[str]:
    """What Node prints, a line for each call."""
    command = ["node", "cut.mjs", json.dumps(calls)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_node_says_in_one_line_what_it_needs(node_project: Path, examples: Path) -> None:
    (line,) = in_node(node_project, (str(examples / "cat.jpg"), {}, "cat.png"))
    assert line.startswith("UsageError: ")
    assert "npm install onnxruntime-node" in line


@pytest.mark.long
def test_node_has_the_pixels_of_python(node_project: Path, examples: Path) -> None:
    (node_project / "package.json").write_text('{"private": true, "type": "module"}')
    packages = ["onnxruntime-node@1.30.0", "sharp@0.35.5"]
    shutil.move(node_project / "node_modules" / "liftout", node_project / "liftout")
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    with Image.open(examples / "coffee.jpg") as image:
        image.convert("RGB").save(node_project / "coffee.png")
    run([*install, packages[0]], node_project)
    shutil.move(node_project / "liftout", node_project / "node_modules" / "liftout")
    photo = str(examples / "cat.jpg")
    (line,) = in_node(node_project, (photo, {}, "cat.png"))
    assert "npm install sharp" in line

    shutil.move(node_project / "node_modules" / "liftout", node_project / "liftout")
    run([*install, packages[1]], node_project)
    shutil.move(node_project / "liftout", node_project / "node_modules" / "liftout")
    composed = {"canvas": "300x300", "enlarge": True, "shadow": True, "background": "linear:white:#ccc"}
    calls = [
        ("coffee.png", {}, "0.img"),
        (photo, {}, "1.img"),
        ("coffee.png", composed, "2.img"),
        (photo, {"crop": True, "background": "rebeccapurple"}, "3.img"),
        (photo, {"format": "webp"}, "4.img"),
        ("missing.png", {}, "5.img"),
        (photo, {"background": "no colour"}, "6.img"),
    ]
    lines = in_node(node_project, *calls)
    assert lines[:5] == ["image/png"] * 4 + ["image/webp"]
    assert lines[5].startswith("ImageUnreadable: missing.png")
    assert lines[6].startswith("UsageError: ")
    assert lines[7].startswith("600 400 ONNX Runtime for Node; 1 threads")
    assert lines[8] == "true ImageUnreadable"
    for source, options, target in calls[:4]:
        path = node_project / source
        expected = render(remove(path), ResultOptions(**options))
        actual = np.asarray(Image.open(node_project / target)).astype(int)
        away = np.abs(actual - np.asarray(Image.open(io.BytesIO(expected.content))))
        assert away.max() <= 1, (source, options)
        assert (away > 0).mean() < 0.001, (source, options)
    alpha = np.frombuffer((node_project / "alpha.bin").read_bytes(), np.uint8).reshape(400, 600)
    python = remove(node_project / "coffee.png")
    assert np.abs(alpha.astype(int) - python.alpha).max() <= 1
    masked = np.asarray(Image.open(node_project / "masked.png"))
    assert np.abs(masked.astype(int) - python.rgba).max() <= 1


def test_types_compile_without_skipping_libraries(unpacked: Path, tmp_path: Path) -> None:
    compiler = ROOT / "web" / "node_modules" / "typescript" / "bin" / "tsc"
    modules = tmp_path / "node_modules"
    modules.mkdir()
    (module,) = unpacked.glob("liftout@*")
    shutil.copytree(module, modules / "liftout")
    (tmp_path / "use.ts").write_text(
        'import { Lifter, removeBackground, type Cutout } from "liftout";\n'
        'import { useCutout } from "liftout/react";\n'
        'import { useCutout as composed } from "liftout/vue";\n'
        'import "liftout/element";\n'
        'const blob: Blob = await removeBackground(new URL("https://example.com/a.jpg"), { background: "white" });\n'
        'const cutout: Cutout = await (await Lifter.load("pocket")).cut(blob);\n'
        "const url: string | null = useCutout(cutout.blob).url ?? composed(() => null).value.url;\n"
        "export { url };\n"
    )
    options = {"strict": True, "module": "ESNext", "moduleResolution": "bundler", "target": "ES2022", "noEmit": True}
    settings = {"compilerOptions": {**options, "lib": ["ES2022", "DOM"], "types": []}, "files": ["use.ts"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(settings))
    run(["node", str(compiler), "-p", "tsconfig.json"], tmp_path)
