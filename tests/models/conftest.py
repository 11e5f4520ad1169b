"""A real HTTP server on loopback that serves files, and misbehaves as told."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from liftout.engines import choice
from liftout.models.spec import FileSpec, InputSpec, LicenseSpec, ModelSpec
from liftout.models.transfer import Patience

Behaviour = Callable[["Handler", bytes], None]


@pytest.fixture(autouse=True)
def one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which engine runs a model is of no concern here, and OpenVINO compiles for seconds."""
    monkeypatch.setattr(choice, "installed", lambda engine: engine == "onnxruntime")


@dataclass
class FileServer:
    """`files` by path; `next_answers` holds, for a path, what to do with the requests to come before serving normally."""

    origin: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    next_answers: dict[str, list[Behaviour]] = field(default_factory=lambda: defaultdict(list))
    always: dict[str, Behaviour] = field(default_factory=dict)
    requests: list[tuple[float, str, dict[str, str]]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"{self.origin}{path}"

    def ranges(self, path: str) -> list[str | None]:
        """The Range header of every request for `path`, in order."""
        return [headers.get("range") for _, asked, headers in self.requests if asked == path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    book: FileServer

    def do_GET(self) -> None:
        self.book.requests.append((time.monotonic(), self.path, {k.lower(): v for k, v in self.headers.items()}))
        content = self.book.files.get(self.path, b"")
        waiting = self.book.next_answers[self.path]
        if waiting:
            waiting.pop(0)(self, content)
        elif self.path in self.book.always:
            self.book.always[self.path](self, content)
        elif self.path not in self.book.files:
            self.answer(404, b"no such file", {"Content-Type": "text/plain"})
        else:
            self.serve(content)

    def serve(self, content: bytes) -> None:
        """As a good server does: whole, or the range that was asked for."""
        etag = self.book.etags.get(self.path, "")
        headers = {"Content-Type": self.book.types.get(self.path, "application/octet-stream")}
        if etag:
            headers["ETag"] = etag
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and self.headers.get("If-Range", etag) == etag:
            start = int(asked[1])
            if start >= len(content):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            else:
                span = f"bytes {start}-{len(content) - 1}/{len(content)}"
                self.answer(206, content[start:], {**headers, "Content-Range": span})
        else:
            self.answer(200, content, headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str], *, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[FileServer]:
    yield from serving()


@pytest.fixture
def mirror() -> Iterator[FileServer]:
    yield from serving()


def serving() -> Iterator[FileServer]:
    book = FileServer()

    class Own(Handler):
        pass

    Own.book = book

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 32

        def handle_error(self, *_: object) -> None:
            """Clients that hang up are what is tested here."""

    httpd = Quiet(("127.0.0.1", 0), Own)
    book.origin = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield book
    book.released.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture(autouse=True)
def home(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty LIFTOUT_HOME; the network may be used, and goes through no proxy."""
    for name in ("LIFTOUT_OFFLINE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return own_home


@pytest.fixture(scope="session")
def content() -> bytes:
    """3 MB that begin as an ONNX file does."""
    return b"\x08\x08\x12\x07" + random.Random(4).randbytes(3_000_000)


@pytest.fixture
def patience() -> Patience:
    return Patience(stall=0.5, attempts=4, first_wait=0.02, longest_wait=3.0)


@pytest.fixture
def model_of() -> Callable[..., ModelSpec]:
    """A catalogue entry with these files."""

    def make(*files: FileSpec, name: str = "sample", **facts: object) -> ModelSpec:
        return ModelSpec(
            name=name,
            family="sample",
            architecture="onnx",
            input=InputSpec(size=(320, 320)),
            files=files,
            license=LicenseSpec(weights="MIT", commercial=True),
            **facts,
        )

    return make
