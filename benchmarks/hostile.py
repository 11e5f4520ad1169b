"""What a server holds of its memory after hostile input: resident memory before, at its peak, and some time after.

    python -m benchmarks.hostile [--requests 96] [--write docs/server.md]

Starts `liftout serve` with its defaults and sends, from 8 clients: photos at the limit of pixels, pictures of billions of pixels in
a few bytes, PNGs that lack rows, truncated JPEGs, noise, and JSON of 45 MB with a photo as base64 text and with what is none.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import io
import os
import re
import struct
import sys
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from benchmarks.pages import write_part
from benchmarks.server import served
from liftout.machine import processor

EXAMPLES = Path(__file__).parent.parent / "examples"
CLIENTS = 8
WAITS = (5, 30)
"""Seconds after the last answer at which memory is looked at."""


def main() -> int:
    """Print the figures; exit status 1 where an answer was a 500 or the server ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=96)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    with served() as (process, url):
        first = (EXAMPLES / "cat.jpg").read_bytes()
        httpx.post(f"{url}/v1/cutouts", content=first, timeout=600, trust_env=False).raise_for_status()
        time.sleep(WAITS[0])
        before = memory(process.pid, "VmRSS")
        statuses = attack(url, asked.requests)
        after, waited = [], 0
        for seconds in WAITS:
            time.sleep(seconds - waited)
            after.append(memory(process.pid, "VmRSS"))
            waited = seconds
        peak, ended = memory(process.pid, "VmHWM"), process.poll()
    counts = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    lines = [
        f"{asked.requests} hostile requests from {CLIENTS} clients, answered {counts}",
        f"resident memory {before / 1e6:.0f} MB before, {peak / 1e6:.0f} MB at the peak, "
        + ", ".join(f"{held / 1e6:.0f} MB {seconds} s after" for held, seconds in zip(after, WAITS, strict=True)),
    ]
    print("\n".join(lines))
    if asked.write:
        today = datetime.datetime.now(tz=datetime.UTC).date()
        where = f"Measured {today} on {processor()}, {os.cpu_count()} cores, clients and server on the same machine."
        write_part(asked.write, "hostile", [*(f"- {line}" for line in lines), "", where])
    return 1 if statuses[500] or ended is not None else 0


def attack(url: str, count: int) -> Counter[int]:
    """Answers by status."""
    bodies = hostile()

    def post(turn: int) -> int:
        body, kind = bodies[turn % len(bodies)]
        with httpx.Client(base_url=url, timeout=600, trust_env=False) as client:
            return client.post("/v1/cutouts", content=body, headers={"Content-Type": kind}).status_code

    with ThreadPoolExecutor(CLIENTS) as threads:
        return Counter(threads.map(post, range(count)))


def hostile() -> list[tuple[bytes, str]]:
    """Bodies and their types."""
    jpeg = (EXAMPLES / "cat.jpg").read_bytes()
    noise = np.random.default_rng(0).bytes(200_000)
    text = base64.b64encode(jpeg + bytes(33_000_000)).decode()
    return [
        (large(7000, 7000), "image/jpeg"),
        (png(60_000, 60_000, 200), "image/png"),
        (png(1, 20_000_000, 10), "image/png"),
        (png(6000, 6000, 3000), "image/png"),
        (jpeg[: len(jpeg) // 2], "image/jpeg"),
        (noise, "image/jpeg"),
        (f'{{"image": "{text}"}}'.encode(), "application/json"),
        (b'{"image": "' + b"!" * 45_000_000 + b'"}', "application/json"),
    ]


def large(width: int, height: int) -> bytes:
    """A JPEG with a little less than the limit of pixels."""
    with Image.open(EXAMPLES / "coffee.jpg") as image:
        stream = io.BytesIO()
        image.convert("RGB").resize((width, height)).save(stream, "JPEG", quality=80)
    return stream.getvalue()


def png(width: int, height: int, rows: int) -> bytes:
    """A grey PNG that says width x height and holds so many rows."""
    packed = zlib.compressobj(9)
    row = bytes(1 + width)
    pixels = b"".join(packed.compress(row) for _ in range(rows)) + packed.flush()
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part)) for kind, part in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def memory(pid: int, name: str) -> int:
    """Bytes that /proc says: VmRSS now, VmHWM at the peak."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    sys.exit(main())
