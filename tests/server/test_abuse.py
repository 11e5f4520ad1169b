"""Load and abuse: no crash, no 500, no wrong answer, no leak. The long forms run with `make check-long`."""

from __future__ import annotations

import io
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from PIL import Image
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from liftout import Remover

PATHS = {"/v1/cutouts": "image", "/api/remove": "file", "/v1.0/removebg": "image_file"}
BOUNDARY = b"abuse"


OPERATIONS = [
    ("POST", "/v1/cutouts"),
    ("GET", "/v1/cutouts"),
    ("POST", "/api/remove"),
    ("GET", "/api/remove"),
    ("POST", "/v1.0/removebg"),
    ("GET", "/v1.0/account"),
    ("POST", "/v1.0/improve"),
    ("GET", "/v1/models"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def requests_from_the_document(server: object, method: str, path: str, count: int) -> None:
    """Requests that schemathesis makes from the OpenAPI document, and its checks of the answers."""
    document = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    assert {(m.upper(), p) for p, item in document.raw_schema["paths"].items() for m in item} == set(OPERATIONS)

    @given(case=document[path][method].as_strategy())
    @settings(
        max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )
    def answers_fit(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    answers_fit()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_requests_made_from_the_openapi_document_are_answered_as_it_says(
    server: object, method: str, path: str
) -> None:
    requests_from_the_document(server, method, path, 25 if method == "POST" else 5)


@pytest.mark.long
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_thousands_of_requests_made_from_the_openapi_document(server: object, method: str, path: str) -> None:
    requests_from_the_document(server, method, path, 2500)


def photos(examples: Path) -> list[bytes]:
    """A small photo in every format that is read."""
    made = []
    with Image.open(examples / "cat.jpg") as opened:
        small = opened.convert("RGB").resize((60, 40))
    for kind, image in (
        ("JPEG", small), ("PNG", small.convert("RGBA")), ("WEBP", small), ("TIFF", small), ("GIF", small.convert("P")),
        ("BMP", small), ("AVIF", small), ("PPM", small), ("PNG", small.convert("I;16")),
    ):  # fmt: skip
        stream = io.BytesIO()
        image.save(stream, kind)
        made.append(stream.getvalue())
    return made


def mutated(content: bytes, chance: random.Random) -> bytes:
    """A photo with bytes changed, cut off, doubled or put in."""
    broken = bytearray(content)
    for _ in range(chance.choice((1, 3, 20))):
        place = chance.randrange(len(broken)) if broken else 0
        match chance.randrange(5):
            case 0:
                broken[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del broken[place:]
            case 2:
                del broken[place : place + chance.randrange(40)]
            case 3:
                broken[place:place] = chance.randbytes(chance.randrange(40))
            case 4:
                broken[place : place + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
    return bytes(broken)


def bodies(examples: Path, count: int, seed: int) -> Iterator[tuple[str, bytes, str]]:
    """(path, body, content type): forms, JSON and photos, most of them broken."""
    chance = random.Random(seed)
    whole = photos(examples)
    for _ in range(count):
        path, name = chance.choice(list(PATHS.items()))
        photo = chance.choice(whole)
        part = (
            b"--"
            + BOUNDARY
            + b'\r\nContent-Disposition: form-data; name="'
            + name.encode()
            + b'"; filename="a"\r\n\r\n'
        )
        form = part + photo + b"\r\n--" + BOUNDARY + b"--\r\n"
        multipart = "multipart/form-data; boundary=abuse"
        match chance.randrange(5):
            case 0:
                yield path, mutated(photo, chance), "image/jpeg"
            case 1:
                yield path, part + mutated(photo, chance) + b"\r\n--" + BOUNDARY + b"--\r\n", multipart
            case 2:
                yield path, mutated(form, chance), multipart
            case 3:
                yield path, mutated(b'{"url": "http://x/", "margin": 3, "image": "AAAA"}', chance), "application/json"
            case 4:
                fields = mutated(b"margin=3&crop=true&size=auto&bgc=1,2,3,4&image_file_b64=AAAA", chance)
                yield path, fields, "application/x-www-form-urlencoded"


def abuse(server: object, examples: Path, count: int, seed: int) -> Counter[int]:
    """Answers by status, from eight clients."""

    def post(job: tuple[str, bytes, str]) -> int:
        path, body, kind = job
        answer = client.post(path, content=body, headers={"Content-Type": kind})
        if answer.status_code != 200:
            assert answer.json()
        return answer.status_code

    with httpx.Client(base_url=server.url, timeout=120, trust_env=False) as client, ThreadPoolExecutor(8) as threads:
        return Counter(threads.map(post, bodies(examples, count, seed)))


def test_broken_bodies_are_the_callers_mistakes(server: object, examples: Path) -> None:
    found = abuse(server, examples, 200, seed=1)
    assert set(found) <= {200, 400, 403, 413, 415, 422}
    assert found.total() == 200
    assert server.process.poll() is None
    assert server.measure("liftout_body_bytes") == 0


@pytest.mark.long
def test_ten_thousand_broken_bodies_crash_nothing_and_leak_nothing(
    launch_process: Callable[..., object], examples: Path
) -> None:
    server = launch_process()
    abuse(server, examples, 1500, seed=2)
    before = server.rss()
    found = abuse(server, examples, 10_000, seed=3)
    print(f"10,000 broken bodies: {dict(found)}; RSS {before / 1e6:.0f} -> {server.rss() / 1e6:.0f} MB")
    assert set(found) <= {200, 400, 403, 413, 415, 422}
    assert server.process.poll() is None
    assert server.rss() < before + 60e6


def crowd(server: object, jobs: list[tuple[bytes, np.ndarray]], clients: int, count: int) -> dict[str, float]:
    """`count` requests from `clients` at a time; every answer is compared with its own photo's. Times in seconds."""
    times: list[float] = []
    connections = [httpx.Client(base_url=server.url, timeout=300, trust_env=False) for _ in range(clients)]

    def ask(worker: int) -> None:
        for turn in range(worker, count, clients):
            photo, expected = jobs[turn % len(jobs)]
            started = time.perf_counter()
            answer = connections[worker].post("/v1/cutouts", content=photo)
            times.append(time.perf_counter() - started)
            assert answer.status_code == 200, answer.text
            with Image.open(io.BytesIO(answer.content)) as image:
                assert np.array_equal(np.asarray(image), expected)

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(ask, range(clients)))
    seconds = time.perf_counter() - started
    for connection in connections:
        connection.close()
    return {
        "requests": len(times),
        "per_second": len(times) / seconds,
        "p50": float(np.percentile(times, 50)),
        "p99": float(np.percentile(times, 99)),
    }


def mixed(examples: Path, sizes: list[tuple[int, int]]) -> list[tuple[bytes, np.ndarray]]:
    """Photos of these sizes, and the cutout that the Python API gives for each."""
    jobs = []
    with Remover("tiny") as remover:
        for index, size in enumerate(sizes):
            with Image.open(sorted(examples.glob("*.jpg"))[index % 5]) as opened:
                stream = io.BytesIO()
                opened.convert("RGB").resize(size).save(stream, "JPEG", quality=90)
            jobs.append((stream.getvalue(), remover(stream.getvalue()).rgba))
    return jobs


def test_many_clients_get_each_their_own_cutout(server: object, examples: Path) -> None:
    found = crowd(server, mixed(examples, [(40, 30), (90, 120), (200, 150), (31, 77), (320, 200)]), 16, 48)
    assert found["requests"] == 48


@pytest.mark.long
def test_64_clients_with_mixed_sizes(launch_process: Callable[..., object], examples: Path) -> None:
    server = launch_process()
    jobs = mixed(examples, [(640, 480), (90, 120), (1200, 900), (31, 77), (320, 200), (800, 1000), (64, 64)])
    crowd(server, jobs, 64, 128)
    before = server.rss()
    found = crowd(server, jobs, 64, 1024)
    print(f"64 clients: {found}; RSS {before / 1e6:.0f} -> {server.rss() / 1e6:.0f} MB")
    assert server.rss() < before + 150e6


@pytest.mark.long
def test_memory_is_steady_over_ten_thousand_requests(launch_process: Callable[..., object], examples: Path) -> None:
    server = launch_process()
    jobs = mixed(examples, [(40, 30), (90, 120), (200, 150), (31, 77)])
    crowd(server, jobs, 8, 2000)
    before = server.rss()
    found = crowd(server, jobs, 8, 10_000)
    print(f"10,000 requests: {found}; RSS {before / 1e6:.0f} -> {server.rss() / 1e6:.0f} MB")
    assert server.rss() < before + 40e6


def test_slow_clients_take_no_place_from_others(launch: Callable[..., object], cat: bytes) -> None:
    """Fifty connections that send a byte now and then, while a real client works."""
    server = launch("--workers", "1", "--queue", "2")
    head = b"POST /v1/cutouts HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n"
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    for index, connection in enumerate(idle):
        connection.sendall(head if index % 2 else head[:30])
    try:
        for _ in range(3):
            assert httpx.post(f"{server.url}/v1/cutouts", content=cat, timeout=60).status_code == 200
            for index, connection in enumerate(idle):
                connection.sendall(b"x" if index % 2 else b"")
    finally:
        for connection in idle:
            connection.close()
    server.wait_until(lambda: server.measure("liftout_body_bytes") == 0)
