"""What the image is made of, as far as it shows without building one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture
def ready() -> Iterator[tuple[int, list[int]]]:
    """A server whose /readyz answers the status in a list, and its port."""
    status = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[0] if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, status
        server.shutdown()


@pytest.fixture
def healthy(tmp_path: Path) -> Callable[..., bool]:
    """Whether the image's health check is content with a server that was started with these arguments."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")

    def check(*arguments: str) -> bool:
        words = ["liftout", "serve", "--host", "0.0.0.0", *arguments]
        (tmp_path / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
        script = ROOT / "packaging" / "healthcheck.sh"
        ended = subprocess.run([bash, script, tmp_path / "cmdline"], capture_output=True, check=False, timeout=30)
        return ended.returncode == 0

    return check


def test_the_health_check_asks_the_port_that_the_server_was_started_with(
    ready: tuple[int, list[int]], healthy: Callable[..., bool]
) -> None:
    port, status = ready
    assert healthy("--port", str(port))
    assert healthy(f"--port={port}", "--workers", "2")
    status[0] = 503
    assert not healthy("--port", str(port))


def test_the_health_check_fails_where_nothing_listens(healthy: Callable[..., bool]) -> None:
    assert not healthy("--port", "1")


def test_the_layer_of_requirements_holds_what_liftout_server_needs() -> None:
    script = ROOT / "packaging" / "requirements.py"
    told = subprocess.run([sys.executable, script, "server"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = {line.split(">=")[0].split(";")[0] for line in told.stdout.splitlines()}
    assert {"numpy", "onnxruntime", "uvicorn", "scipy"} <= names
    assert not [name for name in names if name.startswith("liftout")]
    assert "torch" not in names


def test_everything_that_the_image_copies_is_here_and_sent_to_the_build() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line]
    copied = [
        source
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    assert {"src", "web", "NOTICE"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists(), source
        sent = False
        for rule in rules:  # the last rule that fits decides
            pattern = rule.removeprefix("!")
            if pattern == "**" or any(
                fnmatchcase(str(path), pattern) for path in (Path(source), *Path(source).parents)
            ):
                sent = rule.startswith("!")
        assert sent, source
