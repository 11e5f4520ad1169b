"""multipart/form-data, parsed in memory while it arrives."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from liftout.server.forms import MAX_PARTS, WIDEST, unique_fields
from liftout.server.memory import Reservation
from liftout.server.problems import Problem, unprocessable

LONGEST_NAME = 200
"""Characters that are kept of a file's name."""


@dataclass(frozen=True, eq=False)
class Upload:
    """A file of a form. name: as the client calls it, without folders and control characters; may be empty."""

    name: str
    content: bytes


async def parse_multipart(
    content_type: str, chunks: AsyncIterator[bytes], memory: Reservation, *, repeated: str = ""
) -> tuple[dict[str, Any], dict[str, bytes], list[Upload]]:
    """(text fields by name, files by name, files called `repeated`, in order) of a form that arrives in chunks.

    Raises Problem 400 or 422.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Problem(400, "the form has no boundary; let the HTTP client set Content-Type")
    parts = _Parts(memory, repeated)
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
    return unique_fields(parts.fields), parts.files, parts.uploads


class _Parts:
    """Callbacks of python-multipart's parser that collect the parts in memory.

    Its FormParser is not used, nor is Starlette's form: FormParser joins the chunks of a text field (twice its size at that
    moment, which no limit would count), decodes Content-Transfer-Encoding, and its files may spill to disk; Starlette's
    files do so above 1 MB. Here the bytes are written into one buffer each, checked while they arrive, and never on disk.
    """

    def __init__(self, memory: Reservation, repeated: str) -> None:
        self._memory = memory
        self._repeated = repeated
        self.uploads: list[Upload] = []
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
        if b"filename" in options and name == self._repeated:
            self.uploads.append(Upload(_file_name(options[b"filename"]), self._content.getvalue()))
        elif b"filename" in options:
            if name in self.files:
                raise unprocessable(name, f"{name[:80]} is given twice")
            self.files[name] = self._content.getvalue()
        else:
            content = self._content.getvalue()
            if not content.isascii():
                self._memory.reserve(len(content) * (WIDEST - 1))
            try:
                self.fields.append((name, content.decode("utf-8")))
            except UnicodeDecodeError:
                raise unprocessable(
                    name, f"{name[:80]} is neither text in UTF-8 nor a file; send a file with a filename"
                ) from None
        self._content = io.BytesIO()

    def on_end(self) -> None:
        self.ended = True


def _file_name(sent: bytes) -> str:
    name = re.split(r"[/\\]", sent.decode("utf-8", "replace"))[-1]
    return "".join(character for character in name if character.isprintable())[:LONGEST_NAME]
