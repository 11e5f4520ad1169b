"""The examples of docs/browser.md, as they stand there: on a static host, and in fresh Vite projects."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hosting import hosting
from npm import run
from PIL import Image

from liftout import site

ROOT = Path(__file__).parents[2]
PAGE = '<!doctype html><input type="file" id="photo" /><div id="root"></div>{image}<script type="module" src="/main.jsx"></script>'
REACT_MAIN = """
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { Cutout } from "./cutout.jsx";
function App() {
  const [file, setFile] = useState(null);
  document.getElementById("photo").onchange = (event) => setFile(event.target.files[0]);
  return file && <Cutout file={file} />;
}
createRoot(document.getElementById("root")).render(<StrictMode><App /></StrictMode>);
"""
VUE_MAIN = """
import { createApp, h, shallowRef } from "vue";
import Cutout from "./Cutout.vue";
const file = shallowRef();
document.getElementById("photo").onchange = (event) => (file.value = event.target.files[0]);
createApp(() => file.value && h(Cutout, { file: file.value })).mount("#root");
"""
REACT_TYPES = """
import type { ReactElement } from "react";
import { useCutout, type CutoutState } from "liftout/react";
export function Cutout({ file }: { file: File | null }): ReactElement {
  const { url, error, busy }: CutoutState = useCutout(file, { base: "/liftout/", background: "white" });
  return error ? <p>{error.message}</p> : <img src={url ?? undefined} alt="" aria-busy={busy} />;
}
"""
VUE_TYPES = """
import { computed, ref, type ComputedRef } from "vue";
import { useCutout } from "liftout/vue";
const file = ref<File | null>(null);
const cutout = useCutout(file, () => ({ base: "/liftout/", crop: file.value !== null }));
export const url: ComputedRef<string | null> = computed(() => cutout.value.url);
"""
FRAMEWORKS: dict[str, dict[str, str]] = {
    "plain": {},
    "react": {"react": "^19", "react-dom": "^19", "@types/react": "^19"},
    "vue": {"vue": "^3", "@vitejs/plugin-vue": "^6"},
}


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


@pytest.mark.long
@pytest.mark.parametrize("kind", FRAMEWORKS)
def test_the_example_runs_in_a_fresh_vite_project(
    browser: Any, npm_package: Path, tmp_path: Path, examples: Path, kind: str
) -> None:
    described = {
        "name": "fresh",
        "private": True,
        "type": "module",
        "dependencies": {"liftout": f"file:{npm_package}", **FRAMEWORKS[kind]},
        "devDependencies": {"vite": "^8"},
    }
    (tmp_path / "package.json").write_text(json.dumps(described))
    (tmp_path / "index.html").write_text(PAGE.format(image='<img id="cutout" />' if kind == "plain" else ""))
    if kind == "react":
        (tmp_path / "cutout.jsx").write_text(example("jsx"))
        (tmp_path / "main.jsx").write_text(REACT_MAIN)
        (tmp_path / "vite.config.js").write_text('export default { esbuild: { jsx: "automatic" } };')
    elif kind == "vue":
        (tmp_path / "Cutout.vue").write_text(example("vue"))
        (tmp_path / "main.jsx").write_text(VUE_MAIN)
        (tmp_path / "vite.config.js").write_text(
            'import vue from "@vitejs/plugin-vue";\nexport default { plugins: [vue()] };'
        )
    else:
        (tmp_path / "main.jsx").write_text(example("js"))
    site.write(tmp_path / "public" / "liftout", ["pocket"])
    run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], tmp_path)
    run(["npx", "vite", "build", "--target", "esnext"], tmp_path)
    with hosting(tmp_path / "dist") as host:
        cuts_a_photo(browser, host.address, examples / "cat.jpg")
        if kind != "plain":
            shows_what_is_wrong_and_goes_on(browser, host.address, examples)
    if kind != "plain":
        name, text = ("use.tsx", REACT_TYPES) if kind == "react" else ("use.ts", VUE_TYPES)
        (tmp_path / name).write_text(text)
        compile_types(tmp_path, name, jsx="react-jsx")


def shows_what_is_wrong_and_goes_on(browser: Any, address: str, examples: Path) -> None:
    """A file that is no photo, then a photo, then another one before the first is done."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    page.locator("#photo").set_input_files(str(examples / "README.md"))
    page.get_by_role("alert").wait_for()
    assert "README.md" in page.get_by_role("alert").inner_text()
    page.locator("#photo").set_input_files(str(examples / "cat.jpg"))
    page.locator("#photo").set_input_files(str(examples / "coffee.jpg"))
    page.wait_for_function("document.querySelector('img')?.naturalWidth > 0")
    assert page.evaluate("document.querySelector('img').naturalWidth") == 600
    first = page.get_attribute("img", "src")
    page.locator("#photo").set_input_files(str(examples / "cat.jpg"))
    page.wait_for_function("document.querySelector('img')?.naturalWidth === 451")
    gone = "(url) => fetch(url).then(() => 'there', () => 'gone')"
    assert page.evaluate(gone, first) == "gone", "its memory should be free"
    context.close()


def compile_types(project: Path, name: str, **options: object) -> None:
    """TypeScript, strict, types of packages checked too."""
    compiler = ROOT / "web" / "node_modules" / "typescript" / "bin" / "tsc"
    strict = {"strict": True, "module": "ESNext", "moduleResolution": "bundler", "target": "ES2022", "noEmit": True}
    settings = {
        "compilerOptions": {**strict, "lib": ["ES2022", "DOM", "DOM.Iterable"], "types": [], **options},
        "files": [name],
    }
    (project / "tsconfig.json").write_text(json.dumps(settings))
    run(["node", str(compiler), "-p", "tsconfig.json"], project)


def test_examples_of_the_page_are_there() -> None:
    assert all(example(language) for language in ("html", "js", "jsx", "vue"))


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


def test_types_compile_without_skipping_libraries(unpacked: Path, tmp_path: Path) -> None:
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
    compile_types(tmp_path, "use.ts", lib=["ES2022", "DOM"])
