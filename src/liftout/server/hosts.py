"""Host names under which this server answers.

A web page whose host name is made to point at 127.0.0.1 (DNS rebinding) has the same origin as a server that listens there and
can read its answers. Its requests still carry the page's name in `Host`, so names that the operator has not allowed are refused.
Numeric addresses and names of the loopback interface cannot be rebound and are always allowed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

EVERY = "*"
"""Allows all names."""


def is_allowed(host: str, names: Iterable[str]) -> bool:
    """Whether a request with this `Host` header is meant for this server. names: what the operator allows, without ports."""
    name = _name(host)
    if not name or name == "localhost" or name.endswith(".localhost") or _is_address(name):
        return True
    allowed = {allowed.lower().rstrip(".") for allowed in names}
    return EVERY in allowed or name in allowed


def _name(host: str) -> str:
    """A `Host` header without its port and brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
