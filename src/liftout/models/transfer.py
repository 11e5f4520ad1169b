"""Download one file from one URL: complete and verified, or not at all.

What has arrived stays in a `.partial` file, so that a lost connection, a stall or Ctrl-C costs only what was in flight: the
next attempt asks for the rest (Range) and checks that the server really sends that rest. The hashes run along.

HTTP semantics: RFC 9110, sections 10.2.3 (Retry-After), 13.1.5 (If-Range), 14 (range requests).
"""

from __future__ import annotations

import errno
import functools
import json
import os
import random
import re
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO

import httpx

from liftout import __version__
from liftout.models import hub
from liftout.models.hashes import Expectation, Fingerprint

Bytes = Callable[[int, int | None], None]
"""Called with the bytes that are here and, where known, how many there will be."""

_REDIRECTS = 10
_RETRIED = {408, 425, 429, 500, 502, 503, 504}
_ERROR_PAGES = ("text/html", "application/xhtml", "application/json", "application/xml", "text/xml")
_GAIN = 1024 * 1024
_SPARE = 64 * 1024 * 1024
_HEAD = 16
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class Refused(Exception):
    """This URL does not give the file; the message says why, as the end of a sentence."""


class OtherFile(Refused):
    """This URL holds another file."""


class WrongContent(OtherFile):
    """What has arrived is not the file."""


class DiskFull(Exception):
    """There is no room for the file; the message says how much is missing."""


class BadSettings(Exception):
    """The environment's proxy or certificates cannot be used; the message says which."""


class _Broken(Exception):
    """An attempt failed in a way that the next one may not."""

    def __init__(self, reason: str, *, wait: float | None = None, reached: bool = True) -> None:
        super().__init__(reason)
        self.wait = wait
        self.reached = reached
        """Whether the host answered: one that is not there will hardly appear in a moment."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to put up with a server, in seconds and attempts."""

    stall: float = 30.0
    """Without a byte for this long, the connection counts as broken."""
    attempts: int = 5
    """Attempts in a row that bring less than 1 MiB; those that bring more do not count."""
    calls: int = 3
    """Attempts in a row to reach a host that does not answer at all; one is enough where another source may have the file."""
    first_wait: float = 0.5
    """Before the second attempt; doubled each time."""
    longest_wait: float = 60.0
    """Also for a Retry-After: a server that asks for longer is given up."""


def client(patience: Patience) -> httpx.Client:
    """An HTTP client with the proxies and certificates of the environment, to be closed. Raises BadSettings."""
    timeout = httpx.Timeout(patience.stall, connect=min(patience.stall, 15.0))
    headers = {"User-Agent": f"liftout/{__version__}"}
    try:
        trusted = _certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        return httpx.Client(timeout=timeout, follow_redirects=False, headers=headers, verify=trusted)
    except (ValueError, ImportError, OSError) as error:
        raise BadSettings(" ".join(str(error).split())) from None


@functools.cache
def _certificates(*_: str | None) -> ssl.SSLContext:
    """Reading them takes longer than a small download; they depend on these two variables."""
    return httpx.create_ssl_context()


def transfer(
    http: httpx.Client,
    url: str,
    partial: Path,
    expected: Expectation,
    *,
    format: str,  # noqa: A002
    patience: Patience,
    progress: Bytes,
) -> Fingerprint:
    """Download the file at `url` into `partial`, resuming from what is there. Returns its hashes.

    expected: size and hashes, as far as they are known. format: of the file, such as `onnx`: an error page is recognised by it. patience: timeouts
    and number of attempts. progress: called with bytes so far and bytes in all.
    Raises Refused, WrongContent, DiskFull; after an interruption, `partial` stays for the next attempt.
    """
    fruitless, furthest, wait = 0, _size(partial), patience.first_wait
    attempts = unreached = 0
    while True:
        attempts += 1
        resumed = _size(partial) > 0
        try:
            fingerprint = _attempt(http, url, partial, expected, format=format, progress=progress)
            progress(fingerprint.bytes, fingerprint.bytes)
            return fingerprint
        except WrongContent:
            discard(partial)
            if not resumed:
                raise
            fruitless += 1  # the beginning may be of another version or damaged: once more from zero
        except _Broken as broken:
            reached = _size(partial)
            if reached >= furthest + _GAIN:
                fruitless, furthest, wait = 0, reached, patience.first_wait
            fruitless += 1
            unreached = 0 if broken.reached else unreached + 1
            if fruitless >= patience.attempts or unreached >= patience.calls:
                raise Refused(f"{broken} ({attempts} attempt{'s' if attempts > 1 else ''})") from None
            if broken.wait is not None and broken.wait > patience.longest_wait:
                raise Refused(f"{broken} and asks to wait {broken.wait:.0f} s") from None
            time.sleep(wait * random.uniform(0.75, 1.25) if broken.wait is None else broken.wait)  # noqa: S311
            wait = min(wait * 2, patience.longest_wait)
        except OSError as error:
            if error.errno is not None and error.errno in _NO_ROOM:
                raise DiskFull(f"the disk of {partial.parent} is full") from None
            raise


