"""The same photo with the same options: ETags, results kept on disk, GET for `img` tags, signed URLs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from liftout.errors import UsageError
from liftout.images import FORMATS
from liftout.render import Rendered
from liftout.server.fetch import begins_with, checked_prefixes
from liftout.server.results import Result, ResultCache
from liftout.server.signing import sign
from tests.server.clients.shop import photo_url

__all__ = ["photo_url"]

PATH = "/v1/cutouts"


def test_the_etag_follows_photo_options_and_answer(client: httpx.Client, cat: bytes, deep_cat: bytes) -> None:
    def etag(photo: bytes = cat, **data: str) -> str:
        return client.post(PATH, files={"image": photo}, data=data).headers["etag"]

    first = etag()
    assert first.startswith('W/"')
    assert etag() == first
    assert len({first, etag(deep_cat), etag(crop="true"), etag(model="tiny-twin"), etag(answer="json")}) == 5
    again = client.post(PATH, files={"image": cat}, headers={"If-None-Match": first})
    assert again.status_code == 412
    assert client.post(PATH, files={"image": cat}, headers={"If-None-Match": '"other"'}).status_code == 200


def test_results_are_kept_across_a_restart(launch: Callable[..., Any], cat: bytes, own_home: Path) -> None:
    def post(server: Any, **data: str) -> httpx.Response:
        return httpx.post(f"{server.url}{PATH}", files={"image": cat}, data=data, timeout=60, trust_env=False)

    first_server = launch("--cache", "5MB")
    first = post(first_server, crop="true")
    assert first.headers["x-liftout-cache"] in ("miss", "hit")  # the home is shared with other tests
    second = post(launch("--cache", "5MB"), crop="true")
    assert second.headers["x-liftout-cache"] == "hit"
    assert second.content == first.content
    assert second.headers["x-liftout-box"] == first.headers["x-liftout-box"]
    facts = post(first_server, crop="true", answer="facts").json()
    assert facts["box"] == [int(edge) for edge in first.headers["x-liftout-box"].split(",")]
    assert post(first_server, crop="true", format="webp").headers["content-type"] == "image/webp"
    assert first_server.measure("liftout_cached_results_total") >= 3
    assert (own_home / "results").is_dir()


def result(content: bytes) -> Result:
    rendered = Rendered(content=content, format=FORMATS["png"], note="a note")
    return Result(rendered=rendered, width=4, height=3, box=(0, 1, 2, 3), subject=0.5)


def test_the_cache_forgets_what_was_used_longest_ago(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, 5000)
    for name in ("aa", "bb", "cc"):
        cache.put(name, result(name.encode() * 500))
        time.sleep(0.01)
    assert cache.get("aa") == result(b"aa" * 500)
    cache.put("dd", result(b"dd" * 700))
    assert [cache.get(name) is not None for name in ("aa", "bb", "cc", "dd")] == [True, False, True, True]
    cache.put("ee", result(b"e" * 6000))
    assert cache.get("ee") is None


def test_a_damaged_result_is_not_answered(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, 5000)
    cache.put("aa", result(b"content"))
    path = tmp_path / "aa" / "aa"
    path.write_bytes(path.read_bytes()[:-1])
    assert cache.get("aa") is None
    assert not path.exists()


def test_get_answers_photos_under_allowed_prefixes_alone(launch: Callable[..., Any], photo_url: str) -> None:
    folder = photo_url.removesuffix("cat.jpg")
    server = launch("--fetch-network", "127.0.0.1/32", "--fetch-prefix", folder)

    def get(url: str, **headers: str) -> httpx.Response:
        query = {"url": url, "format": "webp"}
        return httpx.get(f"{server.url}{PATH}", params=query, headers=headers, timeout=60, trust_env=False)

    answer = get(photo_url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.headers["cache-control"] == "no-cache"
    unchanged = get(photo_url, **{"If-None-Match": answer.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    for url in (f"{folder}../cat.jpg", photo_url.replace("127.0.0.1", "127.0.0.2"), f"{folder}%2e%2e/x"):
        assert (get(url).status_code, get(url).json()["field"]) == (403, "url")
    assert get(photo_url, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403


@pytest.mark.parametrize(
    ("url", "under"),
    [
        ("https://a.example/shop/1.jpg", True),
        ("https://a.example/other/1.jpg", False),
        ("https://a.example.evil/shop/1.jpg", False),
        ("https://a.example/shop/../x.jpg", False),
        ("https://a.example/shop/%2e%2E/x.jpg", False),
        ("https://a.example/shop/%252e%252e/x.jpg", False),
        ("https://a.example/shop/..\\x.jpg", False),
        ("http://a.example/shop/1.jpg", False),
    ],
)
def test_prefixes(url: str, under: bool) -> None:
    (prefix,) = checked_prefixes(["https://a.example/shop/"])
    assert begins_with(url, prefix) == under
    with pytest.raises(UsageError, match="path"):
        checked_prefixes(["https://a.example"])


def test_signed_urls_need_no_key_until_they_expire(launch: Callable[..., Any], tmp_path: Path, photo_url: str) -> None:
    key = b"0123456789abcdef0123456789abcdef"
    (tmp_path / "sign").write_bytes(key + b"\n")
    (tmp_path / "keys").write_text("shop 0123456789abcdef\n", encoding="utf-8")
    server = launch(
        "--fetch-network",
        "127.0.0.1/32",
        "--api-key-file",
        str(tmp_path / "keys"),
        "--sign-key",
        str(tmp_path / "sign"),
    )

    def get(target: str) -> httpx.Response:
        headers = {"Sec-Fetch-Site": "cross-site"}  # an image in another site's page
        return httpx.get(f"{server.url}{target}", headers=headers, timeout=60, trust_env=False)

    target = str(httpx.URL(PATH, params={"url": photo_url, "format": "webp"}))
    signed = sign(target, key, expires=int(time.time()) + 600)
    answer = get(signed)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert 500 < int(answer.headers["cache-control"].rpartition("=")[2]) <= 600
    assert get(target).status_code in (401, 403)
    assert get(signed.replace("webp", "png")).json()["field"] == "signature"
    assert get(f"{signed}&format=png").status_code == 403
    assert get(sign(target, key, expires=int(time.time()) - 1)).json()["field"] == "expires"
    assert get(sign(target, b"x" * 32, expires=int(time.time()) + 600)).status_code == 403
