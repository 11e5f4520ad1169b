"""Packs in a real Chromium: memory, seconds, and the difference to Python, as the tables of docs/browser.md.

python benchmarks/browser.py models PACK...        one photo of 1024 x 1024 pixels through each pack
python benchmarks/browser.py sizes PACK...         photos of 0.3, 2, 12 and 50 megapixels
python benchmarks/browser.py brush PACK            brush strokes on the page: its longest tasks on the main thread, 2 and 12 megapixels
    [--write docs/browser.md]                      replace the table there instead of only printing it

PACK is the name of a model on this machine or the folder of a pack. Needs `make web`, Playwright and Chromium. Photos are cut
with edges as the network gives them for the difference, and with the default for the times.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "web")]

from hosting import hosting  # noqa: E402

from liftout import graphs, site  # noqa: E402
from liftout.engines import NetworkFile, open_network  # noqa: E402
from liftout.images import decode  # noqa: E402
from liftout.models import packs  # noqa: E402

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
SIZES = {"0.3": (640, 480), "2": (1632, 1224), "12": (4000, 3000), "50": (8192, 6144)}
MEGABYTE = 2**20

CUT = """async ({ name, photos, options }) => {
  const { Lifter } = await import("/liftout.js");
  const start = performance.now();
  const lifter = await Lifter.load(name, { acceptLicense: true, checkMemory: false });
  const load = (performance.now() - start) / 1000;
  const runs = [];
  let alpha = "";
  for (const photo of photos) {
    const file = await (await fetch(photo)).blob();
    const begun = performance.now();
    const made = await lifter.cut(file, options);
    const total = (performance.now() - begun) / 1000;
    runs.push({ total, seconds: made.seconds, heap: made.heapBytes });
    if (photos.length === 2) {
      const url = await new Promise((resolve) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result);
        reader.readAsDataURL(new Blob([made.alpha]));
      });
      alpha = url.slice(url.indexOf(",") + 1);
    }
  }
  const { engine } = lifter;
  lifter.close();
  return { load, runs, engine, alpha };
}"""


def main() -> None:
    """Measure, print a table, and write it into the docs where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["models", "sizes", "brush"])
    parser.add_argument("packs", nargs="+", metavar="PACK")
    parser.add_argument("--write", type=Path, metavar="PAGE")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="liftout-browser-") as scratch,
        published(given.packs, Path(scratch)) as (
            public,
            names,
        ),
    ):
        rows = [
            row
            for name in names
            for row in {"models": models, "sizes": sizes, "brush": brush}[given.what](public, name)
        ]
    table = rendered(given.what, rows)
    print(table)
    if given.write:
        replace(given.write, given.what, table)


@contextmanager
def published(wanted: list[str], scratch: Path) -> Iterator[tuple[Path, list[str]]]:
    """A site with these packs."""
    held = os.environ.get("LIFTOUT_HOME")
    names = []
    for item in wanted:
        folder = Path(item)
        if (folder / packs.MANIFEST).is_file():
            target = scratch / "home" / "packs" / folder.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(folder.resolve())
            names.append(folder.name)
        else:
            names.append(item)
    given_folders = [name for name, item in zip(names, wanted, strict=True) if name != item or Path(item).is_dir()]
    public = scratch / "public"
    site.write(public, [name for name in names if name not in given_folders])
    if given_folders:
        os.environ["LIFTOUT_HOME"] = str(scratch / "home")
        site.write(public, given_folders)
        os.environ.pop("LIFTOUT_HOME")
        if held is not None:
            os.environ["LIFTOUT_HOME"] = held
    (public / "blank.html").write_text("<!doctype html><title>blank</title>")
    yield public, names


def models(public: Path, name: str) -> list[dict[str, Any]]:
    """One row: memory, seconds and difference at 1024 x 1024."""
    content = photo(1024, 1024)
    (public / "photo.png").write_bytes(content)
    expected = alpha_of(public / "packs" / name, content)
    found = visit(public, {"name": name, "photos": ["/photo.png"] * 2, "options": {"edges": "plain"}})
    import base64

    alpha = np.frombuffer(base64.b64decode(found["alpha"]), np.uint8).reshape(expected.shape)
    away = np.abs(alpha.astype(int) - expected)
    manifest = json.loads((public / "packs" / name / packs.MANIFEST).read_text())
    second = found["runs"][-1]
    return [
        {
            "model": name,
            "megabytes": sum(item["bytes"] for item in manifest["files"]) / MEGABYTE,
            "load": found["load"],
            "network": second["seconds"]["network"],
            "total": second["total"],
            "heap": second["heap"] / MEGABYTE,
            "most": int(away.max()),
            "share": float((away > 0).mean()),
            "threads": found["engine"]["threads"],
        }
    ]


def sizes(public: Path, name: str) -> list[dict[str, Any]]:
    """A row for each size of photo: the second call of a fresh lifter."""
    rows = []
    for label, (width, height) in SIZES.items():
        (public / "photo.jpg").write_bytes(photo(width, height, "JPEG"))
        found = visit(public, {"name": name, "photos": ["/photo.jpg", "/photo.jpg"], "options": {}})
        second = found["runs"][-1]
        row = {"model": name, "size": label, "total": second["total"], "heap": second["heap"] / MEGABYTE}
        rows.append({**row, **second["seconds"]})
    return rows


def brush(public: Path, name: str) -> list[dict[str, Any]]:
    """A row for each size of photo: what the page's own thread does from the choice of a brush to the last written stroke."""
    rows = []
    for label in ("2", "12"):
        path = public / "photo.jpg"
        path.write_bytes(photo(*SIZES[label], "JPEG"))
        tasks = traced(public, name, path)
        rows.append({"size": label, "tasks": tasks})
    return rows