def probe(http: httpx.Client, url: str) -> None:
    """Ask for one byte of the file at `url`. Raises Refused where it cannot be downloaded."""
    try:
        with _answer(http, url, {"Range": "bytes=0-0", "Accept-Encoding": "identity"}):
            return
    except _Broken as broken:
        raise Refused(str(broken)) from None


def discard(partial: Path) -> None:
    """Delete a partial download."""
    partial.unlink(missing_ok=True)
    _origin(partial).unlink(missing_ok=True)


def _attempt(
    http: httpx.Client,
    url: str,
    partial: Path,
    expected: Expectation,
    *,
    format: str,  # noqa: A002
    progress: Bytes,
) -> Fingerprint:
    start, headers = _resumption(partial, url, expected)
    if expected.bytes is not None and start == expected.bytes and expected.pinned:
        return _judge(Fingerprint.of(partial, expected))
    with _answer(http, url, headers) as response:
        if response.status_code == 416:
            return _beyond(response, partial, expected)
        first, total = _span(response, start, expected)
        _require_room(partial, total, first)
        _remember(partial, url, response)
        fingerprint = Fingerprint.of(partial, expected, first=first) if first else Fingerprint(expected)
        with partial.open("r+b" if partial.exists() else "wb") as stream:
            stream.seek(first)
            stream.truncate()
            _receive(response, stream, fingerprint, total, format=format, progress=progress)
            stream.flush()
            os.fsync(stream.fileno())
    if total is not None and fingerprint.bytes < total:
        raise _Broken(f"ended after {fingerprint.bytes} of {total} bytes")
    return _judge(fingerprint)


