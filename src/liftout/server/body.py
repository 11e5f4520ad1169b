"""Request bodies: counted while they stream, held in memory only.

A body is multipart/form-data, application/x-www-form-urlencoded, application/json, or the photo itself. It becomes a
`Body`: fields by name, and files by name. Starlette's own form parser writes files above 1 MB to disk; this one never does.

What a request takes is counted in full: the bytes as they came, their text and their values while they are parsed, a photo out
of base64, a photo that is fetched. Parsers that need many times the size of what they read are not used, or are fed in blocks.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from liftout.server.problems import ClientLeft, Problem, busy, unprocessable

MAX_PARTS = 64
MAX_VALUES = 1000
"""Values in a JSON body. Each takes many times the memory of its text."""
OFF_LOOP = 256 * 1024
"""JSON, forms and base64 from this size are parsed in a thread, so that other requests go on meanwhile."""
RAW_FIELD = "image"
"""The name under which a body that is the photo itself appears."""
WIDEST = 4
"""Bytes that Python takes for each character of a text with an emoji in it."""

_BLOCK = 256 * 1024
_BEYOND_ASCII = re.compile(rb"%[89A-Fa-f]")


class BodyMemory:
    """Bytes of all requests that are in memory, kept under a limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class Reservation:
    """What one request holds of the memory for all."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._held = 0

    def take(self, count: int) -> None:
        """Raise a 413 Problem where the request alone would pass the limit, a 503 Problem where all together would."""
        if self._held + count > self._memory.limit:
            raise Problem(
                413, "the request takes more memory than this server has for requests; send a smaller photo, as a file"
            )
        if self._memory.held + count > self._memory.limit:
            raise busy("the server holds as many requests as it can; try again soon")
        self._memory.held += count
        self._held += count

    def give(self, count: int) -> None:
        """Count bytes as gone."""
        count = min(count, self._held)
        self._memory.held -= count
        self._held -= count

    def close(self) -> None:
        """Count all bytes of the request as gone."""
        self.give(self._held)


@dataclass(frozen=True, eq=False)
class Body:
    """A parsed request: the query and the body together."""

    fields: dict[str, Any]
    """Text of forms and queries; values of JSON as they are."""
    files: dict[str, bytes]
    memory: Reservation
    """Counts what the request holds."""

    def gives(self, name: str) -> bool:
        """Whether there is a file, or a value that is not empty, of this name."""
        return bool(self.files.get(name) or self.fields.get(name))

    async def decoded(self, name: str) -> bytes:
        """The bytes of a field in base64, with or without a `data:` head; the field is taken out. Raises Problem 422."""
        text = self.fields.pop(name)
        if not isinstance(text, str):
            raise unprocessable(name, f"{name} is {repr(text)[:60]}; it must be text")
        length = len(text)
        self.memory.take(length * 3 // 4)
        try:
            content = await asyncio.to_thread(_from_base64, text) if length >= OFF_LOOP else _from_base64(text)
        except (binascii.Error, ValueError):
            raise unprocessable(
                name, f"{name} is text that is not base64; send a file, or the photo in base64"
            ) from None
        self.memory.give(length)
        return content


@asynccontextmanager
async def reading(request: Request, memory: BodyMemory, *, limit: int, seconds: float) -> AsyncIterator[Body]:
    """Read and parse a request; its bytes count against `memory` until the block ends.

    limit: bytes of one request. seconds: in which it must have arrived.
    Raises Problem: 400 malformed, 408 too slow, 413 too large, 415 of an unknown kind; ClientLeft.
    """
    reservation = Reservation(memory)
    arrived = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal arrived
        async for chunk in request.stream():
            arrived += len(chunk)
            if arrived > limit:
                raise _too_large(limit)
            reservation.take(len(chunk))
            yield chunk

    try:
        _check_headers(request, limit)
        try:
            async with asyncio.timeout(seconds):
                body = await _parse(request, chunks(), reservation)
        except TimeoutError:
            raise Problem(408, f"the request did not arrive within {seconds:g} seconds") from None
        except ClientDisconnect:
            raise ClientLeft from None
        yield body
    finally:
        reservation.close()


def query(request: Request) -> dict[str, Any]:
    """The query as fields. Raises Problem where a name comes twice."""
    return _unique(request.query_params.multi_items())


def media_type(request: Request) -> str:
    """The request's Content-Type without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_headers(request: Request, limit: int) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Problem(415, f"the body is encoded as {encoding[:40]}; send it without Content-Encoding")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> Problem:
    return Problem(413, f"the request is larger than {limit / 1e6:g} megabytes, the limit of this server")


