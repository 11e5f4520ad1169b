"""Request bodies, limited while they arrive, in memory only.

A body is multipart/form-data, application/x-www-form-urlencoded, application/json, or the photo itself. It becomes a
`Body`: fields by name and files by name. Nothing is written to disk.

The memory of a request is counted in full: the bytes that arrive, their text and values while they are parsed, a photo
decoded from base64, a photo that is fetched.
"""

from __future__ import annotations

import asyncio
import binascii
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect, Request

from liftout.server.forms import OFF_LOOP, decode_base64, parse_form, parse_json, unique_fields
from liftout.server.memory import MemoryBudget, Reservation
from liftout.server.multipart import Upload, parse_multipart
from liftout.server.problems import ClientLeft, Problem, unprocessable

RAW_FIELD = "image"
"""The file name of a body that is the photo itself."""


@dataclass(frozen=True, eq=False)
class Body:
    """A parsed request: the query and the body together."""

    fields: dict[str, Any]
    """By name: text of forms and queries, values of JSON."""
    files: dict[str, bytes]
    memory: Reservation
    """The memory that the request uses."""
    uploads: list[Upload] = field(default_factory=list)
    """Files of the field that a form may repeat, in order."""

    def has(self, name: str) -> bool:
        """Whether a file or a non-empty value of this name was sent."""
        return bool(self.files.get(name) or self.fields.get(name))

    async def from_base64(self, name: str) -> bytes:
        """Decode a base64 field, with or without a `data:` head, and remove it from `fields`. Raises Problem 422."""
        text = self.fields.pop(name)
        if not isinstance(text, str):
            raise unprocessable(name, f"{name} is {repr(text)[:60]}; it must be text")
        length = len(text)
        self.memory.reserve(length * 3 // 4)
        try:
            content = await asyncio.to_thread(decode_base64, text) if length >= OFF_LOOP else decode_base64(text)
        except (binascii.Error, ValueError):
            raise unprocessable(
                name, f"{name} is text that is not base64; send a file, or the photo in base64"
            ) from None
        self.memory.release(length)
        return content


@asynccontextmanager
async def open_body(
    request: Request, memory: MemoryBudget, *, limit: int, seconds: float, repeated: str = ""
) -> AsyncIterator[Body]:
    """Read and parse a request. Its bytes count against `memory` until the block ends.

    limit: bytes of one request. seconds: within which it must arrive. repeated: name of files that a form may have several of.
    Raises Problem: 400 malformed, 408 too slow, 413 too large, 415 unknown type; ClientLeft.
    """
    reservation = Reservation(memory)
    arrived = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal arrived
        async for chunk in request.stream():
            arrived += len(chunk)
            if arrived > limit:
                raise _too_large(limit)
            reservation.reserve(len(chunk))
            yield chunk

    try:
        _check_headers(request, limit)
        try:
            async with asyncio.timeout(seconds):
                body = await _parse(request, chunks(), reservation, repeated)
        except TimeoutError:
            raise Problem(408, f"the request did not arrive within {seconds:g} seconds") from None
        except ClientDisconnect:
            raise ClientLeft from None
        yield body
    finally:
        reservation.close()


def query(request: Request) -> dict[str, Any]:
    """The query as fields. Raises Problem where a name comes twice."""
    return unique_fields(request.query_params.multi_items())


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


async def _parse(request: Request, chunks: AsyncIterator[bytes], memory: Reservation, repeated: str) -> Body:
    kind = media_type(request)
    fields = query(request)
    if kind == "multipart/form-data":
        content_type = request.headers["content-type"]
        parts, files, uploads = await parse_multipart(content_type, chunks, memory, repeated=repeated)
        return Body(_merged(fields, parts), files, memory, uploads)
    stream = io.BytesIO()
    async for chunk in chunks:
        stream.write(chunk)
    if kind == "application/json":
        return Body(_merged(fields, await parse_json(stream, memory)), {}, memory)
    if kind == "application/x-www-form-urlencoded":
        return Body(_merged(fields, await parse_form(stream, memory)), {}, memory)
    content = stream.getvalue()
    if not content:
        return Body(fields, {}, memory)
    if kind in ("", "application/octet-stream") or kind.startswith("image/"):
        return Body(fields, {RAW_FIELD: content}, memory)
    raise Problem(
        415,
        f"a body of type {kind[:80]} is not understood; send multipart/form-data, JSON with a url, or the photo itself",
    )


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    for name in second:
        if name in first:
            raise unprocessable(name, f"{name[:80]} is given twice, in the query and in the body")
    return {**first, **second}
