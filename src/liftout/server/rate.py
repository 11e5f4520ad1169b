"""Rate limits: a token bucket per key, or per IP address for requests without a valid key."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from liftout.server.problems import Problem

CALLERS = 10_000
"""Buckets kept in memory; the one used longest ago is dropped first."""


@dataclass(frozen=True)
class Allowance:
    """What remains of a caller's limit."""

    limit: int
    remaining: int
    reset: float
    """Seconds until the full limit is available again."""


class Rate:
    """At most `limit` requests a minute from each caller, refilled evenly."""

    def __init__(self, limit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, caller: str) -> Allowance | None:
        """Count one request of a caller; None if this server has no limit. Raises Problem 429 with Retry-After."""
        if not self._limit:
            return None
        now = self._clock()
        tokens, updated = self._buckets.pop(caller, (float(self._limit), now))
        tokens = min(float(self._limit), tokens + (now - updated) * self._limit / 60)
        granted = tokens >= 1
        self._buckets[caller] = (tokens - granted, now)
        while len(self._buckets) > CALLERS:
            self._buckets.popitem(last=False)
        allowance = Allowance(self._limit, int(tokens - granted), (self._limit - tokens + granted) * 60 / self._limit)
        if not granted:
            wait = math.ceil((1 - tokens) * 60 / self._limit)
            raise Problem(
                429,
                f"more than {self._limit} requests a minute; try again in {wait} s",
                headers={"Retry-After": str(wait), **headers(allowance)},
            )
        return allowance


def network_of(address: str) -> str:
    """The address under which requests are counted: an IPv4 address, or the /64 of an IPv6 address, since one host may use all of it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), 64), strict=False))


def headers(allowance: Allowance | None) -> dict[str, str]:
    """X-RateLimit-* as remove.bg names them; `Reset` is a Unix time."""
    if allowance is None:
        return {}
    return {
        "X-RateLimit-Limit": str(allowance.limit),
        "X-RateLimit-Remaining": str(allowance.remaining),
        "X-RateLimit-Reset": str(math.ceil(time.time() + allowance.reset)),
    }
