"""Clients that send too much, too slowly, or leave."""

from __future__ import annotations

import base64
import io
import math
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL import Image

from liftout.cli import main


def request_bytes(content: bytes, *, length: int | None = None, path: str = "/v1/cutouts") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: {length or len(content)}\r\n\r\n"
    return head.encode() + content


def noise_png() -> bytes:
    """A photo of 900 x 900 pixels and 2.4 MB."""
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    return stream.getvalue()


def connected(server: object) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    return made


def received(connection: socket.socket) -> bytes:
    content = b""
    try:
        while chunk := connection.recv(65536):
            content += chunk
    except ConnectionResetError:
        pass
    return content


def test_a_body_above_the_limit_is_refused_before_it_is_read(launch: Callable[..., object]) -> None:
    server = launch("--max-body", "1")
    answer = httpx.post(f"{server.url}/v1/cutouts", content=b"x" * 1_000_001)
    assert answer.status_code == 413
    with connected(server) as connection:
        connection.sendall(request_bytes(b"", length=10**9))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")

    def endless() -> object:
        for _ in range(40):
            yield b"x" * 65536

    chunked = httpx.post(f"{server.url}/v1/cutouts", content=endless())
    assert chunked.status_code == 413
    assert server.measure("liftout_body_bytes") == 0


def test_requests_beyond_the_memory_for_bodies_are_told_to_come_back(launch: Callable[..., object], cat: bytes) -> None:
    server = launch("--max-body", "1", "--body-memory", "1")
    with connected(server) as connection:
        connection.sendall(request_bytes(b"x" * 970_000, length=990_000))
        server.wait_until(lambda: server.measure("liftout_body_bytes") >= 960_000)
        answer = httpx.post(f"{server.url}/v1/cutouts", content=cat)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
    server.wait_until(lambda: server.measure("liftout_body_bytes") == 0)
    assert httpx.post(f"{server.url}/v1/cutouts", content=cat, timeout=60).status_code == 200


def test_text_and_photos_out_of_base64_count_as_memory_for_bodies(launch_process: Callable[..., object]) -> None:
    server = launch_process("--body-memory", "100")
    facts = {"params": {"answer": "facts"}, "timeout": 120}
    photo = base64.b64encode(noise_png())
    for text in (photo, b'{"image": "' + photo + b'"}'):
        kind = "application/json" if text.startswith(b"{") else "application/x-www-form-urlencoded"
        content = text if text.startswith(b"{") else b"image=" + quote(text).encode()
        answer = httpx.post(f"{server.url}/v1/cutouts", content=content, headers={"Content-Type": kind}, **facts)
        assert (answer.status_code, answer.json()["width"]) == (200, 900)
    server.forget_peak()
    before = server.peak_rss()
    body = b'{"image": "' + b"A" * 45_000_000 + b'"}'

    def post(_: int) -> int:
        answer = httpx.post(
            f"{server.url}/v1/cutouts", content=body, headers={"Content-Type": "application/json"}, **facts
        )
        return answer.status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(post, range(8)))
    assert set(statuses) <= {422, 503}
    assert 422 in statuses
    assert server.peak_rss() < before + 240e6  # eight bodies at once would be 360 MB and more
    assert server.measure("liftout_body_bytes") == 0


@pytest.mark.parametrize(
    "content",
    [
        b'{"image": "' + b"A" * 600_000 + b'\\ud83d\\ude00"}',
        b'{"image": "' + b"A" * 600_000 + "\U0001f600".encode() + b'"}',
        b'{"image": [' + b"[]," * 200_000 + b"1]}",
        b"image=" + b"%41" * 200_000 + b"%F0%9F%98%80",
    ],
)
def test_text_that_takes_many_times_its_size_is_refused_before_it_is_parsed(
    launch: Callable[..., object], content: bytes
) -> None:
    server = launch("--max-body", "1", "--body-memory", "1")
    kind = "application/json" if content.startswith(b"{") else "application/x-www-form-urlencoded"
    answer = httpx.post(f"{server.url}/v1/cutouts", content=content, headers={"Content-Type": kind})
    assert answer.status_code in (400, 413)
    assert server.measure("liftout_body_bytes") == 0


