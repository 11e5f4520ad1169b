"""Settings of a server; the options of `liftout serve` are made from these fields."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from liftout.machine import usable_cores
from liftout.options import About, RunOptions

MEGABYTE = 1_000_000


def _setting(default: Any, text: str, *, metavar: str = "N", low: int | None = None) -> Any:
    return dataclasses.field(default=default, metadata={"about": About(help=text, metavar=metavar, low=low)})


def _workers() -> int:
    return max(2, min(4, usable_cores() // 2))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one server."""

    workers: int = _setting(_workers(), "Photos that are cut out at the same time.", low=1)
    queue: int = _setting(64, "Photos that may wait for a worker; more are answered with 503.", low=0)
    timeout: int = _setting(120, "Seconds that a photo may wait and run.", metavar="SECONDS", low=1)
    max_body: int = _setting(50, "Largest request in megabytes.", metavar="MB", low=1)
    body_memory: int = _setting(500, "Megabytes of requests held in memory at a time.", metavar="MB", low=1)
    body_timeout: int = _setting(60, "Seconds that a request may take to arrive.", metavar="SECONDS", low=1)
    max_pixels: int = _setting(50_000_000, "Refuse photos with more pixels.", low=1)
    models_kept: int = _setting(2, "Models kept in memory.", low=1)
    rate: int = _setting(
        0, "Requests a minute from one key, or from one address (IPv6: one /64); 0 is no limit.", low=0
    )
    connections: int = _setting(512, "Open connections; more are refused.", low=1)
    fetch_timeout: int = _setting(20, "Seconds that fetching a photo by URL may take.", metavar="SECONDS", low=1)
    grace: int = _setting(30, "Seconds that running work may take after a request to stop.", metavar="SECONDS", low=0)

    @property
    def body_bytes(self) -> int:
        """`max_body` in bytes."""
        return self.max_body * MEGABYTE

    @property
    def memory_bytes(self) -> int:
        """`body_memory` in bytes, never less than one request."""
        return max(self.body_memory, self.max_body) * MEGABYTE


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of one server."""

    run: RunOptions = dataclasses.field(default_factory=RunOptions)
    """Model, engine, device, precision and threads of requests that name none."""
    limits: Limits = dataclasses.field(default_factory=Limits)
    models: tuple[str, ...] = ()
    """Models that callers may name besides `run.model`; empty for all that are on this machine."""
    api_key_file: str | None = None
    fetch: bool = False
    """Whether photos are fetched from URLs that callers give."""
    fetch_prefixes: tuple[str, ...] = ()
    """Fetch only URLs that begin with one of these; empty for all."""
    cache_bytes: int = 0
    """Bytes of finished cutouts that are kept on disk; 0 for none."""
    jobs: bool = False
    """Whether /v1/jobs takes photos to be cut out later."""
    jobs_hours: int = 24
    """Hours after which a job and its results are deleted."""
    jobs_bytes: int = 10_000_000_000
    """Bytes of uploaded photos that may wait in jobs."""
    sign_key_file: str | None = None
    """File with the key of signed URLs."""
    fetch_networks: tuple[str, ...] = ()
    """Networks (CIDR) that may be fetched from although they are private."""
    improve: Literal["accept", "off"] = "accept"
    """remove.bg's improvement program: accept and drop what clients submit, or answer that it is off."""
    allow_hosts: tuple[str, ...] = ()
    """Names that callers may use for this server besides those of the loopback interface; `*` is every one."""
    cors_origins: tuple[str, ...] = ()
    log_format: Literal["text", "json"] = "text"
