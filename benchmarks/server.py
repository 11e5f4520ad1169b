"""A server under load: requests a second, p50, p99, and its memory before and after.

    python -m benchmarks.server [--url http://127.0.0.1:7000] [--clients 64] [--requests 512] [--write docs/server.md] [PHOTO...]

Without --url it starts `liftout serve` itself; without photos, the examples are sent at 0.3, 1 and 4 megapixels. Each photo is
cut out once alone, and every later answer to it must be that one, byte for byte. `--write` puts the figures into the page.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import io
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from benchmarks.pages import write_part

EXAMPLES = Path(__file__).parent.parent / "examples"


def main() -> int:
    """Print the figures; exit status 1 where an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--url")
    parser.add_argument("--path", default="/v1/cutouts")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=512)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    photos = [path.read_bytes() for path in arguments.photos] or _mixed()
    if arguments.url:
        status, lines = _measure(arguments.url, arguments.path, photos, arguments.clients, arguments.requests, None)
        print("\n".join(lines))
        return status
    with served("-m", arguments.model, "--queue", str(arguments.clients)) as (process, url):
        status, lines = _measure(url, arguments.path, photos, arguments.clients, arguments.requests, process.pid)
    print("\n".join(lines))
    if arguments.write:
        write_part(arguments.write, "load", [*(f"- {line}" for line in lines), "", _where()])
    return status


@contextmanager
def served(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`liftout serve` with these options, and its address."""
    command = [sys.executable, "-m", "liftout", "serve", "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        url = ""
        while not url and process.stderr and (line := process.stderr.readline()):
            found = re.search(r"listening on (\S+)", line)
            url = found[1] if found else ""
        with ThreadPoolExecutor(1) as drain:
            drain.submit(lambda: process.stderr and process.stderr.read())
            yield process, url
            process.terminate()
    finally:
        process.terminate()
        process.wait()


def _where() -> str:
    today = datetime.datetime.now(tz=datetime.UTC).date()
    return f"Measured {today} on {platform.machine()}, {os.cpu_count()} cores, clients and server on the same machine."


def _mixed() -> list[bytes]:
    """The examples as JPEG at three sizes."""
    made = []
    for path in sorted(EXAMPLES.glob("*.jpg")):
        with Image.open(path) as image:
            for megapixels in (0.3, 1, 4):
                factor = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
                stream = io.BytesIO()
                size = (round(image.width * factor), round(image.height * factor))
                image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
                made.append(stream.getvalue())
    return made


def _measure(
    url: str, path: str, photos: list[bytes], clients: int, count: int, pid: int | None
) -> tuple[int, list[str]]:
    times: list[float] = []
    wrong: list[int] = []
    failed: list[int] = []
    connections = [httpx.Client(base_url=url, timeout=600, trust_env=False, verify=False) for _ in range(clients)]  # noqa: S501

    def ask(worker: int) -> None:
        for turn in range(worker, count, clients):
            started = time.perf_counter()
            answer = connections[worker].post(path, files={"image": photos[turn % len(photos)]})
            times.append(time.perf_counter() - started)
            if answer.status_code != 200:
                failed.append(answer.status_code)
            elif hashlib.sha256(answer.content).digest() != right[turn % len(photos)]:
                wrong.append(turn)

    alone = [connections[0].post(path, files={"image": photo}).raise_for_status().content for photo in photos]
    right = [hashlib.sha256(content).digest() for content in alone]
    before = _rss(pid)
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(ask, range(clients)))
    seconds = time.perf_counter() - started
    for connection in connections:
        connection.close()
    lines = [
        f"{clients} clients, {count} requests, {len(photos)} photos: {count / seconds:.1f} a second",
        f"p50 {np.percentile(times, 50):.2f} s, p99 {np.percentile(times, 99):.2f} s",
        f"not answered with 200: {len(failed)}; wrong answers: {len(wrong)}; distinct right answers: {len(set(right))}",
    ]
    if pid is not None:
        lines.append(f"resident memory {before / 1e6:.0f} MB before, {_rss(pid) / 1e6:.0f} MB after")
    return (1 if failed or wrong else 0), lines


def _rss(pid: int | None) -> int:
    if pid is None or not Path(f"/proc/{pid}/status").is_file():
        return 0
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    sys.exit(main())
