"""What is known about a file's content, and the running hashes that check it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from liftout.models.spec import FileSpec

BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Size and hashes that a file must have; what is None is not known."""

    bytes: int | None = None
    sha256: str | None = None
    """Whole, or `head...tail` of it."""
    md5: str | None = None

    @classmethod
    def of(cls, file: FileSpec) -> Self:
        """What the catalogue says."""
        return cls(bytes=file.bytes, sha256=file.sha256, md5=file.md5)

    @property
    def pinned(self) -> bool:
        """Whether the content is known, not only the size."""
        return self.sha256 is not None or self.md5 is not None


class Fingerprint:
    """Size, sha256 and, where it is expected, md5 of bytes as they pass."""

    def __init__(self, expected: Expectation) -> None:
        self.bytes = 0
        self._expected = expected
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if expected.md5 else None

    @classmethod
    def of(cls, path: Path, expected: Expectation, *, first: int | None = None) -> Self:
        """Of a file on disk, or of its first bytes."""
        fingerprint = cls(expected)
        left = path.stat().st_size if first is None else first
        with path.open("rb") as stream:
            while left > 0 and (block := stream.read(min(BLOCK_BYTES, left))):
                fingerprint.update(block)
                left -= len(block)
        return fingerprint

    def update(self, block: bytes) -> None:
        """Take more bytes in."""
        self.bytes += len(block)
        self._sha256.update(block)
        if self._md5:
            self._md5.update(block)

    @property
    def sha256(self) -> str:
        """In hex, of all bytes so far."""
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        """In hex, of all bytes so far; empty where none is expected."""
        return self._md5.hexdigest() if self._md5 else ""

    @property
    def mismatch(self) -> str | None:
        """How the bytes differ from what they must be, as the end of a sentence; None where they do not."""
        return mismatch(self._expected, size=self.bytes, sha256=self.sha256, md5=self.md5)


def mismatch(expected: Expectation, *, size: int, sha256: str, md5: str) -> str | None:
    """How a file differs from what it must be: `is 3 bytes, not 4`, `has sha256 9f..., not 56...`; None where it does not.

    size: in bytes. sha256, md5: hexadecimal; md5 is empty where none is expected.
    """
    if expected.bytes is not None and size != expected.bytes:
        return f"is {size} bytes, not {expected.bytes}"
    if expected.sha256 is not None and not fits(sha256, expected.sha256):
        return f"is {size} bytes but its sha256 is {sha256[:8]}..., not {expected.sha256[:8]}..."
    if expected.md5 is not None and md5 != expected.md5:
        return f"is {size} bytes but its md5 is {md5[:8]}..., not {expected.md5[:8]}..."
    return None


def fits(digest: str, known: str) -> bool:
    """Whether a whole hash agrees with the known part of it, `head...tail`."""
    head, dots, tail = known.partition("...")
    return digest.startswith(head) and digest.endswith(tail) if dots else digest == known
