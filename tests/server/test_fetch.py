"""Photos by their address: what is refused, and that a name which changes its answer gains nothing."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from liftout.errors import UsageError
from liftout.server import fetch as fetching
from liftout.server.fetch import FetchRules, fetch, networks, refused
from liftout.server.problems import Problem

LOOPBACK = networks(["127.0.0.1/32"])


class Site:
    """A web server on loopback: what it answers by path, and whom it has seen."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.seen: list[tuple[str, str]] = []
        self.pause = 0.0
        self.hold = threading.Event()
        """While it is not set, answers do not end."""
        self.hold.set()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.seen.append((self.headers["Host"], self.path))
                status, headers, content = site.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                time.sleep(site.pause)
                self.wfile.write(content)
                site.hold.wait(30)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


class ChangingResolver:
    """A name server that gives its answers in turn, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def got(url: str, *, resolver: fetching.Resolver = fetching.resolve, **rules: object) -> bytes:
    return asyncio.run(fetch(url, FetchRules(enabled=True, **rules), resolver=resolver))  # type: ignore[arg-type]


def problem(url: str, *, resolver: fetching.Resolver = fetching.resolve, **rules: object) -> Problem:
    with pytest.raises(Problem) as raised:
        got(url, resolver=resolver, **rules)
    assert raised.value.field == "url"
    return raised.value


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
        "192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "100::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::808:808", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:808:808::1", "2001:0:808:808::7f00:1",
        "2a00:1450::5efe:a00:1", "2a00:1450::200:5efe:7f00:1", "3fff::1", "5f00::1",
    ],
)  # fmt: skip
def test_private_and_special_addresses_and_their_disguises_are_refused(text: str) -> None:
    assert refused(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2a00:1450:4001:830::200e", "2606:4700::1111"])
def test_public_addresses_are_not_refused(text: str) -> None:
    assert not refused(ipaddress.ip_address(text))


def test_a_network_that_the_operator_allows_is_not_refused_and_its_neighbours_are() -> None:
    allowed = networks(["10.1.2.0/24", "fd00:1::/32"])
    assert not refused(ipaddress.ip_address("10.1.2.9"), allowed)
    assert not refused(ipaddress.ip_address("fd00:1::9"), allowed)
    assert refused(ipaddress.ip_address("10.1.3.9"), allowed)
    assert refused(ipaddress.ip_address("::ffff:10.1.2.9"), allowed)


def test_a_malformed_network_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match=r"10\.0\.0\.1/8"):
        networks(["10.0.0.1/8"])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "0x7f.0.0.1", "2130706433", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0"],
)
def test_no_spelling_of_this_machine_is_reached(site: Site, host: str) -> None:
    site.answers["/"] = (200, {}, b"secret")
    found = problem(f"http://{host}:{site.port}/")
    assert found.status == 422
    assert site.seen == []


def test_a_name_with_one_private_address_among_public_ones_is_refused(site: Site) -> None:
    resolver = ChangingResolver(["93.184.216.34", "127.0.0.1"])
    assert "public internet" in problem(f"http://mixed.test:{site.port}/", resolver=resolver).detail
    assert site.seen == []


def test_names_that_lead_inside_and_names_that_lead_nowhere_are_told_apart_by_no_message() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolver in (ChangingResolver(["10.0.0.7"]), ChangingResolver([]), unknown):
        found = problem("http://payroll.internal/", resolver=resolver)
        assert found.detail == problem("http://payroll.internal/", resolver=ChangingResolver(["127.0.0.1"])).detail


def test_a_name_is_asked_once_for_each_connection_and_connected_to_where_it_was_checked(site: Site) -> None:
    """The classic rebinding: public when checked, private when used. There is no second question."""
    site.answers["/"] = (200, {}, b"secret")
    resolver = ChangingResolver(["192.0.2.1"], ["127.0.0.1"])
    allowed = networks(["192.0.2.0/24"])  # stands for a public address that does not answer
    problem(f"http://rebind.test:{site.port}/", resolver=resolver, allowed=allowed, seconds=1)
    assert resolver.asked == ["rebind.test"]
    assert site.seen == []


def test_a_redirect_is_resolved_and_checked_again(site: Site) -> None:
    """Allowed at first, then the name answers with a private address."""
    site.answers["/"] = (302, {"Location": "/private"}, b"")
    site.answers["/private"] = (200, {}, b"secret")
    resolver = ChangingResolver(["127.0.0.1"], ["10.0.0.1"])
    found = problem(f"http://turn.test:{site.port}/", resolver=resolver, allowed=LOOPBACK)
    assert "public internet" in found.detail
    assert resolver.asked == ["turn.test", "turn.test"]
    assert site.seen == [(f"turn.test:{site.port}", "/")]


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://169.254.169.254/latest/meta-data/", "public internet"),
        ("http://[::1]/", "public internet"),
        ("file:///etc/passwd", "only http"),
        ("gopher://127.0.0.1/", "only http"),
        ("http://user:secret@127.0.0.1/", "password"),
        ("//0x7f000001/", "public internet"),
    ],
)
def test_a_redirect_leads_to_no_forbidden_place(site: Site, location: str, words: str) -> None:
    site.answers["/"] = (302, {"Location": location}, b"")
    allowed = networks(["127.0.0.1/32"])
    if location == "//0x7f000001/":
        resolver = ChangingResolver(["127.0.0.1"], ["127.0.0.2"])
        found = problem(f"http://start.test:{site.port}/", resolver=resolver, allowed=allowed)
    else:
        found = problem(f"http://127.0.0.1:{site.port}/", allowed=allowed)
    assert words in found.detail


def test_redirects_end(site: Site) -> None:
    site.answers["/"] = (302, {"Location": "/"}, b"")
    assert "redirects more than" in problem(f"http://127.0.0.1:{site.port}/", allowed=LOOPBACK).detail
    assert len(site.seen) == fetching.MAX_REDIRECTS + 1


def test_a_photo_is_fetched_through_redirects_with_the_name_in_its_host_header(site: Site) -> None:
    site.answers["/a?b=%20c"] = (301, {"Location": "../d.jpg"}, b"")
    site.answers["/d.jpg"] = (200, {"Content-Type": "image/jpeg"}, b"photo")
    resolver = ChangingResolver(["127.0.0.1"])
    assert got(f"http://shop.test:{site.port}/a?b=%20c", resolver=resolver, allowed=LOOPBACK) == b"photo"
    assert {host for host, _ in site.seen} == {f"shop.test:{site.port}"}


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ((404, {}, b""), 422, "answered 404"),
        ((204, {}, b""), 422, "answered 204"),
        ((200, {"Content-Encoding": "gzip"}, b"x"), 422, "compressed"),
        ((200, {}, b"x" * 2000), 413, "larger than"),
        ((200, {"Content-Length": "500"}, b"short"), 422, "cannot be fetched"),
    ],
)
def test_what_answers_wrongly_is_a_problem_of_the_address(
    site: Site, answer: tuple[int, dict[str, str], bytes], status: int, words: str
) -> None:
    site.answers["/"] = answer
    found = problem(f"http://127.0.0.1:{site.port}/", allowed=LOOPBACK, max_bytes=1000)
    assert found.status == status
    assert words in found.detail


def test_what_never_answers_is_given_up(site: Site) -> None:
    site.answers["/"] = (200, {}, b"x")
    site.pause = 3.0
    started = time.monotonic()
    assert "did not arrive" in problem(f"http://127.0.0.1:{site.port}/", allowed=LOOPBACK, seconds=0.5).detail
    assert time.monotonic() - started < 2.5


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "ftp://a.test/", "http://", "http:///x", "http://a b/", "http://a.test:99999/", "http://[::1/", "http://é" + "e" * 300,
        "http://a.test\r\nHost: b/", "javascript:alert(1)", "http://user@a.test/", "data:image/png;base64,AAAA", "http://a_b%00/",
    ],
)  # fmt: skip
def test_what_is_no_address_is_named(url: str) -> None:
    assert problem(url).status == 422


def test_fetching_is_off_by_default() -> None:
    with pytest.raises(Problem) as raised:
        asyncio.run(fetch("http://a.test/", FetchRules()))
    assert raised.value.status == 403


def test_a_photo_counts_as_memory_for_bodies_while_it_is_fetched(
    launch: Callable[..., object], site: Site, cat: bytes
) -> None:
    site.answers["/photo"] = (200, {"Content-Length": "990000"}, b"x" * 900_000)
    server = launch("--fetch-network", "127.0.0.1/32", "--max-body", "1", "--body-memory", "1")
    url = f"http://127.0.0.1:{site.port}/photo"
    site.hold.clear()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(httpx.post, f"{server.url}/v1/cutouts", json={"url": url}, timeout=60)
        server.wait_until(lambda: server.measure("liftout_body_bytes") >= 900_000)
        assert httpx.post(f"{server.url}/v1/cutouts", files={"image": cat + bytes(100_000)}).status_code == 503
        site.hold.set()
        assert first.result().status_code == 422
    assert server.measure("liftout_body_bytes") == 0


def test_a_server_fetches_from_a_network_that_its_operator_named(
    launch: Callable[..., object], site: Site, cat: bytes
) -> None:
    site.answers["/cat.jpg"] = (200, {}, cat)
    server = launch("--fetch-network", "127.0.0.1/32")
    url = f"http://127.0.0.1:{site.port}/cat.jpg"
    uploaded = httpx.post(f"{server.url}/v1/cutouts", files={"image": cat}, timeout=60)
    fetched = httpx.post(f"{server.url}/v1/cutouts", json={"url": url}, timeout=60)
    assert fetched.status_code == 200
    assert fetched.content == uploaded.content
    refused_answer = httpx.post(f"{server.url}/v1/cutouts", data={"url": "http://127.0.0.2/"}, timeout=60)
    assert (refused_answer.status_code, refused_answer.json()["field"]) == (422, "url")
