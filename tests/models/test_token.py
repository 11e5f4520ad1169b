"""The hub's token goes to the hub alone: real TLS behind a real proxy, with certificates for both hosts."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from liftout.errors import ModelMissing
from liftout.models.download import fetch
from liftout.models.spec import FileSpec

trustme = pytest.importorskip("trustme")

HUB, STORE, OTHER = "huggingface.co", "cdn-lfs.huggingface.co", "files.example"


class World:
    """Hosts behind one proxy: what each answers by path, and what each was asked with."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}
        self.moved: dict[tuple[str, str], str] = {}
        self.tokens: list[tuple[str, str, str | None]] = []


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HUB, STORE, OTHER).configure_cert(context)

    class Host(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            key = (self.headers["Host"], self.path)
            world.tokens.append((*key, self.headers.get("Authorization")))
            body, status = world.files.get(key, b""), 200 if key in world.files else 401
            if key in world.moved:
                status = 302
            self.send_response(status)
            if status == 302:
                self.send_header("Location", world.moved[key])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Hosts(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> tuple[socket.socket, object]:
            plain, address = super().get_request()
            return context.wrap_socket(plain, server_side=True), address

    hosts = Hosts(("127.0.0.1", 0), Host)

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_response(200)
            self.end_headers()
            with socket.create_connection(("127.0.0.1", hosts.server_port)) as onward:
                back = threading.Thread(target=pump, args=(onward, self.connection), daemon=True)
                back.start()
                pump(self.connection, onward)
                back.join(5)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    proxy.daemon_threads = True
    threads = [threading.Thread(target=each.serve_forever, args=(0.02,)) for each in (hosts, proxy)]
    for thread in threads:
        thread.start()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield world
    for each, thread in zip((proxy, hosts), reversed(threads), strict=True):
        each.shutdown()
        thread.join()
        each.server_close()


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def file(content: bytes, *urls: str) -> FileSpec:
    return FileSpec(role="onnx", name="net.onnx", url=urls, sha256=hashlib.sha256(content).hexdigest(), gated=True)


def test_the_token_goes_to_the_hub_and_not_to_where_it_redirects(world, content, model_of, patience):
    world.moved[HUB, "/a/resolve/main/net.onnx"] = "/b/resolve/main/net.onnx"
    world.moved[HUB, "/b/resolve/main/net.onnx"] = f"https://{STORE}/x?signed=1"
    world.files[STORE, "/x?signed=1"] = content
    wanted = file(content, f"https://{HUB}/a/resolve/main/net.onnx")
    assert fetch(model_of(wanted), wanted, patience=patience).read_bytes() == content
    assert world.tokens == [
        (HUB, "/a/resolve/main/net.onnx", "Bearer hf_secret"),
        (HUB, "/b/resolve/main/net.onnx", "Bearer hf_secret"),
        (STORE, "/x?signed=1", None),
    ]


def test_no_other_host_gets_the_token(world, content, model_of, patience):
    world.moved[OTHER, "/net.onnx"] = f"https://{HUB}/net.onnx"
    world.files[HUB, "/net.onnx"] = content
    wanted = file(content, f"https://{OTHER}/net.onnx")
    assert fetch(model_of(wanted), wanted, patience=patience).read_bytes() == content
    assert world.tokens == [(OTHER, "/net.onnx", None), (HUB, "/net.onnx", None)]


def test_a_redirect_out_of_encryption_is_not_followed(world, server, content, model_of, patience):
    world.moved[HUB, "/net.onnx"] = server.url("/net.onnx")
    wanted = file(content, f"https://{HUB}/net.onnx")
    with pytest.raises(ModelMissing, match="not encrypted"):
        fetch(model_of(wanted), wanted, patience=patience)
    assert not server.requests


def test_a_gated_file_says_what_to_do(world, content, model_of, patience, monkeypatch):
    wanted = file(content, f"https://{HUB}/net.onnx")
    spec = model_of(wanted, origin=f"https://{HUB}/model")
    with pytest.raises(
        ModelMissing, match=r"401 .*HF_TOKEN may lack access.*accept the terms at https://huggingface.co/model"
    ):
        fetch(spec, wanted, patience=patience)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ModelMissing, match="it may need HF_TOKEN"):
        fetch(spec, wanted, patience=patience)


def test_a_certificate_that_is_not_trusted_ends_at_once(world, content, model_of, patience, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    wanted = file(content, f"https://{HUB}/net.onnx")
    with pytest.raises(ModelMissing, match="certificate that is not trusted"):
        fetch(model_of(wanted), wanted, patience=patience)
    assert not world.tokens