def test_base64_may_be_broken_into_lines_and_not_padded_before_its_end(client: httpx.Client) -> None:
    photo = base64.encodebytes(noise_png()).decode()
    assert client.post("/v1/cutouts?answer=facts", json={"image": photo}, timeout=120).json()["width"] == 900
    for wrong in (photo[:-3] + "!\n", f"{photo[:40]}=={photo[42:]}", photo[:-8], f"{photo}AAAA"):
        answer = client.post("/v1/cutouts?answer=facts", json={"image": wrong})
        assert (answer.status_code, answer.json()["field"]) == (422, "image")


def test_a_body_that_comes_too_slowly_is_given_up(launch: Callable[..., object]) -> None:
    server = launch("--body-timeout", "1")
    with connected(server) as connection:
        connection.sendall(request_bytes(b"x" * 100, length=5000))
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408")
    assert server.measure("liftout_body_bytes") == 0


def test_uploads_never_touch_the_disk(launch_process: Callable[..., object], examples: object) -> None:
    """A process that may not write one byte to any file takes a photo of more than two megabytes."""
    photo = noise_png()
    assert len(photo) > 2_000_000
    server = launch_process()
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, 0))
    for settings in ({"files": {"image": photo}}, {"content": photo}):
        answer = httpx.post(f"{server.url}/v1/cutouts", params={"answer": "facts"}, timeout=120, **settings)
        assert (answer.status_code, answer.json()["width"]) == (200, 900)


def test_a_full_queue_says_when_to_come_back_and_loses_nobody(launch: Callable[..., object], cat: bytes) -> None:
    server = launch("--workers", "1", "--queue", "2", model="slow")

    def post(_: int) -> httpx.Response:
        return httpx.post(f"{server.url}/v1/cutouts", content=cat, params={"answer": "facts"}, timeout=120)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(post, range(8)))
    statuses = sorted(answer.status_code for answer in answers)
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 3
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status_code == 503)
    assert post(0).status_code == 200


def test_a_client_that_leaves_frees_its_place(launch: Callable[..., object], cat: bytes) -> None:
    server = launch("--workers", "1", "--queue", "3", model="slow")
    connections = [connected(server) for _ in range(4)]
    for connection in connections:
        connection.sendall(request_bytes(cat))
    server.wait_until(lambda: server.measure("liftout_waiting") == 3)
    for connection in connections:
        connection.close()
    server.wait_until(lambda: server.measure("liftout_waiting") == 0)
    server.wait_until(lambda: server.measure("liftout_running") == 0)
    assert server.measure("liftout_abandoned_total") == 4
    assert server.measure("liftout_run_seconds_count") == 0
    assert httpx.post(f"{server.url}/v1/cutouts", content=cat, timeout=120).status_code == 200


def test_a_photo_that_takes_too_long_is_given_up(launch: Callable[..., object], cat: bytes) -> None:
    server = launch("--workers", "1", "--timeout", "1", model="endless")
    with ThreadPoolExecutor(3) as threads:
        answers = list(
            threads.map(lambda _: httpx.post(f"{server.url}/v1/cutouts", content=cat, timeout=120), range(3))
        )
    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
    server.wait_until(lambda: server.measure("liftout_running") == 0, seconds=400)
    assert server.measure("liftout_run_seconds_count") == 0


def test_a_half_closed_upload_leaves_nothing_behind(server: object, cat: bytes) -> None:
    for _ in range(20):
        with connected(server) as connection:
            connection.sendall(request_bytes(cat[:1000], length=len(cat)))
            connection.shutdown(socket.SHUT_WR)
            received(connection)
    server.wait_until(lambda: server.measure("liftout_body_bytes") == 0)
    assert httpx.post(f"{server.url}/v1/cutouts", content=cat, timeout=60).status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/cutouts HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/cutouts HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/cutouts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /%ff%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
