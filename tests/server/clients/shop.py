"""A server for clients of remove.bg, the network in which they run, and their photo."""

from __future__ import annotations

import functools
import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftout import Remover
from tests.server.clients.network import HOST, Network, network_to
from tests.server.conftest import ServerProcess, serving

KEY = "a-key-for-the-shop"


@pytest.fixture(scope="module")
def shop(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with one key that fetches from this machine."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "keys").write_text(f"shop {KEY}\n", encoding="utf-8")
    options = ("--api-key-file", str(folder / "keys"), "--allow-host", HOST, "--fetch-network", "127.0.0.1/32")
    with serving(tiny_home, folder / "log", *options) as running:
        yield running


@pytest.fixture(scope="module")
def network(shop: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network_to(shop.port, tmp_path_factory.mktemp("network")) as network:
        yield network


@pytest.fixture(scope="module")
def photo_url(examples: Path) -> Iterator[str]:
    """The URL of the cat, for the server alone: clients cannot reach it."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(examples))) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{files.server_port}/cat.jpg"
        files.shutdown()


@pytest.fixture(scope="module")
def alpha(examples: Path, tiny_home: Path) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFTOUT_HOME", str(tiny_home))
        with Remover("tiny") as remover:
            return remover(examples / "cat.jpg").alpha


@pytest.fixture
def work(tmp_path: Path, examples: Path) -> Path:
    """A folder with the cat, where clients run and write."""
    (tmp_path / "cat.jpg").write_bytes((examples / "cat.jpg").read_bytes())
    return tmp_path


def run(network: Network, command: list[str], script: str, work: Path, *arguments: str, **environment: str) -> dict:
    """What a script prints as JSON in its last line."""
    suffix = {"node": ".js", "php": ".php", "ruby": ".rb", "java": ".java", "sh": ".sh"}.get(command[0], ".py")
    (work / f"Client{suffix}").write_text(script, encoding="utf-8")
    ended = network.run([*command, f"Client{suffix}", *arguments], cwd=work, environment=environment)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def is_cutout(content: bytes, alpha: np.ndarray) -> bool:
    with Image.open(io.BytesIO(content)) as image:
        return np.array_equal(np.asarray(image)[..., 3], alpha)