async def _parse(request: Request, chunks: AsyncIterator[bytes], memory: Reservation) -> Body:
    kind = media_type(request)
    fields = query(request)
    if kind == "multipart/form-data":
        parts, files = await _multipart(request.headers["content-type"], chunks, memory)
        return Body(_joined(fields, parts), files, memory)
    stream = io.BytesIO()
    async for chunk in chunks:
        stream.write(chunk)
    if kind == "application/json":
        return Body(_joined(fields, await _counted(_json, _json_size, stream, memory)), {}, memory)
    if kind == "application/x-www-form-urlencoded":
        return Body(_joined(fields, await _counted(_form, _form_size, stream, memory)), {}, memory)
    content = stream.getvalue()
    if not content:
        return Body(fields, {}, memory)
    if kind in ("", "application/octet-stream") or kind.startswith("image/"):
        return Body(fields, {RAW_FIELD: content}, memory)
    raise Problem(
        415,
        f"a body of type {kind[:80]} is not understood; send multipart/form-data, JSON with a url, or the photo itself",
    )


async def _counted(
    parse: Callable[[io.BytesIO], dict[str, Any]],
    size: Callable[[bytes], tuple[int, int]],
    stream: io.BytesIO,
    memory: Reservation,
) -> dict[str, Any]:
    """Parse text. size: (bytes at the most while it is parsed, bytes of the values), both beside nothing else of it."""
    length = len(stream.getbuffer())
    most, values = size(stream.getvalue())
    memory.take(most - length)
    fields = await asyncio.to_thread(parse, stream) if length >= OFF_LOOP else parse(stream)
    memory.give(most - values)
    return fields


def _json_size(content: bytes) -> tuple[int, int]:
    text = len(content) * (1 if content.isascii() else WIDEST)
    values = len(content) * WIDEST if text > len(content) or b"\\u" in content else len(content)
    grown = values // 4 if b"\\" in content else 0  # a text with escapes is made in steps of a quarter
    return text + values + grown, values


def _json(stream: io.BytesIO) -> dict[str, Any]:
    """The values of a JSON object; the stream is closed, so that its bytes are gone when the values come."""
    content = stream.getvalue()
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise Problem(400, f"the JSON has more than {MAX_VALUES} values")
    try:
        text = content.decode("utf-8")
        del content
        stream.close()
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not JSON") from None
    if not isinstance(given, dict):
        raise Problem(422, 'the body is not a JSON object; send {"url": "..."}')
    return given


def _form_size(content: bytes) -> tuple[int, int]:
    wide = not content.isascii() or _BEYOND_ASCII.search(content)
    values = len(content) * (WIDEST if wide else 1)
    return 2 * len(content) + values, values


def _form(stream: io.BytesIO) -> dict[str, Any]:
    content = stream.getvalue()
    if content.count(b"&") >= MAX_PARTS:
        raise Problem(400, f"the form has more than {MAX_PARTS} fields")
    try:
        return _unique([(_unquoted(name), _unquoted(value)) for name, value in _pairs(content)])
    except UnicodeDecodeError:
        raise Problem(400, "the form is not text in UTF-8") from None


