"""The promises of the base: import, `--help`, 12 megapixels from JPEG to PNG, installed size.

python benchmarks/base.py [--install]     --install also measures a fresh base install (network needed)

CPU seconds and peak memory of a process of its own each; medians of five.
"""

from __future__ import annotations

import io
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
RUNS = 5

TWELVE_MEGAPIXELS = """
import resource, sys, json, pathlib
from liftout import Remover
photo = pathlib.Path(sys.argv[1]).read_bytes()
remover = Remover(edges="plain")
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
before = cpu()
png = remover(photo).to_bytes("png")
print(json.dumps({"cpu": cpu() - before, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "bytes": len(png)}))
"""

THOUSAND_PHOTOS = """
import itertools, json, pathlib, sys, time
from liftout import Remover
photos = itertools.islice(itertools.cycle(sorted(pathlib.Path(sys.argv[1]).glob("*.jpg"))), 1000)
def held():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
seen, started = {}, time.perf_counter()
with Remover() as remover:
    for number, cutout in enumerate(remover.map(photos), start=1):
        cutout.to_bytes("png")
        if number in (100, 1000):
            seen[number] = held()
print(json.dumps({"rss": seen, "rate": 1000 / (time.perf_counter() - started)}))
"""


def photo(size: tuple[int, int] = (4000, 3000)) -> bytes:
    """A JPEG, width and height given, with the grain of a camera, enlarged from an example photo."""
    with Image.open(ROOT / "examples" / "astronaut.jpg") as image:
        large = np.asarray(image.resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
    grain = np.random.default_rng(0).normal(0, 3, large.shape).astype(np.int16)
    stream = io.BytesIO()
    Image.fromarray(np.clip(large + grain, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def cpu_of(*command: str) -> float:
    """CPU seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print one line per promise."""
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    bare = statistics.median(cpu_of(sys.executable, "-c", "pass") for _ in range(RUNS))
    loaded = statistics.median(cpu_of(sys.executable, "-c", "import liftout") for _ in range(RUNS))
    print(f"import liftout          {loaded:.2f} s CPU with the interpreter's own {bare:.2f}   (promise 0.3)")
    shown = statistics.median(cpu_of(sys.executable, "-m", "liftout", "--help") for _ in range(RUNS))
    print(f"liftout --help          {shown:.2f} s CPU   (promise 0.5)")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        path.write_bytes(photo())
        runs = []
        for _ in range(RUNS):
            ended = subprocess.run(
                [sys.executable, "-c", TWELVE_MEGAPIXELS, str(path)], check=True, capture_output=True, text=True
            )
            runs.append(json.loads(ended.stdout))
    cpu, rss = statistics.median(run["cpu"] for run in runs), max(run["rss"] for run in runs)
    print(f"12 MP JPEG to PNG       {cpu:.2f} s CPU, {rss:.0f} MB peak, --edges plain   (promise 1.5 s, 700 MB)")
    if Path("/proc/self/status").exists():
        ended = subprocess.run(
            [sys.executable, "-c", THOUSAND_PHOTOS, str(ROOT / "examples")], check=True, capture_output=True, text=True
        )
        many = json.loads(ended.stdout)
        print(
            f"map, 1,000 photos       {many['rss']['100']:.0f} MB after 100, {many['rss']['1000']:.0f} MB after 1,000, "
            f"{many['rate']:.1f} photos/s to PNG, default edges   (promise: flat)"
        )
    if "--install" in sys.argv:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
            subprocess.run(
                [sys.executable, "-m", "pip", "--python", f"{folder}/bin/python", "install", "--quiet", str(ROOT)],
                check=True,
            )
            size = sum(
                file.stat().st_size for file in Path(folder).rglob("*") if file.is_file() and not file.is_symlink()
            )
        print(f"base install            {size / 1e6:.0f} MB   (promise 250)")


if __name__ == "__main__":
    main()
