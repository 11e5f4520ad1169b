"""The file of API keys, which `liftout keys` writes and the server reads.

Each line is `KEY`, `NAME KEY` or `NAME KEY rate=100/minute`; `#` starts a comment. A key is written as it is or, as `liftout keys
add` does, as `sha256:` and its SHA-256 in hexadecimal, so that the file gives no key away.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from liftout.errors import UsageError
from liftout.files import write_whole

SHORTEST = 16
"""Least characters of a key: shorter ones can be guessed."""
UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
"""Seconds of the units of a rate limit."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}")
_RATE = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour|day)")
_HASH = "sha256:"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class RateLimit:
    """At most `requests` in `seconds`."""

    requests: int
    seconds: int

    def __str__(self) -> str:
        """As the file has it, such as 100/minute."""
        unit = next(name for name, seconds in UNITS.items() if seconds == self.seconds)
        return f"{self.requests}/{unit}"


@dataclass(frozen=True)
class ApiKey:
    """One key of the file. digest: SHA-256 of the key. rate: its own rate limit, None for that of the server."""

    name: str
    digest: bytes
    rate: RateLimit | None = None


def parse_rate(text: str) -> RateLimit:
    """A rate limit such as 100/minute. Raises UsageError."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"is {text!r}", field="rate", remedy="give a number and a unit, such as 100/minute or 5000/day"
        )
    return RateLimit(int(match[1]), UNITS[match[2]])


def read_keys(path: Path) -> list[ApiKey]:
    """The keys of a file. Raises UsageError if it cannot be read or a line is malformed."""
    return [key for _, key in _read_lines(path) if key is not None]


def add_key(path: Path, name: str, *, rate: RateLimit | None = None) -> str:
    """Make a key and add its line to the file, which is created if it does not exist, for its owner only. Returns the key.

    Raises UsageError if the name is taken or not made of letters, digits, `.`, `_` and `-`.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a key", remedy="use up to 60 letters, digits, '.', '_' and '-'"
        )
    lines = _read_lines(path) if path.exists() else []
    if any(key is not None and key.name == name for _, key in lines):
        raise UsageError(f"there is a key called {name} already", remedy="remove it first, or choose another name")
    key = secrets.token_urlsafe(24)
    line = f"{name} {_HASH}{hashlib.sha256(key.encode()).hexdigest()}" + (f" rate={rate}" if rate else "")
    _write(path, [*(text for text, _ in lines), line])
    return key


def remove_key(path: Path, name: str) -> None:
    """Remove the line of a key. Raises UsageError if the file has no key of this name."""
    lines = _read_lines(path)
    rest = [text for text, key in lines if key is None or key.name != name]
    if len(rest) == len(lines):
        raise UsageError(f"{path} has no key called {name}", remedy="list the keys to see the names")
    _write(path, rest)


def _read_lines(path: Path) -> list[tuple[str, ApiKey | None]]:
    """Each line, and its key if it has one."""
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise UsageError(f"the API key file {path} cannot be read: {reason}") from None
    return [(text, _parse(path, number, text)) for number, text in enumerate(texts, 1)]


def _parse(path: Path, number: int, text: str) -> ApiKey | None:
    words = text.partition("#")[0].split()
    if not words:
        return None
    rate = parse_rate(words.pop().removeprefix("rate=")) if len(words) == 3 and words[2].startswith("rate=") else None
    if len(words) > 2 or len(words[-1]) < SHORTEST:
        raise UsageError(
            f"the API key file {path}, line {number}: give a KEY of at least {SHORTEST} characters, NAME KEY, or NAME KEY "
            "rate=100/minute"
        )
    key = words[-1]
    digest = bytes.fromhex(key.removeprefix(_HASH)) if _DIGEST.fullmatch(key) else hashlib.sha256(key.encode()).digest()
    return ApiKey(words[0] if len(words) == 2 else f"key-{number}", digest, rate)


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(f"{line}\n" for line in lines).encode(), overwrite=True)
    path.chmod(0o600)
