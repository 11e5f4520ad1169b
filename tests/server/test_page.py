"""The page and the documentation of the API."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from liftout import site
from liftout.errors import ExtraMissing
from liftout.options import ResultOptions, RunOptions
from liftout.server.fields import OPERATORS, names
from liftout.server.page import written_site
from liftout.server.run import listen
from liftout.server.serving import prepare
from liftout.server.settings import Settings
from tests.images.pictures import raw_png


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
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"secret" not in answer.partition(b"\r\n\r\n")[2].replace(b"/secret", b"")


def test_the_page_of_the_package_is_complete_where_it_is_built() -> None:
    try:
        site._built_page()
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


def test_models_that_were_added_are_listed_by_the_page_and_can_be_had_there(
    launch_process: Callable[..., Any],
) -> None:
    try:
        site._built_page()
    except ExtraMissing:
        pytest.skip("the page has not been built; `make web` builds it")
    server = launch_process("--models", "tiny-twin")
    listed = {row["name"]: row for row in httpx.get(f"{server.url}/packs/index.json").json()}
    assert set(listed) == {"pocket", "tiny-twin"}, "added models that are not offered are left out"
    assert listed["tiny-twin"]["added"]
    manifest = httpx.get(f"{server.url}/packs/tiny-twin/manifest.json").json()
    assert manifest["model"]["name"] == "tiny-twin"
    for file in manifest["files"]:
        answer = httpx.get(f"{server.url}/packs/tiny-twin/{file['path']}")
        assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]


def test_a_path_of_the_api_keeps_its_methods_beside_a_page(page: str) -> None:
    assert httpx.get(f"{page}/v1.0/removebg").headers["Allow"] == "POST"
    assert httpx.put(f"{page}/v1/cutouts").headers["Allow"] == "GET, HEAD, POST"
    assert httpx.put(f"{page}/v1/models").headers["Allow"] == "GET, HEAD"
    assert httpx.delete(f"{page}/liftout.js").headers["Allow"] == "GET, HEAD"
    assert httpx.head(f"{page}/liftout.js").status_code == 200


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/remove", "GET, POST"),
        ("/v1.0/removebg", "POST"),
        *[
            (path, "GET, HEAD")
            for path in ("/v1/models", "/metrics", "/healthz", "/readyz", "/docs", "/openapi.json", "/")
        ],
    ],
)
def test_allow_names_every_method_and_head_answers_as_get_does(client: httpx.Client, path: str, methods: str) -> None:
    answer = client.request("PATCH", path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, methods)
    if "HEAD" in methods:
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


def test_titles_are_those_of_the_standard_on_every_python(client: httpx.Client) -> None:
    assert client.post("/v1/cutouts", data={"margin": "x"}).json()["title"] == "Unprocessable Content"
    too_large = client.post("/v1/cutouts", content=raw_png(1, 20_000_000, 8, 0, b""))
    assert too_large.json()["title"] == "Content Too Large"


def test_the_document_states_keys_and_the_statuses_that_occur(
    client: httpx.Client, launch: Callable[..., object], tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("shop first-key-0123456789\n", encoding="utf-8")
    guarded = httpx.get(f"{launch('--api-key-file', str(keys), '--rate', '9').url}/openapi.json").json()
    assert {scheme["type"] for scheme in guarded["components"]["securitySchemes"].values()} == {"apiKey", "http"}
    open_to_all = client.get("/openapi.json").json()
    assert "securitySchemes" not in open_to_all.get("components", {})
    for path, operations in guarded["paths"].items():
        for method, operation in operations.items():
            free = path in ("/healthz", "/readyz")
            statuses, fewer = set(operation["responses"]), set(open_to_all["paths"][path][method]["responses"])
            key_refused = "403" if path.startswith("/v1.0") else "401"
            assert ("security" in operation) == ({key_refused, "429"} <= statuses) == (not free)
            assert not {"401", "429"} & fewer
            assert "421" in fewer


def test_every_parameter_that_is_taken_is_in_the_document(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path, taken in (
        ("/v1/cutouts", {"url", "margin", "answer"}),
        ("/api/remove", {"url", "extras", "bgc"}),
        ("/v1.0/removebg", {"type_level", "semitransparency", "shadow_type", "shadow_opacity", "add_shadow", "roi"}),
    ):
        operation = paths[path]["post"]
        assert taken <= {parameter["name"] for parameter in operation["parameters"]}
        for kind in ("multipart/form-data", "application/json", "application/x-www-form-urlencoded"):
            assert taken <= set(operation["requestBody"]["content"][kind]["schema"]["properties"])


def test_every_option_of_the_schema_is_described(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/cutouts"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    for name in names(ResultOptions, RunOptions):
        assert (name in form) == (name not in OPERATORS)
    text = client.get("/docs").text
    for name in (*form, "/api/remove", "/v1.0/removebg", "crop_margin", "extras"):
        assert name in text