def test_malformed_http_is_a_4xx_and_no_more(server: object, text: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(text)
        connection.settimeout(3)
        try:
            answer = connection.recv(65536)
        except (TimeoutError, ConnectionResetError):
            answer = b""
    assert not re.match(rb"HTTP/1.1 5", answer)
    assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_termination_finishes_what_runs_and_waits(launch_process: Callable[..., object], cat: bytes) -> None:
    server = launch_process("--workers", "1", model="slow")
    answers: list[httpx.Response] = []

    def post() -> None:
        answers.append(httpx.post(f"{server.url}/v1/cutouts", content=cat, timeout=120))

    threads = [threading.Thread(target=post) for _ in range(3)]
    for thread in threads:
        thread.start()
    server.wait_until(lambda: server.measure("liftout_waiting") == 2)
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert server.process.wait(30) == 0
    assert any("stopping" in line for line in server.lines())
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{server.url}/healthz")


def test_what_cannot_be_finished_in_the_grace_is_told_so_before_the_rest_is_finished(
    launch_process: Callable[..., object], cat: bytes
) -> None:
    def post(server: object) -> httpx.Response:
        return httpx.post(f"{server.url}/v1/cutouts", content=cat, params={"answer": "facts"}, timeout=300)

    takes = post(launch_process(model="slow")).json()["seconds"]["ran"]
    server = launch_process("--workers", "1", "--grace", str(math.ceil(4 * takes)), model="slow")
    assert post(server).status_code == 200
    came: list[int] = []
    threads = [threading.Thread(target=lambda: came.append(post(server).status_code)) for _ in range(24)]
    for thread in threads:
        thread.start()
    server.wait_until(lambda: server.measure("liftout_waiting") >= 20)
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert set(came) == {200, 503}
    assert came[-1] == 200
    assert server.process.wait(60) == 0


def test_a_photo_that_outlives_the_grace_does_not_hold_the_process(
    launch_process: Callable[..., object], cat: bytes
) -> None:
    server = launch_process("--grace", "1", model="forever")
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(httpx.post, f"{server.url}/v1/cutouts", content=cat, timeout=120)
        server.wait_until(lambda: server.measure("liftout_running") == 1)
        server.process.send_signal(signal.SIGTERM)
        assert answer.result().status_code == 503
    assert server.process.wait(60) == 0
    assert server.lines()[-1].endswith("stopped")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["-m", "u2netp"], 3, "u2netp"),
        (["-m", "tinny"], 2, "did you mean `tiny`"),
        (["-m", "tiny", "--host", "192.0.2.1"], 2, "cannot listen on 192.0.2.1"),
        (["-m", "tiny", "--api-key-file", "/nonexistent"], 2, "API key file"),
        (["-m", "tiny", "--fetch-network", "10.0.0.1/8"], 2, "10.0.0.1/8"),
        (["-m", "tiny", "--trust-proxy", "everyone"], 2, "everyone"),
        (["-m", "tiny", "--workers", "0"], 2, "workers"),
    ],
)
def test_a_server_that_cannot_work_does_not_start(
    arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFTOUT_OFFLINE", "1")
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--port", "0", *arguments])
    assert ended.value.code == status
    assert words in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(server: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "-m", "tiny", "--port", str(server.port)])
    assert ended.value.code == 2
    assert str(server.port) in capsys.readouterr().err


def test_it_listens_on_this_machine_alone_unless_told_otherwise(server: object) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", server.port), timeout=2).close()


def test_without_its_extra_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['fastapi'] = None; from liftout.cli import main; main(['serve', '-m', 'tiny'])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert ended.stderr == 'liftout: serve needs the extra `server`; run pip install "liftout[server]"\n'
