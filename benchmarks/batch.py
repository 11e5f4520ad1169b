"""`liftout batch` over many photos: rate, processor time, memory; local workers against Ray.

    python benchmarks/batch.py --photos 1000 --on local ray [--write docs/batch.md]

The yardstick is a plain loop in one process with one thread: its processor seconds for a photo, divided by the cores, is the
time a photo can take at best. On a machine that others use, wall time says little and processor seconds say most; the share of
the cores that the batch got is printed so that a reader can tell.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "examples"
SIZE = (1732, 1155)  # 2 megapixels


def main() -> None:
    """Make the photos, run, print one line of JSON for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--edges", default="auto", choices=["auto", "plain", "refined"])
    parser.add_argument("--on", nargs="+", choices=["local", "ray"], default=["local"])
    parser.add_argument("--workers", type=int)
    parser.add_argument("--loop", type=int, default=12, help="photos of the plain loop")
    parser.add_argument("--write", type=Path, help="put the table into this page")
    given = parser.parse_args()
    cores = len(psutil.Process().cpu_affinity())
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        make_photos(photos, given.photos)
        alone = plain_loop(sorted(photos.glob("*/*.jpg"))[: given.loop], given.model, given.edges)
        print(json.dumps({"run": "plain loop", "cpu_seconds_per_photo": round(alone, 3), "cores": cores}), flush=True)
        lines = [
            "| on | photos | seconds | photos a second | share of what processor seconds allow | processor seconds a photo | peak MB | MB by quarter |",
            "|---|---|---|---|---|---|---|---|",
            f"| plain loop, one thread | {given.loop} | | {1 / alone:.2f} | | {alone:.3f} | | |",
        ]
        for on in given.on:
            found = batch(photos, Path(folder) / on, given.model, on, given.workers, given.edges)
            per_photo = found["cpu_seconds"] / given.photos
            print(
                json.dumps(
                    {
                        "run": on,
                        "photos": given.photos,
                        "seconds": round(found["seconds"], 1),
                        "rate": round(given.photos / found["seconds"], 2),
                        "rate_that_cpu_seconds_allow": round(cores / alone, 2),
                        "cpu_seconds_per_photo": round(per_photo, 3),
                        "share_of_cores": round(found["cpu_seconds"] / found["seconds"] / cores, 2),
                        "peak_mb": round(found["peak"] / 1e6),
                        "mb_by_quarter": [round(value / 1e6) for value in found["quarters"]],
                    }
                ),
                flush=True,
            )
            rate = given.photos / found["seconds"]
            quarters = ", ".join(f"{value / 1e6:.0f}" for value in found["quarters"])
            lines.append(
                f"| {on} | {given.photos} | {found['seconds']:.0f} | {rate:.2f} | {rate * alone / cores:.0%} | {per_photo:.3f} | "
                f"{found['peak'] / 1e6:.0f} | {quarters} |"
            )
    if given.write:
        write_table(given.write, lines, cores)


def write_table(page: Path, lines: list[str], cores: int) -> None:
    """Put the table between the page's marks for it."""
    today = datetime.datetime.now(tz=datetime.UTC).date()
    where = f"Measured {today} on {platform.machine()}, {cores} cores; photos of 2 megapixels."
    block = "\n".join(["<!-- rates -->", *lines, "", where, "<!-- /rates -->"])
    text, count = re.subn(
        r"<!-- rates -->.*<!-- /rates -->", lambda _: block, page.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    if count != 1:
        raise SystemExit(f"{page} has no <!-- rates --> ... <!-- /rates -->")
    partial = page.with_name(page.name + ".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(page)


def make_photos(folder: Path, count: int) -> None:
    """2-megapixel JPEGs from the example photos, each shifted and with noise of its own, in ten folders."""
    rng = np.random.default_rng(0)
    sources = []
    for path in sorted(EXAMPLES.glob("*.jpg")):
        with Image.open(path) as image:
            sources.append(np.asarray(image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC)).astype(np.int16))
    for index in range(count):
        pixels = np.roll(sources[index % len(sources)], int(rng.integers(SIZE[0])), axis=1)
        noisy = pixels + rng.integers(-4, 5, pixels.shape[:2], dtype=np.int16)[..., None]
        path = folder / f"{index % 10}/{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=88)


def plain_loop(photos: list[Path], model: str, edges: str) -> float:
    """Processor seconds for one photo, after a first one that loads everything."""
    code = (
        "import sys, time\n"
        "from liftout import Remover, graphs\n"
        "from liftout.options import ResultOptions\n"
        "from liftout.render import render\n"
        "graphs.use_threads(1)\n"
        "remover = Remover(sys.argv[1], threads=1, edges=sys.argv[2])\n"
        "def one(path): return render(remover(path), ResultOptions()).content\n"
        "one(sys.argv[3])\n"
        "started = time.process_time()\n"
        "for path in sys.argv[4:]: one(path)\n"
        "print((time.process_time() - started) / len(sys.argv[4:]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, model, edges, *map(str, photos)], check=True, capture_output=True, text=True
    )
    return float(ran.stdout)


def batch(photos: Path, target: Path, model: str, on: str, workers: int | None, edges: str) -> dict[str, Any]:
    """Run the command line; seconds, processor seconds and memory of it and all processes below it."""
    command = [sys.executable, "-m", "liftout", "batch", str(photos), str(target), "-m", model, "--on", on]
    command += ["--edges", edges]
    command += ["--workers", str(workers)] if workers else []
    started = time.perf_counter()
    process = subprocess.Popen(command)
    memory: list[int] = []
    spent: dict[int, float] = {}
    while process.poll() is None:
        memory.append(sample(process.pid, spent))
        time.sleep(0.5)
    seconds = time.perf_counter() - started
    if process.returncode:
        sys.exit(f"the batch on {on} ended with status {process.returncode}")
    steady = memory[len(memory) // 10 :] or memory
    quarters = [max(steady[len(steady) * i // 4 : len(steady) * (i + 1) // 4] or steady) for i in range(4)]
    return {"seconds": seconds, "cpu_seconds": sum(spent.values()), "peak": max(memory), "quarters": quarters}


def sample(pid: int, spent: dict[int, float]) -> int:
    """Bytes that the tree of processes holds at this moment (shared pages counted once); notes its processor seconds."""
    total = 0
    try:
        root = psutil.Process(pid)
        for item in [root, *root.children(recursive=True)]:
            try:
                times = item.cpu_times()
                spent[item.pid] = times.user + times.system
                total += item.memory_full_info().pss if os.name == "posix" else item.memory_info().rss
            except psutil.Error:
                continue
    except psutil.Error:
        pass
    return total


if __name__ == "__main__":
    main()
