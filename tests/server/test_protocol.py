"""Connections that are too slow are cut, and too many are turned away."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
import uvicorn

from liftout.server.protocol import patient_protocol
from liftout.server.run import listen

Start = Callable[..., int]
ANSWER = b"x" * 30_000_000


async def _answering(scope: dict[str, object], receive: Callable[..., object], send: Callable[..., object]) -> None:
    """Answers 30 MB at once without reading the request."""
    await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[misc]
    await send({"type": "http.response.body", "body": ANSWER})  # type: ignore[misc]


@pytest.fixture
def start() -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def run(**limits: float) -> int:
            protocol = patient_protocol(**{"connections": 5, "head_seconds": 0.5, "answer_seconds": 0.5, **limits})
            config = uvicorn.Config(_answering, http=protocol, lifespan="off", log_config=None)
            server = uvicorn.Server(config)
            listening = stack.enter_context(listen("127.0.0.1", 0))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            while not server.started:
                time.sleep(0.01)

            def stop() -> None:
                server.should_exit = True
                thread.join()

            stack.callback(stop)
            return int(listening.getsockname()[1])

        yield run


def cut_after(connection: socket.socket) -> float:
    """Seconds until the server ends the connection."""
    started = time.monotonic()
    connection.settimeout(10)
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return time.monotonic() - started


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: "])
def test_a_head_that_does_not_end_is_given_up(start: Start, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", start())) as connection:
        connection.sendall(sent)
        assert cut_after(connection) < 8


def test_a_head_that_drips_is_given_up_too(start: Start) -> None:
    with socket.create_connection(("127.0.0.1", start())) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        end = time.monotonic() + 10
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while time.monotonic() < end:
                connection.sendall(b"X-A: b\r\n")
                time.sleep(0.1)


def test_an_answer_that_is_not_taken_is_thrown_away(start: Start) -> None:
    with socket.create_connection(("127.0.0.1", start())) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(4)
        taken = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(1 << 20):
                taken += chunk
        assert len(taken) < len(ANSWER)


def test_a_slow_but_steady_reader_gets_all(start: Start) -> None:
    with socket.create_connection(("127.0.0.1", start(answer_seconds=3))) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        taken = 0
        while chunk := connection.recv(1 << 18):
            taken += len(chunk)
            time.sleep(0.002)
    assert taken > len(ANSWER)


def test_connections_above_the_limit_are_turned_away(start: Start) -> None:
    port = start(head_seconds=20)
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    time.sleep(0.3)
    with socket.create_connection(("127.0.0.1", port)) as extra:
        extra.settimeout(5)
        assert extra.recv(1000).startswith(b"HTTP/1.1 503")
    for connection in held:
        connection.close()
    time.sleep(0.3)
    assert httpx.get(f"http://127.0.0.1:{port}/", timeout=30).status_code == 200


def test_a_small_answer_does_not_wait_for_more_to_send() -> None:
    """Of the connection that a running server has accepted: TCP_NODELAY."""
    config = uvicorn.Config(_answering, http=patient_protocol(connections=5), lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=30) as client:
                while not server.started:
                    time.sleep(0.01)
                client.get("/")
                (protocol,) = server.server_state.connections
                accepted = protocol.transport.get_extra_info("socket")
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        finally:
            server.should_exit = True
            thread.join()


def test_requests_may_follow_each_other_on_a_connection(start: Start) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{start()}", timeout=30) as client:
        for _ in range(3):
            assert len(client.get("/").content) == len(ANSWER)
            time.sleep(0.3)