def _pairs(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = 0
    while start < len(content):
        end = content.find(b"&", start)
        end = len(content) if end < 0 else end
        name, _, value = content[start:end].partition(b"=")
        if name or value:
            yield name, value
        start = end + 1


def _unquoted(quoted: bytes) -> str:
    """Text of a form. In blocks: `unquote_to_bytes` takes 70 times the size of what is quoted."""
    plain, start = bytearray(), 0
    while start < len(quoted):
        end = min(start + _BLOCK, len(quoted))
        split = quoted.find(b"%", max(start + 1, end - 2), end) if end < len(quoted) else -1
        end = end if split < 0 else split
        plain += unquote_to_bytes(quoted[start:end].replace(b"+", b" "))
        start = end
    return plain.decode("utf-8")


def _from_base64(text: str) -> bytes:
    """Decode in blocks, so that line breaks cost no copies of the whole. Raises ValueError."""
    start = text.find(",", 0, 200) + 1 if text.startswith("data:") else 0
    content, rest = io.BytesIO(), ""
    for first in range(start, len(text), _BLOCK):
        rest += "".join(text[first : first + _BLOCK].split())
        whole = max(0, len(rest) // 4 * 4 - 4)
        if "=" in rest[:whole]:
            raise ValueError("padding before the end")
        content.write(base64.b64decode(rest[:whole], validate=True))
        rest = rest[whole:]
    content.write(base64.b64decode(rest, validate=True))
    return content.getvalue()


def _unique(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise unprocessable(name, f"{name[:80]} is given twice")
        fields[name] = value
    return fields


def _joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    for name in second:
        if name in first:
            raise unprocessable(name, f"{name[:80]} is given twice, in the query and in the body")
    return {**first, **second}


class _Parts:
    """Callbacks of the multipart parser: collects parts in memory."""

    def __init__(self, memory: Reservation) -> None:
        self._memory = memory
        self.fields: list[tuple[str, str]] = []
        self.files: dict[str, bytes] = {}
        self.ended = False
        self._count = 0
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._content = io.BytesIO()

    def on_part_begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise Problem(400, f"the form has more than {MAX_PARTS} parts")
        self._disposition = b""
        self._content = io.BytesIO()

    def on_header_begin(self) -> None:
        self._header.clear()
        self._value.clear()

    def on_header_field(self, content: bytes, start: int, end: int) -> None:
        self._header += content[start:end]

    def on_header_value(self, content: bytes, start: int, end: int) -> None:
        self._value += content[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)

    def on_part_data(self, content: bytes, start: int, end: int) -> None:
        self._content.write(content[start:end])

    def on_part_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        try:
            name = options[b"name"].decode("utf-8")
        except (KeyError, UnicodeDecodeError):
            raise Problem(
                400, "a part of the form has no name; send Content-Disposition: form-data; name=..."
            ) from None
        if b"filename" in options:
            if name in self.files:
                raise unprocessable(name, f"{name[:80]} is given twice")
            self.files[name] = self._content.getvalue()
        else:
            content = self._content.getvalue()
            if not content.isascii():
                self._memory.take(len(content) * (WIDEST - 1))
            try:
                self.fields.append((name, content.decode("utf-8")))
            except UnicodeDecodeError:
                raise unprocessable(
                    name, f"{name[:80]} is neither text in UTF-8 nor a file; send a file with a filename"
                ) from None
        self._content = io.BytesIO()

    def on_end(self) -> None:
        self.ended = True


async def _multipart(
    content_type: str, chunks: AsyncIterator[bytes], memory: Reservation
) -> tuple[dict[str, Any], dict[str, bytes]]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Problem(400, "the form has no boundary; let the HTTP client set Content-Type")
    parts = _Parts(memory)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.on_part_begin,
                "on_header_begin": parts.on_header_begin,
                "on_header_field": parts.on_header_field,
                "on_header_value": parts.on_header_value,
                "on_header_end": parts.on_header_end,
                "on_part_data": parts.on_part_data,
                "on_part_end": parts.on_part_end,
                "on_end": parts.on_end,
            },
        )
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except FormParserError:
        raise Problem(400, "the multipart form is malformed") from None
    if not parts.ended:
        raise Problem(400, "the multipart form ends before its last boundary")
    return _unique(parts.fields), parts.files
