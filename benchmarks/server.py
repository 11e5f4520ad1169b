"""A server under load: requests a second, p50, p99, and its memory before and after.

    python -m benchmarks.server [--url http://127.0.0.1:7000] [--clients 64] [--requests 512] [PHOTO...]

Without --url it starts `liftout serve` itself. Every answer must be the same each time its photo is sent.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np

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
    arguments = parser.parse_args()
    photos = [path.read_bytes() for path in arguments.photos or sorted(EXAMPLES.glob("*.jpg"))]
    if arguments.url:
        return _measure(arguments.url, arguments.path, photos, arguments.clients, arguments.requests, None)
    command = [sys.executable, "-m", "liftout", "serve", "--port", "0", "-m", arguments.model]
    process = subprocess.Popen([*command, "--queue", str(arguments.clients)], stderr=subprocess.PIPE, text=True)
    try:
        url = ""
        while not url and process.stderr:
            found = re.search(r"listening on (\S+)", process.stderr.readline())
            url = found[1] if found else ""
        with ThreadPoolExecutor(1) as drain:
            drain.submit(lambda: process.stderr and process.stderr.read())
            status = _measure(url, arguments.path, photos, arguments.clients, arguments.requests, process.pid)
            process.terminate()
    finally:
        process.terminate()
        process.wait()
    return status


def _measure(url: str, path: str, photos: list[bytes], clients: int, count: int, pid: int | None) -> int:
    times: list[float] = []
    answers: dict[int, set[str]] = defaultdict(set)
    failed: list[int] = []
    connections = [httpx.Client(base_url=url, timeout=600, trust_env=False, verify=False) for _ in range(clients)]  # noqa: S501

    def ask(worker: int) -> None:
        for turn in range(worker, count, clients):
            started = time.perf_counter()
            answer = connections[worker].post(path, files={"image": photos[turn % len(photos)]})
            times.append(time.perf_counter() - started)
            if answer.status_code != 200:
                failed.append(answer.status_code)
            else:
                answers[turn % len(photos)].add(hashlib.sha256(answer.content).hexdigest())

    ask_once = min(len(photos), clients)
    for worker in range(ask_once):
        connections[worker].post(path, files={"image": photos[worker % len(photos)]})
    before = _rss(pid)
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(ask, range(clients)))
    seconds = time.perf_counter() - started
    for connection in connections:
        connection.close()
    wrong = sum(len(seen) > 1 for seen in answers.values())
    distinct = len({next(iter(seen)) for seen in answers.values() if len(seen) == 1})
    print(f"{clients} clients, {count} requests, {len(photos)} photos: {count / seconds:.1f} a second")
    print(f"p50 {np.percentile(times, 50):.2f} s, p99 {np.percentile(times, 99):.2f} s")
    print(f"not answered with 200: {len(failed)}; photos with differing answers: {wrong}; distinct answers: {distinct}")
    if pid is not None:
        print(f"RSS {before / 1e6:.0f} MB before, {_rss(pid) / 1e6:.0f} MB after")
    return 1 if failed or wrong else 0


def _rss(pid: int | None) -> int:
    if pid is None or not Path(f"/proc/{pid}/status").is_file():
        return 0
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    sys.exit(main())
