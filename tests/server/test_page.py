"""The page and the documentation of the API."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from liftout import site
from liftout.errors import ExtraMissing
from liftout.options import ResultOptions, RunOptions
from liftout.server.fields import OPERATORS, names
from liftout.server.page import written_site
from liftout.server.run import listen, prepare
from liftout.server.settings import Settings


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """A server of a page of three files, and a file beside its folder."""
    root = tmp_path / "web"
    (root / "ort").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html><title>page</title>", encoding="utf-8")
    (root / "liftout.js").write_text("export {};", encoding="utf-8")
    (root / "ort" / "ort.wasm").write_bytes(b"\0asm")
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    (root / "link").symlink_to(tmp_path / "secret")
    _, server = prepare(Settings(run=RunOptions(model="tiny")), web=root)
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_the_page_is_served_isolated_and_with_the_right_types(page: str) -> None:
    for path, kind in (("/", "text/html"), ("/liftout.js", "text/javascript"), ("/ort/ort.wasm", "application/wasm")):
        answer = httpx.get(page + path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert "wasm-unsafe-eval" in answer.headers["content-security-policy"]
    assert httpx.get(f"{page}/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "path", ["/../secret", "/%2e%2e/secret", "/ort/../../secret", "/link", "//etc/passwd", "/%00", "/none"]
)
def test_no_file_outside_the_page_is_served(page: str, path: str) -> None:
    with socket.create_connection(("127.0.0.1", int(page.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"secret" not in answer.partition(b"\r\n\r\n")[2].replace(b"/secret", b"")


def test_the_page_of_the_package_is_complete_where_it_is_built() -> None:
    try:
        site._built()
    except ExtraMissing:
        with written_site() as folder:
            assert folder is None
        pytest.skip("the page has not been built; `make web` builds it")
    with written_site() as folder:
        assert folder is not None
        for name in (
            "index.html",
            "liftout.js",
            "graphs/finish.onnx",
            "packs/index.json",
            "packs/pocket/manifest.json",
        ):
            assert (folder / name).is_file(), name


def test_every_option_of_the_schema_is_described(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/cutouts"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    for name in names(ResultOptions, RunOptions):
        assert (name in form) == (name not in OPERATORS)
    text = client.get("/docs").text
    for name in (*form, "/api/remove", "/v1.0/removebg", "crop_margin", "extras"):
        assert name in text
