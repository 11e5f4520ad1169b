"""The examples of rembg's README for its server, at the host and port that they name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.server.clients.network import network_to, unshare
from tests.server.clients.shop import alpha, is_cutout, photo_url, work

__all__ = ["alpha", "photo_url", "work"]

EXAMPLES = [
    'curl -s "http://localhost:7000/api/remove?url=http://input.png" -o output.png',
    'curl -s -F file=@/path/to/input.jpg "http://localhost:7000/api/remove" -o output.png',
    'curl -s "http://localhost:7000/api/remove?url=...&dc=true" > output.png',
]
"""The examples of rembg 2.0.86's README for its server."""


@pytest.mark.skipif(unshare() is None or shutil.which("curl") is None, reason="needs curl and namespaces (unshare)")
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_rembg_work_as_they_are(
    example: str,
    launch: Callable[..., Any],
    photo_url: str,
    alpha: np.ndarray,
    work: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Nothing is replaced but what they leave to the reader: the photo."""
    for placeholder in ("url=http://input.png", "url=..."):
        example = example.replace(placeholder, f"url={photo_url}")
    example = example.replace("/path/to/input.jpg", "cat.jpg")
    server = launch("--fetch-network", "127.0.0.1/32")
    with network_to(server.port, tmp_path_factory.mktemp("rembg"), seen_at=7000) as network:
        ended = network.run(["sh", "-c", example], cwd=work)
    assert ended.returncode == 0, ended.stderr
    assert is_cutout((work / "output.png").read_bytes(), alpha)
