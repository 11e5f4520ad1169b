"""Rate limits: a token bucket per key, or per IP address for requests without a valid key."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from liftout.server.keyfile import UNITS, RateLimit
from liftout.server.problems import Problem
from liftout.server.shared import Bucket, MemoryTally, Tally


@dataclass(frozen=True)
class Allowance:
    """What remains of a caller's limit."""

    limit: int
    remaining: int
    reset: float
    """Seconds until the full limit is available again."""


class Rate:
    """Rate limits of all callers: `limit` requests a minute for those without a limit of their own, refilled evenly."""

    def __init__(self, limit: int, *, clock: Callable[[], float] = time.monotonic, tally: Tally | None = None) -> None:
        """limit: 0 is no limit. clock: gives seconds, to all processes the same. tally: keeps the buckets."""
        self._default = RateLimit(limit, 60) if limit else None
        self._clock = clock
        self._tally = tally or MemoryTally()

    def spend(self, caller: str, limit: RateLimit | None = None) -> Allowance | None:
        """Count one request of a caller, who may have a limit of its own; None without a limit.

        Raises Problem 429 with Retry-After.
        """
        limit = limit or self._default
        if limit is None:
            return None
        now, tokens, full = self._clock(), 0.0, float(limit.requests)

        def take(bucket: Bucket | None) -> Bucket:
            nonlocal tokens
            left, updated = bucket or (full, now)
            tokens = min(full, left + max(0.0, now - updated) * limit.requests / limit.seconds)
            return tokens - (tokens >= 1), now

        self._tally.change(caller, take)
        granted = tokens >= 1
        reset = (limit.requests - tokens + granted) * limit.seconds / limit.requests
        allowance = Allowance(limit.requests, int(tokens - granted), reset)
        if not granted:
            wait = math.ceil((1 - tokens) * limit.seconds / limit.requests)
            unit = next(name for name, seconds in UNITS.items() if seconds == limit.seconds)
            raise Problem(
                429,
                f"more than {limit.requests} requests a{'n' * (unit == 'hour')} {unit}; try again in {wait} s",
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
