"""`liftout serve` beside `rembg s` under load: throughput and peak memory, with one process and with two.

    python -m benchmarks.load [--clients 16] [--requests-2 96] [--requests-12 32] [--only NAME...] [--write docs/server.md]

The same weights (U2NetP as rembg publishes it), photos, clients and requests (`POST /api/remove`, form field `model`) for all, on one machine;
fp32 in ONNX Runtime, which uses no bf16 units. `--edges plain` does the work that rembg does; the default edges are measured beside
it. Memory is the proportional share (PSS) of all processes of a server together, at its peak.

Needs Linux, psutil, the package index the first time (for rembg's own environment and for the weights), and 7 minutes on an idle
machine; before them a minute for the int8 pack, once. `--requests-2 4 --requests-12 2` shows in two minutes that everything works.
"""

from __future__ import annotations

import argparse
import datetime
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx
from PIL import Image

from benchmarks.memory import peak_of
from benchmarks.pages import write_part
from benchmarks.peers import REMBG_WITH_COMMANDS, rembg_command, share_weights
from benchmarks.server import EXAMPLES, served
from liftout.machine import processor

MODEL = "u2netp"
FOLDER = Path(__file__).parent / ".speed"
PHOTOS = {2: (1632, 1224), 12: (4000, 3000)}
"""Megapixels -> width and height."""
PATH = "/api/remove"
START_SECONDS = 120.0

_OURS = ("-m", MODEL, "--engine", "onnxruntime", "--queue", "256", "--timeout", "600")
_PLAIN = (*_OURS, "--precision", "fp32", "--edges", "plain")
REMBG_NAME = "rembg s"
WAYS: dict[str, tuple[str, ...]] = {
    REMBG_NAME: (),
    "liftout serve": _PLAIN,
    "liftout serve --processes 2": (*_PLAIN, "--processes", "2"),
    "liftout serve, int8": (*_OURS, "--precision", "int8", "--edges", "plain"),
    "liftout serve, default edges": (*_OURS, "--precision", "fp32"),
}
TARGETS = (
    ("liftout serve", 2, 1.5),
    ("liftout serve", 12, 3.0),
    ("liftout serve, int8", 2, 2.0),
)
"""Way, megapixels, and by how much its throughput should exceed rembg's."""
MEMORY_TARGET = 0.6


@dataclass(frozen=True)
class Figures:
    """Of one server and size of photo. rate: photos a second. peak: bytes. failed: answers that were no PNG."""

    rate: float
    peak: int
    failed: int


