"""API keys of requests, from a key file (`liftout.server.keyfile`). A changed file is read again.

A key is compared as its SHA-256 with every key of the file, in constant time. Without the file no key is valid; a malformed
file leaves the keys as they were and is reported in the log.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from pathlib import Path

from starlette.requests import Request

from liftout.errors import UsageError
from liftout.server.keyfile import ApiKey, read_keys
from liftout.server.problems import Problem

CHECK_INTERVAL = 1.0
"""Seconds between two checks whether the file has changed."""

_log = logging.getLogger("liftout.server")


class ApiKeys:
    """The keys of one file."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where the file cannot be read or a line is malformed."""
        self._path = path
        self._version: tuple[int, int, int] | None = None
        self._checked_at = 0.0
        self._keys = read_keys(path)
        self._version = _version(path)

    def find(self, key: str) -> ApiKey | None:
        """The entry of a key; None if the file does not have the key."""
        self._reload_if_changed()
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        match = None
        for known in self._keys:
            if hmac.compare_digest(known.digest, digest):
                match = known
        return match

    def reload(self) -> None:
        """Read the file again now."""
        self._checked_at = 0.0
        self._version = None
        self._reload_if_changed()

    def _reload_if_changed(self) -> None:
        now = time.monotonic()
        if now - self._checked_at < CHECK_INTERVAL and self._version is not None:
            return
        self._checked_at = now
        version = _version(self._path)
        if version is not None and version == self._version:
            return
        if version is None:
            if self._keys:
                _log.error("the API key file cannot be read any more; no key is valid until it can")
            self._keys = []
            return
        try:
            self._keys = read_keys(self._path)
            _log.info("%d API keys read", len(self._keys))
        except UsageError as error:
            _log.error("%s; the keys stay as they were", error)
        self._version = version


def presented(request: Request) -> str | None:
    """The key that a request carries: X-Api-Key, or Authorization: Bearer."""
    key = request.headers.get("x-api-key")
    if key is not None:
        return key
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else None


def check(keys: ApiKeys | None, request: Request) -> ApiKey | None:
    """The key that a request carries; None if the server has no keys. Raises Problem 401."""
    if keys is None:
        return None
    text = presented(request)
    key = keys.find(text) if text is not None else None
    if key is None:
        state = "is not known to this server" if text is not None else "is missing"
        raise Problem(
            401, f"the API key {state}; send it as X-Api-Key", headers={"WWW-Authenticate": 'Bearer realm="liftout"'}
        )
    return key


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino
