"""Signed URLs: `<img src>` can name the server without a key, until the URL expires.

The signed text is the path and query of the URL, with `expires` (Unix time in seconds), up to `&signature=`. The signature is its
HMAC-SHA256 under the key of `--sign-key`, in base64url without padding:

    sign("/v1/cutouts?url=https%3A%2F%2Fphotos.example%2F1.jpg&format=webp", key, expires=1767225600)
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from pathlib import Path

from starlette.requests import Request

from liftout.errors import UsageError
from liftout.server.problems import Problem

EXPIRES = "expires"
SIGNATURE = "signature"
SHORTEST = 32
"""Least characters of a signing key."""


def read_sign_key(path: Path) -> bytes:
    """The key in a file: its text without white space around it. Raises UsageError."""
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"the signing key {path} cannot be read: {error.strerror}") from None
    if len(key) < SHORTEST:
        raise UsageError(f"the signing key {path} is too short; it needs at least {SHORTEST} characters")
    return key


def sign(target: str, key: bytes, *, expires: int) -> str:
    """The path and query of a URL with `expires` and `signature`. target: path and query, percent-encoded."""
    text = f"{target}{'&' if '?' in target else '?'}{EXPIRES}={expires}"
    return f"{text}&{SIGNATURE}={_signature(text, key)}"


def seconds_left(request: Request, key: bytes | None) -> int | None:
    """For how long the signature of a request is valid; None for a request without one. Raises Problem 403."""
    if SIGNATURE not in request.query_params:
        return None
    if key is None:
        raise Problem(403, "this server has no key for signed URLs", field=SIGNATURE)
    query: str = request.scope["query_string"].decode("latin-1")
    path: str = request.scope.get("raw_path", b"").decode("latin-1")
    text, _, signature = f"{path}?{query}".rpartition(f"&{SIGNATURE}=")
    if not hmac.compare_digest(_signature(text, key), signature):
        raise Problem(403, "the signature of this URL is wrong", field=SIGNATURE)
    expires = request.query_params.get(EXPIRES, "")
    left = int(expires) - int(time.time()) if expires.isdecimal() and len(expires) < 15 else 0
    if left <= 0:
        raise Problem(403, "this URL has expired", field=EXPIRES)
    return left


def _signature(text: str, key: bytes) -> str:
    digest = hmac.new(key, text.encode("latin-1"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