def main() -> int:
    """Print the table; exit status 1 where an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests-2", type=int, default=96, help="at 2 megapixels; default 96")
    parser.add_argument("--requests-12", type=int, default=32, help="at 12 megapixels; default 32")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--write", metavar="PAGE", type=Path, help="put the table into the page")
    asked = parser.parse_args()
    counts = {2: asked.requests_2, 12: asked.requests_12}
    _prepare(int8=any("int8" in name for name in asked.only))
    photos = {megapixels: _photos(size) for megapixels, size in PHOTOS.items()}
    found: dict[tuple[str, int], Figures] = {}
    for name in asked.only:
        for megapixels, count in counts.items():
            with _server(name) as (pid, url):
                found[name, megapixels] = _measure(pid, url, photos[megapixels], asked.clients, count)
            print(name, f"{megapixels} MP", found[name, megapixels], file=sys.stderr, flush=True)
    lines = [*_table(found, list(PHOTOS)), "", *_verdicts(found), "", _where(asked.clients, counts)]
    print("\n".join(lines))
    if asked.write:
        write_part(asked.write, "beside-rembg", lines)
    return 1 if any(figures.failed for figures in found.values()) else 0


def _prepare(*, int8: bool) -> None:
    """The weights where both look for them, and the int8 pack."""
    share_weights(MODEL)
    if int8:
        convert = [sys.executable, "-m", "liftout", "convert", MODEL, "--precision", "int8"]
        done = subprocess.run(convert, capture_output=True, text=True)
        if done.returncode and "already" not in done.stderr:
            raise SystemExit(f"the int8 pack cannot be made: {done.stderr}")


def _photos(size: tuple[int, int]) -> list[bytes]:
    """The examples as JPEG of this size."""
    made = []
    for path in sorted(EXAMPLES.glob("*.jpg")):
        with Image.open(path) as image:
            stream = io.BytesIO()
            image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
            made.append(stream.getvalue())
    return made


@contextmanager
def _server(name: str) -> Iterator[tuple[int, str]]:
    """The id of a server's process, and its address."""
    if name != REMBG_NAME:
        with served(*WAYS[name]) as (process, url):
            yield process.pid, url
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    rembg, environment = rembg_command()
    command = [rembg, "s", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, server)
        yield server.pid, url
    finally:
        server.terminate()
        server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        try:
            httpx.get(f"{url}/api", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("rembg s did not start")


def _measure(pid: int, url: str, photos: list[bytes], clients: int, count: int) -> Figures:
    """All requests, shared among the clients, after one that loads the model."""
    failed: list[int] = []

    def send(client: httpx.Client, turn: int) -> None:
        answer = client.post(f"{url}{PATH}", data={"model": MODEL}, files={"file": photos[turn % len(photos)]})
        if answer.status_code != 200 or not answer.content.startswith(b"\x89PNG"):
            failed.append(answer.status_code)

    def ask(first: int) -> None:
        with httpx.Client(timeout=600, trust_env=False) as client:
            for turn in range(first, count, clients):
                send(client, turn)

    ask(count - 1)
    with peak_of(pid) as peak, ThreadPoolExecutor(clients) as threads:
        started = time.perf_counter()
        list(threads.map(ask, range(min(clients, count))))
        seconds = time.perf_counter() - started
    return Figures(count / seconds, peak[0], len(failed))


def _table(found: dict[tuple[str, int], Figures], sizes: list[int]) -> Iterator[str]:
    yield "| server | photos | photos a second | peak MB | throughput, of rembg's | memory, of rembg's |"
    yield "|---|---|---|---|---|---|"
    for (name, megapixels), figures in sorted(found.items(), key=lambda item: sizes.index(item[0][1])):
        theirs = found.get((REMBG_NAME, megapixels))
        rate = f"{figures.rate / theirs.rate:.2f} x" if theirs else ""
        memory = f"{figures.peak / theirs.peak:.0%}" if theirs else ""
        failed = f" ({figures.failed} failed)" if figures.failed else ""
        row = (
            f"`{name}`{failed}",
            f"{megapixels} MP",
            f"{figures.rate:.2f}",
            f"{figures.peak / 1e6:.0f}",
            rate,
            memory,
        )
        yield f"| {' | '.join(row)} |"


def _verdicts(found: dict[tuple[str, int], Figures]) -> Iterator[str]:
    for name, megapixels, wanted in TARGETS:
        ours, theirs = found.get((name, megapixels)), found.get((REMBG_NAME, megapixels))
        if ours and theirs:
            reached = ours.rate / theirs.rate
            verdict = "kept" if reached >= wanted else "**missed**"
            yield f"- `{name}`, {megapixels} MP: {wanted:g} x rembg's throughput asked, {reached:.2f} x measured: {verdict}"
            share = ours.peak / theirs.peak
            verdict = "kept" if share <= MEMORY_TARGET else "**missed**"
            yield f"- `{name}`, {megapixels} MP: {MEMORY_TARGET:.0%} of rembg's memory asked, {share:.0%} measured: {verdict}"


def _where(clients: int, counts: dict[int, int]) -> str:
    today = datetime.datetime.now(tz=datetime.UTC).date()
    requests = " and ".join(f"{count} requests at {megapixels} MP" for megapixels, count in counts.items())
    return (
        f"Measured {today} on {processor()}, {os.cpu_count()} cores, clients and server on the same machine: {clients} clients, {requests}, "
        f"U2NetP, {REMBG_WITH_COMMANDS[0]}, ONNX Runtime {version('onnxruntime')}."
    )


if __name__ == "__main__":
    sys.exit(main())