def _resumption(partial: Path, url: str, expected: Expectation) -> tuple[int, dict[str, str]]:
    """Bytes that need not be sent again, and the headers that ask for the rest.

    A file of unknown hash goes on only from the same version at the same URL: nothing later would notice a mixture.
    """
    headers = {"Accept-Encoding": "identity"}
    start = _size(partial)
    if start < _HEAD or (expected.bytes is not None and start > expected.bytes):
        start = 0
    if not start:
        return 0, headers
    try:
        origin = json.loads(_origin(partial).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        origin = {}
    version = origin.get("version") if origin.get("address") == url else None
    if version:
        headers["If-Range"] = version
    elif not expected.pinned:
        return 0, headers
    headers["Range"] = f"bytes={start}-"
    return start, headers


@contextmanager
def _answer(http: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """The answer behind all redirects: 200, 206 or 416. The token of the hub goes to the hub alone."""
    with _line_errors():
        response = _follow(http, httpx.URL(url), headers)
    try:
        status = response.status_code
        if status in _RETRIED:
            raise _Broken(f"answers {status} {response.reason_phrase}", wait=_retry_after(response))
        if status in (401, 403):
            token = "the account of HF_TOKEN may lack access" if hub.token() else "it may need HF_TOKEN"
            asked_hub = url.startswith(hub.endpoint())
            raise Refused(f"answers {status} {response.reason_phrase}" + (f"; {token}" if asked_hub else ""))
        if status not in (200, 206, 416):
            raise Refused(f"answers {status} {response.reason_phrase}")
        if status != 416:
            kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
            if kind.startswith(_ERROR_PAGES):
                raise Refused(f"sends a page ({kind}) instead of the file")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise Refused("sends the file compressed, which was not asked for")
        with _line_errors():
            yield response
    finally:
        response.close()


def _follow(http: httpx.Client, url: httpx.URL, headers: dict[str, str]) -> httpx.Response:
    on_hub = True
    for _ in range(_REDIRECTS):
        on_hub = on_hub and url.scheme == "https" and url.netloc.decode() == hub.host()
        token = hub.token() if on_hub else ""
        credentials = {"Authorization": f"Bearer {token}"} if token else {}
        response = http.send(http.build_request("GET", url, headers={**headers, **credentials}), stream=True)
        if not response.has_redirect_location:
            return response
        response.close()
        onward = url.join(response.headers["Location"])
        if url.scheme == "https" and onward.scheme != "https":
            raise Refused(f"redirects to {onward.scheme}://{onward.host}, which is not encrypted")
        url = onward
    raise Refused(f"redirects more than {_REDIRECTS} times")


@contextmanager
def _line_errors() -> Iterator[None]:
    """Turn httpx's errors into ours."""
    try:
        yield
    except httpx.ConnectTimeout:
        raise _Broken("does not answer", reached=False) from None
    except httpx.TimeoutException:
        raise _Broken("stalls") from None
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise Refused(f"is not a URL: {error}") from None
    except httpx.ConnectError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise Refused(f"shows a certificate that is not trusted ({cause.verify_message})") from None
            cause = cause.__cause__ or cause.__context__
        raise _Broken(f"cannot be reached ({error})", reached=False) from None
    except httpx.ProxyError as error:
        raise _Broken(f"cannot be reached through the proxy ({error})", reached=False) from None
    except httpx.TransportError as error:
        raise _Broken(f"breaks off ({str(error) or type(error).__name__})") from None


def _span(response: httpx.Response, start: int, expected: Expectation) -> tuple[int, int | None]:
    """Where the bytes that come belong, and how many the file has in all."""
    first, total = 0, None
    length = response.headers.get("Content-Length", "")
    if response.status_code == 206:
        content_range = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if content_range is None or int(content_range[1]) != start:
            # Asked for the rest, got something else: nothing of it can be placed.
            raise WrongContent(f"sends the range `{response.headers.get('Content-Range', '')}` for `bytes {start}-`")
        first, total = start, None if content_range[3] == "*" else int(content_range[3])
        if total is not None and int(content_range[2]) != total - 1:
            raise WrongContent(f"sends only the range `{content_range[0]}`")
    elif length.isdecimal():
        total = int(length)
    if total is None and length.isdecimal():
        total = first + int(length)
    if expected.bytes is not None and total is not None and total != expected.bytes:
        raise OtherFile(f"has a file of {total} bytes, not {expected.bytes}")
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    if total is None and expected.bytes is None and not expected.pinned and not chunked:
        raise Refused("does not say how long the file is")
    return first, expected.bytes if total is None else total


def _beyond(response: httpx.Response, partial: Path, expected: Expectation) -> Fingerprint:
    """416: there is nothing after what is here. Either that is the whole file, or it is not the beginning of it."""
    content_range = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", "").strip())
    fingerprint = Fingerprint.of(partial, expected) if partial.exists() else Fingerprint(expected)
    if content_range is None or fingerprint.bytes == 0 or int(content_range[1]) != fingerprint.bytes:
        raise WrongContent("has no such range (416)")
    return _judge(fingerprint)


def _receive(
    response: httpx.Response,
    stream: BinaryIO,
    fingerprint: Fingerprint,
    total: int | None,
    *,
    format: str,  # noqa: A002
    progress: Bytes,
) -> None:
    progress(fingerprint.bytes, total)
    head = b""
    for block in response.iter_raw():
        if fingerprint.bytes == len(head) and len(head) < _HEAD:
            head += block[: _HEAD - len(head)]
            if len(head) == _HEAD and not looks_like(format, head):
                raise WrongContent(f"sends something that is no {format} file")
        if total is not None and fingerprint.bytes + len(block) > total:
            raise WrongContent(f"sends more than the {total} bytes it announced")
        stream.write(block)
        fingerprint.update(block)
        progress(fingerprint.bytes, total)
    if fingerprint.bytes < _HEAD and fingerprint.bytes == (total or 0):
        raise WrongContent(f"sends {fingerprint.bytes} bytes, which is no {format} file")


def looks_like(format: str, head: bytes) -> bool:  # noqa: A002
    """Whether a file of this format can begin with these 16 bytes. Formats that are not known may begin with anything but text.

    onnx: the first tag of a protobuf message of type ModelProto. safetensors: eight bytes of header length, then JSON.
    pth, ckpt: a zip archive, or a pickle in torch's older format.
    """
    if format == "onnx":
        return head[0] in _MODEL_TAGS
    if format == "safetensors":
        return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000
    if format in ("pth", "pt", "ckpt", "bin"):
        return head.startswith((b"PK\x03\x04", b"\x80"))
    return not head.lstrip().startswith((b"<", b"version https"))


# Field number times eight, plus 0 for a number or 2 for a string or message: fields 1 to 8 and 14 of onnx.proto's ModelProto.
_MODEL_TAGS = {0x08, 0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72}


def _judge(fingerprint: Fingerprint) -> Fingerprint:
    if wrong := fingerprint.mismatch:
        raise WrongContent(f"sent a file that {wrong}")
    return fingerprint


def _require_room(partial: Path, total: int | None, first: int) -> None:
    if total is None:
        return
    free, needed = shutil.disk_usage(partial.parent).free, total - first + _SPARE
    if free < needed:
        raise DiskFull(
            f"{needed / 1e6:.0f} MB are needed and the disk of {partial.parent} has {free / 1e6:.0f} MB free"
        )


def _remember(partial: Path, url: str, response: httpx.Response) -> None:
    """Note which version is arriving. A weak ETag does not vouch for bytes."""
    version = response.headers.get("ETag", "")
    fact = {"address": url, "version": "" if version.startswith("W/") else version}
    _origin(partial).write_text(json.dumps(fact), encoding="utf-8")


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait, given as a number or a date."""
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _origin(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
