"""Who may call, how often, from where; and what every answer carries."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from liftout.errors import UsageError
from liftout.server.keys import ApiKeys
from liftout.server.problems import Problem
from liftout.server.rate import Rate

FIRST, SECOND = "first-key-0123456789", "second-key-0123456789"


def test_without_a_key_of_the_file_nothing_is_done(
    launch_process: Callable[..., object], tmp_path: Path, cat: bytes
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"# shop\nshop {FIRST}\n{SECOND}\n", encoding="utf-8")
    server = launch_process("--api-key-file", str(keys), "--log-format", "json")

    def status(headers: dict[Any, Any], path: str = "/v1/cutouts") -> int:
        return httpx.post(f"{server.url}{path}", files={"image": cat}, headers=headers, timeout=60).status_code

    refused = httpx.post(f"{server.url}/v1/cutouts", files={"image": cat})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert refused.headers["content-type"] == "application/problem+json"
    assert status({"X-Api-Key": "wrong-key-0123456789"}) == 401
    assert status({b"X-Api-Key": b"s\xe9\xff"}) == 401
    assert status({"X-Api-Key": FIRST}) == status({"Authorization": f"Bearer {SECOND}"}) == 200
    for path in ("/api/remove", "/v1.0/removebg"):
        assert status({}, path) in (401, 403)
    answer = httpx.post(f"{server.url}/v1.0/removebg", headers={"X-Api-Key": "wrong"})
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["code"] == "auth_failed"
    for path in ("/v1/models", "/metrics"):
        assert httpx.get(f"{server.url}{path}").status_code == 401
        assert httpx.get(f"{server.url}{path}", headers={"X-Api-Key": FIRST}).status_code == 200
    for path in ("/healthz", "/readyz", "/", "/docs"):
        assert httpx.get(f"{server.url}{path}").status_code == 200

    keys.write_text(f"{SECOND}\n", encoding="utf-8")
    os.kill(server.process.pid, signal.SIGHUP)
    server.wait_until(lambda: status({"X-Api-Key": FIRST}) == 401)
    assert status({"X-Api-Key": SECOND}) == 200

    text = "\n".join(server.lines())
    assert '"key": "shop"' in text
    assert FIRST not in text
    assert SECOND not in text


def test_a_changed_file_is_read_by_itself_and_a_lost_one_lets_nobody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liftout.server.keys.CHECK_INTERVAL", 0.0)
    path = tmp_path / "keys"
    path.write_text(f"a {FIRST}\n", encoding="utf-8")
    keys = ApiKeys(path)

    def name_of(key: str) -> str | None:
        entry = keys.find(key)
        return entry.name if entry else None

    assert (name_of(FIRST), name_of(SECOND), name_of("")) == ("a", None, None)
    path.write_text(f"a {FIRST}\nb {SECOND} # new\n", encoding="utf-8")
    assert name_of(SECOND) == "b"
    path.write_text("short\n", encoding="utf-8")
    assert name_of(SECOND) == "b"
    path.unlink()
    assert name_of(SECOND) is None
    path.write_text(f"{SECOND}\n", encoding="utf-8")
    assert name_of(SECOND) == "key-1"


@pytest.mark.parametrize("text", ["short", "name short", "a b c-0123456789012345", "\xff"])
def test_a_malformed_key_file_is_wrong_usage(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="API key file"):
        ApiKeys(path)
    with pytest.raises(UsageError, match="cannot be read"):
        ApiKeys(tmp_path / "none")


def test_a_caller_gets_its_rate_and_no_more() -> None:
    now = [0.0]
    rate = Rate(6, clock=lambda: now[0])
    left = [rate.spend("a").remaining for _ in range(6)]  # type: ignore[union-attr]
    assert left == [5, 4, 3, 2, 1, 0]
    with pytest.raises(Problem) as refused:
        rate.spend("a")
    assert refused.value.status == 429
    assert refused.value.headers["Retry-After"] == "10"
    assert rate.spend("b") is not None
    now[0] += 10
    assert rate.spend("a") is not None
    with pytest.raises(Problem):
        rate.spend("a")
    now[0] += 3600
    assert rate.spend("a").remaining == 5  # type: ignore[union-attr]


def test_too_many_requests_are_answered_429(launch: Callable[..., object], cat: bytes) -> None:
    server = launch("--rate", "2", "--trust-proxy", "127.0.0.1")
    answers = [httpx.post(f"{server.url}/v1.0/removebg", files={"image_file": cat}, timeout=60) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-limit"] == "2"
    assert answers[0].headers["x-ratelimit-remaining"] == "1"
    assert int(answers[0].headers["x-ratelimit-reset"]) >= time.time() - 1
    assert int(answers[2].headers["retry-after"]) > 0
    assert answers[2].json()["errors"][0]["code"] == "rate_limit_exceeded"
    other = httpx.get(f"{server.url}/v1/models", headers={"X-Forwarded-For": "203.0.113.9"})
    assert other.status_code == 200


def test_addresses_of_one_ipv6_network_are_one_caller(launch: Callable[..., object]) -> None:
    server = launch("--rate", "2", "--trust-proxy", "127.0.0.1")

    def status(address: str) -> int:
        return httpx.get(f"{server.url}/v1/models", headers={"X-Forwarded-For": address}).status_code

    assert [status(f"2001:db8:1:2:{host}::1") for host in (1, 2, 3)] == [200, 200, 429]
    assert status("2001:db8:1:3::1") == 200
    assert [status(f"::ffff:198.51.100.{host}") for host in (1, 2, 3)] == [200, 200, 200]
    assert [status(f"198.51.100.{host}") for host in (1, 2, 1)] == [200, 200, 429]


def test_wrong_keys_are_limited_too_and_take_nothing_from_right_ones(
    launch: Callable[..., object], tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"shop {FIRST}\n", encoding="utf-8")
    server = launch("--rate", "3", "--api-key-file", str(keys))

    def status(key: str) -> int:
        return httpx.get(f"{server.url}/v1/models", headers={"X-Api-Key": key}).status_code

    assert [status(f"guess-{number:020}") for number in range(5)] == [401, 401, 401, 429, 429]
    assert [status(FIRST) for _ in range(4)] == [200, 200, 200, 429]


def test_no_proxy_is_trusted_unless_it_is_named_not_even_on_this_machine(launch: Callable[..., object]) -> None:
    server = launch("--rate", "2")
    answers = [
        httpx.get(f"{server.url}/v1/models", headers={"X-Forwarded-For": f"198.51.100.{host}"}) for host in range(3)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_pages_of_other_sites_are_refused_unless_named(
    launch: Callable[..., object], server: object, cat: bytes
) -> None:
    theirs = {"Origin": "https://shop.test", "Sec-Fetch-Site": "cross-site"}
    refused = httpx.post(f"{server.url}/v1/cutouts", files={"image": cat}, headers=theirs)
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers
    ours = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    assert httpx.post(f"{server.url}/v1/cutouts", files={"image": cat}, headers=ours, timeout=60).status_code == 200

    opened = launch("--cors-origin", "https://shop.test")
    allowed = httpx.post(f"{opened.url}/v1/cutouts", files={"image": cat}, headers=theirs, timeout=60)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://shop.test"
    asked = {"Origin": "https://shop.test", "Access-Control-Request-Method": "POST"}
    assert httpx.options(f"{opened.url}/v1/cutouts", headers=asked).status_code == 200
    evil = {"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"}
    assert httpx.post(f"{opened.url}/v1/cutouts", files={"image": cat}, headers=evil).status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:7000",
        "page.localhost",
        "127.0.0.1:7000",
        "[::1]:7000",
        "192.168.1.5",
        "shop.test",
        "Shop.test.:80",
    ],
)
def test_names_of_this_machine_and_names_that_are_allowed_are_answered(
    launch: Callable[..., object], host: str
) -> None:
    server = launch("--allow-host", "shop.test", "--allow-host", "other.test")
    for path in ("/", "/healthz", "/v1/models"):
        assert httpx.get(f"{server.url}{path}", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:7000", "localhost.evil.test", "127.0.0.1.evil.test", "xlocalhost"]
)
def test_a_name_that_was_made_to_point_at_this_machine_reaches_nothing(
    client: httpx.Client, launch: Callable[..., object], cat: bytes, host: str
) -> None:
    for path in ("/", "/healthz", "/v1/models", "/docs", "/nothing"):
        assert client.get(path, headers={"Host": host}).status_code == 421
    for path in ("/v1/cutouts", "/api/remove", "/v1.0/removebg"):
        answer = client.post(path, files={"image": cat}, headers={"Host": host})
        assert answer.status_code == 421
        assert "--allow-host" in answer.text
    opened = launch("--allow-host", "*")
    assert httpx.get(f"{opened.url}/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/docs"), ("GET", "/nothing"), ("POST", "/v1/cutouts")]
)
def test_every_answer_carries_security_headers(client: httpx.Client, method: str, path: str) -> None:
    headers = client.request(method, path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-request-id"]
    assert "server" not in headers


def test_pages_are_cross_origin_isolated_and_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    for path in ("/", "/docs"):
        answer = client.get(path)
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
        assert "http://" not in answer.text.replace("http://127.0.0.1", "")
        assert "https://" not in answer.text


def test_the_server_says_what_it_offers_and_how_it_is(client: httpx.Client, server: object, cat: bytes) -> None:
    models = client.get("/v1/models").json()
    assert models["default"] == "tiny"
    assert {"tiny", "tiny-twin", "slow"} <= {model["name"] for model in models["models"]}
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["status"] == "ready"
    for path in ("/", "/healthz", "/readyz"):
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
    before = server.measure("liftout_requests_total")
    assert (
        client.post("/v1/cutouts", files={"image": cat}, data={"model": "tiny-twin"}).headers["x-liftout-model"]
        == "tiny-twin"
    )
    assert client.post("/v1/cutouts", data={"margin": "x"}).status_code == 422
    assert server.measure("liftout_requests_total") >= before + 2
    assert server.measure("liftout_run_seconds_count") >= 1
    assert server.measure("liftout_body_bytes") == 0


def test_only_models_that_the_operator_lists_may_be_named(launch: Callable[..., object], cat: bytes) -> None:
    server = launch("--models", "tiny-twin")
    names = [model["name"] for model in httpx.get(f"{server.url}/v1/models").json()["models"]]
    assert sorted(names) == ["tiny", "tiny-twin"]
    answer = httpx.post(f"{server.url}/v1/cutouts", files={"image": cat}, data={"model": "slow"})
    assert (answer.status_code, answer.json()["field"]) == (422, "model")
