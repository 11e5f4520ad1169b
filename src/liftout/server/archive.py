"""Zip archives of finished pictures, for answers that hold several."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable

MIME = "application/zip"

_FIRST_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that the format can say: the same pictures give the same bytes."""


def zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    """An archive of files, by name. They are stored as they are: pictures are compressed already."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name, _FIRST_DATE), content)
    return stream.getvalue()


def unzipped(content: bytes, name: str) -> bytes:
    """A file out of an archive that `zipped` has made."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(name)
