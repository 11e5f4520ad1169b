"""WebGPU against WebAssembly, operator by operator and block by block, on a graphics card that SwiftShader emulates.

The networks have their true shapes and reproducible weights, the photos are small. Times say nothing here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import subgraphs
from hosting import hosting

from liftout.convert import build_network
from tests.networks import reference

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--ignore-gpu-blocklist",
]
NETWORKS = {"u2net": (64, 64), "isnet": (64, 64), "birefnet_swin_v1_t": (64, 64)}
"""Height and width of the photo."""

RUN = """async ([folder, alone]) => {
  const ort = window.ort ??= await import("/ort/ort.webgpu.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = new URL("/ort/", location).href;
  ort.env.logLevel = "error";
  const bytes = async (name) => new Uint8Array(await (await fetch(`/${folder}/${name}`, { cache: "no-store" })).arrayBuffer());
  const model = await bytes("part.onnx");
  const { inputs } = await (await fetch(`/${folder}/part.json`, { cache: "no-store" })).json();
  const feeds = {};
  for (const [i, { name, dims }] of inputs.entries()) {
    feeds[name] = new ort.Tensor("float32", new Float32Array((await bytes(`${i}.bin`)).buffer), dims);
  }
  const run = async (providers, extra) => {
    const session = await ort.InferenceSession.create(model, { executionProviders: providers, extra, logSeverityLevel: 3 });
    const results = await session.run(feeds);
    const all = [];
    for (const name of session.outputNames) all.push(await results[name].getData());
    await session.release();
    return all;
  };
  const cpu = await run(["wasm"], {});
  let gpu;
  try {
    gpu = await run(["webgpu", "wasm"], alone ? { session: { disable_cpu_ep_fallback: "1" } } : {});
  } catch (error) {
    return { refused: String(error.message ?? error).replace(/\\s+/g, " ").slice(0, 400) };
  }
  let [values, far, most, range] = [0, 0, 0, 0];
  cpu.forEach((expected, output) => {
    let [low, high] = [Infinity, -Infinity];
    for (const value of expected) [low, high] = [Math.min(low, value), Math.max(high, value)];
    const step = Math.max(1, high - low) / 255;
    expected.forEach((value, i) => {
      const away = Math.abs(gpu[output][i] - value) / step;
      if (!(away <= 1)) far++;
      most = Math.max(most, Number.isNaN(away) ? Infinity : away);
    });
    values += expected.length;
    range = Math.max(range, high - low);
  });
  return { values, far, most, range };
}"""


@pytest.fixture(scope="module")
def graphics(chromium: str, playwright: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """A page with WebGPU, and the folder that is served to it."""
    folder = tmp_path_factory.mktemp("webgpu")
    (folder / "ort").symlink_to(ROOT / "web" / "node_modules" / "onnxruntime-web" / "dist")
    (folder / "blank.html").write_text("<!doctype html><title>blank</title><link rel=icon href=data:,>")
    browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
    with hosting(folder) as host:
        page = browser.new_page()
        page.set_default_timeout(600_000)
        page.goto(f"{host.address}blank.html")
        card = page.evaluate("navigator.gpu?.requestAdapter().then((found) => found?.info.architecture ?? null)")
        if card is None:
            browser.close()
            pytest.skip("this Chromium has no WebGPU")
        yield page, folder
        browser.close()


def on_both(graphics: tuple[Any, Path], part: subgraphs.Part, *, alone: bool = False) -> dict[str, Any]:
    """What WebGPU gives beside WebAssembly. alone: nothing may run on the processor instead."""
    page, folder = graphics
    target = folder / "part"
    target.mkdir(exist_ok=True)
    (target / "part.onnx").write_bytes(part.model)
    described = [{"name": name, "dims": array.shape} for name, array in part.inputs.items()]
    (target / "part.json").write_text(json.dumps({"inputs": described}))
    for number, array in enumerate(part.inputs.values()):
        (target / f"{number}.bin").write_bytes(array.tobytes())
    found: dict[str, Any] = page.evaluate(RUN, ["part", alone])
    return found


def check(graphics: tuple[Any, Path], parts: Iterable[subgraphs.Part], *, least: int) -> None:
    wrong, count = {}, 0
    for part in parts:
        found = on_both(graphics, part)
        count += 1
        print(part.name, found, flush=True)
        if not agrees(found):
            wrong[part.name] = found
    assert not wrong
    assert count >= least


def agrees(found: dict[str, Any]) -> bool:
    """Within 1/255 of the range of the values, for 99.9 % of them."""
    return "refused" not in found and found["range"] > 0 and found["far"] <= found["values"] / 1000


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> tuple[str, Any, dict[str, Any]]:
    """A lean network, and every value that it computes for a photo."""
    name: str = request.param
    lean = build_network(name, reference.state(name), size=NETWORKS[name])
    return name, lean, subgraphs.values_of(lean, reference.photo(name, *NETWORKS[name]))


def kernels() -> set[str]:
    """The operators that the module takes WebGPU for."""
    source = (ROOT / "web" / "src" / "runtime.ts").read_text()
    listed = re.search(r"WEBGPU_KERNELS = new Set\(\s*\((.*?)\)\.split", source, re.DOTALL)
    assert listed
    return set(re.findall(r"\w+", listed[1]))


def test_operators_on_webgpu_give_what_webassembly_gives(
    graphics: tuple[Any, Path], network: tuple[str, Any, dict[str, Any]]
) -> None:
    """Operators that the module believes WebGPU to have run there, and the others do not."""
    name, lean, values = network
    known, wrong, count = kernels(), {}, 0
    for part in subgraphs.operators(lean, values):
        found = on_both(graphics, part, alone=True)
        count += 1
        print(part.name, found, flush=True)
        (operator,) = part.operators
        if (operator in known) != agrees(found):
            wrong[part.name] = found
    assert not wrong
    assert count >= 10, name


def test_blocks_on_webgpu_give_what_webassembly_gives(
    graphics: tuple[Any, Path], network: tuple[str, Any, dict[str, Any]]
) -> None:
    _, lean, values = network
    check(graphics, subgraphs.blocks(lean, values), least=12)


def test_whole_networks_on_webgpu_give_what_webassembly_gives(
    graphics: tuple[Any, Path], network: tuple[str, Any, dict[str, Any]]
) -> None:
    name, lean, _ = network
    photo = reference.photo(name, *NETWORKS[name])
    check(graphics, [subgraphs.whole(lean, name, photo)], least=1)