def traced(public: Path, name: str, photo: Path) -> list[tuple[float, float]]:
    """Processor time and time on the clock of every task of the main thread, in milliseconds."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with hosting(public) as host, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
        page.set_default_timeout(0)
        page.add_init_script(f"""localStorage.setItem("liftout-preferences", '{{"model": "{name}"}}')""")
        page.goto(host.address)
        page.wait_for_selector("html[data-ready]")
        page.set_input_files("#photo-input", str(photo))
        page.locator("#strip li.done").wait_for()
        page.wait_for_timeout(2000)
        page.mouse.move(10, 10)
        browser.start_tracing(page=page, categories=["disabled-by-default-devtools.timeline", "__metadata"])
        page.check("input[name=tool][value=erase]", force=True)
        box = page.locator("#before").bounding_box()
        for n in range(6):
            height = box["y"] + box["height"] * (0.3 + 0.08 * n)
            page.mouse.move(box["x"] + box["width"] * 0.2, height)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] * 0.8, height + 30, steps=30)
            page.mouse.up()
        before = page.get_attribute("#strip [aria-current=true] img", "src")
        page.click("#undo")
        page.wait_for_function(
            "src => document.querySelector('#strip [aria-current=true] img').src !== src", arg=before
        )
        page.wait_for_timeout(2000)
        events = json.loads(browser.stop_tracing())["traceEvents"]
        browser.close()
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    return [
        (event["tdur"] / 1000, event["dur"] / 1000)
        for event in events
        if event["name"] == "RunTask" and (event["pid"], event["tid"]) in threads and "tdur" in event
    ]


def visit(public: Path, argument: dict[str, Any]) -> Any:
    """Run `CUT` in a Chromium of its own, with a profile on disk: kept models are no part of its memory."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with hosting(public) as host, sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(profile, executable_path=chromium, args=FLAGS)
        page = context.new_page()
        page.set_default_timeout(0)
        page.goto(f"{host.address}blank.html")
        found = page.evaluate(CUT, argument)
        context.close()
    return found


def alpha_of(folder: Path, content: bytes) -> np.ndarray:
    """Python's alpha for a photo, from the published pack."""
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "pack"
        whole.mkdir()
        for path in sorted(folder.iterdir()):
            blocks = re.fullmatch(r"(.+)\.\d{3}", path.name)
            with (whole / (blocks[1] if blocks else path.name)).open("ab") as stream:
                stream.write(path.read_bytes())
        pack = packs.read(whole)
        network = open_network(
            NetworkFile(
                name=pack.spec.name, path=pack.network, size=pack.spec.input.size, output=pack.spec.output.index
            )
        )
        image = decode(content)
        tensor, box = graphs.prepare(image.seen_by_network(), pack.spec.input)
        alpha = graphs.finish(network.run(tensor), image.size, pack.spec.output, box=box)
        network.close()
    return alpha


def photo(width: int, height: int, kind: str = "PNG") -> bytes:
    """A photo of the examples at this size, cropped to its shape, with the grain of a camera."""
    image = Image.open(ROOT / "examples" / "astronaut.jpg").convert("RGB")
    scale = max(width / image.width, height / image.height)
    box = (0, 0, width / scale, height / scale)
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box)).astype(np.int16)
    grain = np.random.default_rng(0).normal(0, 2, pixels.shape).astype(np.int16)
    stream = io.BytesIO()
    Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(stream, kind, quality=92)
    return stream.getvalue()


def rendered(what: str, rows: list[dict[str, Any]]) -> str:
    """A Markdown table, and when and where it was measured."""
    if what == "models":
        head = "| pack | MB | load s | network s | photo to PNG s | heap MB | largest difference | pixels that differ |"
        lines = [
            f"| {r['model']} | {r['megabytes']:.0f} | {r['load']:.1f} | {r['network']:.2f} | {r['total']:.2f} | "
            f"{r['heap']:.0f} | {r['most']}/255 | {r['share']:.3%} |"
            for r in rows
        ]
    elif what == "brush":
        head = "| megapixels | tasks | longest, processor ms | longest, clock ms | above 50 ms |"
        lines = [
            f"| {r['size']} | {len(r['tasks'])} | {max(cpu for cpu, _ in r['tasks']):.0f} | "
            f"{max(clock for _, clock in r['tasks']):.0f} | {sum(clock > 50 for _, clock in r['tasks'])} |"
            for r in rows
        ]
    else:
        steps = ("decode", "prepare", "network", "finish", "encode")
        head = f"| pack | megapixels | photo to PNG s | {' | '.join(steps)} | heap MB |"
        lines = [
            f"| {r['model']} | {r['size']} | {r['total']:.2f} | "
            f"{' | '.join(f'{r[step]:.2f}' for step in steps)} | {r['heap']:.0f} |"
            for r in rows
        ]
    rule = re.sub(r"[^|]+", "---", head)
    load = os.getloadavg()[0]
    where = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, Chromium on {platform.machine()}, {os.cpu_count()} cores"
    return "\n".join([head, rule, *lines, "", f"Measured {where}; load average of the machine {load:.1f}."])


def replace(page: Path, what: str, table: str) -> None:
    """Put the table between the page's marks for it."""
    text = page.read_text(encoding="utf-8")
    marks = re.compile(rf"(<!-- {what} -->\n).*?(<!-- /{what} -->)", re.DOTALL)
    if not marks.search(text):
        raise SystemExit(f"{page} has no <!-- {what} --> ... <!-- /{what} -->")
    partial = page.with_name(f"{page.name}.partial")
    partial.write_text(marks.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text), encoding="utf-8")
    partial.replace(page)


if __name__ == "__main__":
    main()
