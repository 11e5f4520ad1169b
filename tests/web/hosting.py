"""A real web server for the tests: static files on loopback, isolation headers, and faults on request."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}

Fault = Callable[["_Handler"], bool]
"""Given a request, answers it in its own way and returns True, or leaves it alone."""


class Host:
    """A folder on loopback. `faults` maps the end of a path to what happens instead of an answer."""

    def __init__(self, folder: Path, headers: dict[str, str]) -> None:
        self.folder = folder
        self.headers = headers
        self.faults: dict[str, Fault] = {}
        self.requests: Counter[str] = Counter()
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.host = self
        self.port: int = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def address(self) -> str:
        """`http://localhost:PORT/`: loopback counts as secure, as https does."""
        return f"http://localhost:{self.port}/"

    def stop(self) -> None:
        """Close the port and break every connection that is open."""
        self.server.shutdown()
        self.server.server_close()
        self.server.break_connections()


@contextmanager
def hosting(folder: Path, *, isolated: bool = True, **headers: str) -> Iterator[Host]:
    """Serve a folder for the length of a block. headers: with `_` for `-`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    # without it a browser keeps files for a time that it guesses from their age
    host = Host(folder, {"Cache-Control": "no-cache", **(ISOLATED if isolated else {}), **given})
    try:
        yield host
    finally:
        host.stop()


def missing(handler: _Handler) -> bool:
    """404."""
    handler.send_error(HTTPStatus.NOT_FOUND)
    return True


def web_page(handler: _Handler) -> bool:
    """What single-page hosts answer to anything unknown."""
    body = b"<!doctype html><title>Welcome</title>"
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
    return True


def corrupt(handler: _Handler) -> bool:
    """The file with one bit turned."""
    content = bytearray(handler.file().read_bytes())
    content[len(content) // 2] ^= 1
    handler.send_response(200)
    handler.send_header("Content-Type", "application/octet-stream")
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(bytes(content))
    return True


def once(fault: Fault) -> Fault:
    """A fault of the first request only."""
    done = False

    def first(handler: _Handler) -> bool:
        nonlocal done
        if done:
            return False
        done = True
        return fault(handler)

    return first


def slow(seconds: float) -> Fault:
    """The right answer, its bytes spread over some time."""

    def trickle(handler: _Handler) -> bool:
        content = handler.file().read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/octet-stream")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        pieces = 40
        step = -(-len(content) // pieces)
        for at in range(0, len(content), step):
            handler.wfile.write(content[at : at + step])
            time.sleep(seconds / pieces)
        return True

    return trickle


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    host: Host

    def __init__(self, *args: Any) -> None:
        self.sockets: set[Any] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.sockets.discard(request)
        super().shutdown_request(request)

    def break_connections(self) -> None:
        for request in list(self.sockets):
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no error here."""


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    extensions_map = {  # noqa: RUF012 - as in the base class
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, *args: Any) -> None:
        self.served = args[2].host
        super().__init__(*args, directory=str(self.served.folder))

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.served.requests[path] += 1
        for end, fault in self.served.faults.items():
            if path.endswith(end) and fault(self):
                return
        super().do_GET()

    def answer(self, body: bytes) -> bool:
        """This instead of the file, for a fault."""
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(self.path.split("?")[0]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return True

    def file(self) -> Path:
        return Path(self.translate_path(self.path))

    def end_headers(self) -> None:
        for name, value in self.served.headers.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""
