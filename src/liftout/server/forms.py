"""Text bodies: JSON, URL-encoded forms and base64, parsed with their memory counted.

Parsers that need many times the size of their input are not used, or get it in blocks.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from liftout.options import PromptOptions
from liftout.server.memory import Reservation
from liftout.server.problems import Problem, unprocessable

MAX_PARTS = 64
"""Fields and files in a form."""
MAX_VALUES = 1000
"""Values in a JSON body: each takes many times the memory of its text."""
OFF_LOOP = 256 * 1024
"""Bytes. JSON, forms and base64 of this size and larger are parsed in a thread, so that other requests continue."""
REPEATED = tuple(field.name for field in dataclasses.fields(PromptOptions) if field.default == ())
"""Fields of text that may come several times."""
WIDEST = 4
"""Bytes that Python uses per character of a text that contains an emoji."""

_BLOCK = 256 * 1024
_BEYOND_ASCII = re.compile(rb"%[89A-Fa-f]")


async def parse_json(stream: io.BytesIO, memory: Reservation) -> dict[str, Any]:
    """The values of a JSON object. Closes the stream. Raises Problem 400, 413, 422 or 503."""
    return await _parse_counted(_json, _json_size, stream, memory)


async def parse_form(stream: io.BytesIO, memory: Reservation) -> dict[str, Any]:
    """The fields of application/x-www-form-urlencoded. Raises Problem 400, 413, 422 or 503."""
    return await _parse_counted(_form, _form_size, stream, memory)


async def _parse_counted(
    parse: Callable[[io.BytesIO], dict[str, Any]],
    size: Callable[[bytes], tuple[int, int]],
    stream: io.BytesIO,
    memory: Reservation,
) -> dict[str, Any]:
    """Parse text, with the memory for it reserved. size: of a body, (peak bytes while parsing, bytes of the values)."""
    length = len(stream.getbuffer())
    peak, values = size(stream.getvalue())
    memory.reserve(peak - length)
    fields = await asyncio.to_thread(parse, stream) if length >= OFF_LOOP else parse(stream)
    memory.release(peak - values)
    return fields


def _json_size(content: bytes) -> tuple[int, int]:
    text_bytes = len(content) * (1 if content.isascii() else WIDEST)
    values = len(content) * WIDEST if text_bytes > len(content) or b"\\u" in content else len(content)
    growth = values // 4 if b"\\" in content else 0  # Python grows a text with escapes by a quarter at a time
    return text_bytes + values + growth, values


def _json(stream: io.BytesIO) -> dict[str, Any]:
    """The values of a JSON object; the stream is closed, so that its bytes are gone when the values come."""
    content = stream.getvalue()
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise Problem(400, f"the JSON has more than {MAX_VALUES} values")
    try:
        text = content.decode("utf-8")
        del content
        stream.close()
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not JSON") from None
    if not isinstance(values, dict):
        raise Problem(422, 'the body is not a JSON object; send {"url": "..."}')
    return values


def _form_size(content: bytes) -> tuple[int, int]:
    wide = not content.isascii() or _BEYOND_ASCII.search(content)
    values = len(content) * (WIDEST if wide else 1)
    return 2 * len(content) + values, values


def _form(stream: io.BytesIO) -> dict[str, Any]:
    content = stream.getvalue()
    if content.count(b"&") >= MAX_PARTS:
        raise Problem(400, f"the form has more than {MAX_PARTS} fields")
    try:
        return unique_fields([(_unquoted(name), _unquoted(value)) for name, value in _pairs(content)])
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


def decode_base64(text: str) -> bytes:
    """Bytes of base64 text, with or without a `data:` head. Works in blocks, so that line breaks cost no copy of the whole text.

    Raises ValueError.
    """
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


def unique_fields(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Pairs as a dictionary; several values of a field of `REPEATED` are a list. Raises Problem 422 where another name comes twice."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields and name in REPEATED:
            fields[name] = [*fields[name], value] if isinstance(fields[name], list) else [fields[name], value]
            continue
        if name in fields:
            raise unprocessable(name, f"{name[:80]} is given twice")
        fields[name] = value
    return fields
