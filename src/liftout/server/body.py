"""Request bodies: counted while they stream, held in memory only.

A body is multipart/form-data, application/x-www-form-urlencoded, application/json, or the photo itself. It becomes a
`Body`: fields by name, and files by name. Starlette's own form parser writes files above 1 MB to disk; this one never does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from liftout.server.problems import ClientLeft, Problem, busy, unprocessable

MAX_PARTS = 64
OFF_LOOP = 256 * 1024
"""JSON and form bodies from this size are parsed in a thread, so that other requests go on meanwhile."""
RAW_FIELD = "image"
"""The name under which a body that is the photo itself appears."""


@dataclass(frozen=True, eq=False)
class Body:
    """A parsed request: the query and the body together."""

    fields: dict[str, Any] = field(default_factory=dict)
    """Text of forms and queries; values of JSON as they are."""
    files: dict[str, bytes] = field(default_factory=dict)


class BodyMemory:
    """Bytes of all requests that are in memory, kept under a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    def take(self, count: int) -> None:
        """Raise a 503 Problem where the limit would be passed."""
        if self.held + count > self._limit:
            raise busy("the server holds as many requests as it can; try again soon")
        self.held += count

    def give(self, count: int) -> None:
        """Count bytes as gone."""
        self.held -= count


@asynccontextmanager
async def reading(request: Request, memory: BodyMemory, *, limit: int, seconds: float) -> AsyncIterator[Body]:
    """Read and parse a request; its bytes count against `memory` until the block ends.

    limit: bytes of one request. seconds: in which it must have arrived.
    Raises Problem: 400 malformed, 408 too slow, 413 too large, 415 of an unknown kind; ClientLeft.
    """
    taken = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal taken
        async for chunk in request.stream():
            if taken + len(chunk) > limit:
                raise _too_large(limit)
            memory.take(len(chunk))
            taken += len(chunk)
            yield chunk

    try:
        _check_headers(request, limit)
        try:
            async with asyncio.timeout(seconds):
                body = await _parse(request, chunks())
        except TimeoutError:
            raise Problem(408, f"the request did not arrive within {seconds:g} seconds") from None
        except ClientDisconnect:
            raise ClientLeft from None
        yield body
    finally:
        memory.give(taken)


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


async def _parse(request: Request, chunks: AsyncIterator[bytes]) -> Body:
    kind = media_type(request)
    fields = query(request)
    if kind == "multipart/form-data":
        parts, files = await _multipart(request.headers["content-type"], chunks)
        return Body(_joined(fields, parts), files)
    content = bytearray()
    async for chunk in chunks:
        content += chunk
    if kind in ("application/json", "application/x-www-form-urlencoded"):
        parse = _json if kind == "application/json" else _form
        given = await asyncio.to_thread(parse, content) if len(content) >= OFF_LOOP else parse(content)
        return Body(_joined(fields, given))
    if not content:
        return Body(fields)
    if kind in ("", "application/octet-stream") or kind.startswith("image/"):
        return Body(fields, {RAW_FIELD: bytes(content)})
    raise Problem(
        415,
        f"a body of type {kind[:80]} is not understood; send multipart/form-data, JSON with a url, or the photo itself",
    )


def _json(content: bytearray) -> dict[str, Any]:
    try:
        given = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not JSON") from None
    if not isinstance(given, dict):
        raise Problem(422, 'the body is not a JSON object; send {"url": "..."}')
    return given


def _form(content: bytearray) -> dict[str, Any]:
    try:
        pairs = parse_qsl(content.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_PARTS, errors="strict")
    except ValueError:
        raise Problem(400, f"the body is not a form of at most {MAX_PARTS} fields in UTF-8") from None
    return _unique(pairs)


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

    def __init__(self) -> None:
        self.fields: list[tuple[str, str]] = []
        self.files: dict[str, bytes] = {}
        self.ended = False
        self._count = 0
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._content = bytearray()

    def on_part_begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise Problem(400, f"the form has more than {MAX_PARTS} parts")
        self._disposition = b""
        self._content = bytearray()

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
        self._content += content[start:end]

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
            self.files[name] = bytes(self._content)
        else:
            try:
                self.fields.append((name, self._content.decode("utf-8")))
            except UnicodeDecodeError:
                raise unprocessable(
                    name, f"{name[:80]} is neither text in UTF-8 nor a file; send a file with a filename"
                ) from None
        self._content = bytearray()

    def on_end(self) -> None:
        self.ended = True


async def _multipart(content_type: str, chunks: AsyncIterator[bytes]) -> tuple[dict[str, Any], dict[str, bytes]]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Problem(400, "the form has no boundary; let the HTTP client set Content-Type")
    parts = _Parts()
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
