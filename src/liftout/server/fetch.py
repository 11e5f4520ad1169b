"""Fetch photos from URLs that callers give, without giving callers access to this server's network.

The name is resolved once for each connection; every address it resolves to must be a public one; the connection goes to an
address that was checked, so a name that changes its answer between check and use gains nothing. Redirects are followed here,
each as a new connection under the same checks. Proxies of the environment are not used.

Refused: everything that `ipaddress` does not call global, multicast, and IPv6 forms that carry an IPv4 address to somewhere
else (mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP).
"""

from __future__ import annotations

import asyncio
import io
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

import httpcore

from liftout import __version__
from liftout.errors import UsageError
from liftout.server.problems import Problem, unprocessable

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""(host, port) to the text of every address it has."""

MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""RFC 4291; mapped, compatible, translated and NAT64 addresses all lie outside."""
_TUNNELS = (ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"))
"""6to4 (RFC 7526 retired it) and Teredo: what they reach is the IPv4 address inside them."""
_ISATAP = (0x00005EFE, 0x02005EFE)
"""RFC 5214: upper half of an interface identifier whose lower half is an IPv4 address."""
_SPECIAL: tuple[Network, ...] = (ipaddress.IPv4Network("192.88.99.0/24"), ipaddress.IPv6Network("3fff::/20"))
"""6to4 relays (RFC 7526) and documentation (RFC 9637), which older versions of `ipaddress` call global."""
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,253}")


@dataclass(frozen=True, kw_only=True)
class FetchRules:
    """What may be fetched."""

    enabled: bool = False
    allowed: tuple[Network, ...] = ()
    """Networks that may be reached although they are not public."""
    prefixes: tuple[str, ...] = ()
    """URLs must begin with one of these; empty for all."""
    max_bytes: int = 50_000_000
    seconds: float = 20


class Unreachable(Problem):
    """A host that did not answer, which it may do later."""


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks from CIDR notation. Raises UsageError."""
    parsed: list[Network] = []
    for text in texts:
        try:
            parsed.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise UsageError(f"fetch-network {text}: {error}; give a network such as 10.1.2.0/24") from None
    return tuple(parsed)


def checked_prefixes(texts: Iterable[str]) -> tuple[str, ...]:
    """URL prefixes that have a host and a path. Raises UsageError."""
    prefixes = tuple(texts)
    for prefix in prefixes:
        parts = urlsplit(prefix)
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path or "@" in parts.netloc:
            raise UsageError(
                f"is {prefix}, which has no host or path",
                field="fetch_prefix",
                remedy="give a URL such as https://photos.example/shop/",
            )
    return prefixes


def begins_with(url: str, prefix: str) -> bool:
    """Whether a URL is under a prefix. URLs with `..`, also in disguise, are under none."""
    path = urlsplit(url).path
    for _ in range(3):  # a server behind the host may decode once more
        if ".." in path.replace("\\", "/").split("/"):
            return False
        path = unquote(path)
    return url.startswith(prefix)


def refused(address: Address, allowed: Iterable[Network] = ()) -> bool:
    """Whether an address must not be connected to."""
    if any(address.version == network.version and address in network for network in allowed):
        return False
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return True
    if any(address.version == network.version and address in network for network in _SPECIAL):
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return False
    if address not in _GLOBAL_UNICAST or any(address in tunnel for tunnel in _TUNNELS):
        return True
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return refused(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return False


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a host, by the system's resolver."""
    entries = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]


async def fetch(
    url: str,
    rules: FetchRules,
    *,
    field: str = "url",
    resolver: Resolver = resolve,
    reserve: Callable[[int], None] = lambda _: None,
) -> bytes:
    """The bytes at a URL.

    field: of the request that held the URL, for problems. reserve: called with the number of bytes that arrived, before they
    are stored. Raises Problem: 403 if fetching is off, 413 too large, 422 if the URL or its answer is wrong.
    """
    if not rules.enabled:
        raise Problem(403, "this server does not fetch photos from URLs; upload the photo", field=field)
    if rules.prefixes and not any(begins_with(url, prefix) for prefix in rules.prefixes):
        raise Problem(403, f"{field}: this server does not fetch from there", field=field)
    try:
        async with asyncio.timeout(rules.seconds):
            return await _follow(url, rules, field, resolver, reserve)
    except TimeoutError:
        raise Unreachable(422, f"{field}: it did not arrive within {rules.seconds:g} seconds", field=field) from None


async def post(
    url: str, content: bytes, headers: dict[str, str], rules: FetchRules, *, resolver: Resolver = resolve
) -> int:
    """Send content to a URL under the same checks; redirects are not followed. Returns the status. Raises Problem."""
    backend = _CheckedBackend(rules.allowed, "webhook", resolver)
    parts = _parts(url, "webhook")
    try:
        async with (
            asyncio.timeout(rules.seconds),
            httpcore.AsyncConnectionPool(
                ssl_context=_tls(), network_backend=backend, max_keepalive_connections=0
            ) as pool,
            pool.stream(
                "POST",
                _target(parts),
                headers=list({**_headers(parts), **headers, "Content-Length": str(len(content))}.items()),
                content=content,
            ) as response,
        ):
            return int(response.status)
    except (TimeoutError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise unprocessable("webhook", f"webhook: {parts.hostname} cannot be reached: {error}") from None


async def _follow(url: str, rules: FetchRules, field: str, resolver: Resolver, reserve: Callable[[int], None]) -> bytes:
    backend = _CheckedBackend(rules.allowed, field, resolver)
    # A pool of its own for each fetch, without keep-alive: no connection outlives the check that allowed it.
    async with httpcore.AsyncConnectionPool(
        ssl_context=_tls(), network_backend=backend, max_keepalive_connections=0
    ) as pool:
        for _ in range(MAX_REDIRECTS + 1):
            parts = _parts(url, field)
            try:
                content, location = await _get(pool, parts, rules, field, reserve)
            except (
                httpcore.TimeoutException,
                httpcore.NetworkError,
                httpcore.ProtocolError,
                ssl.SSLError,
                OSError,
            ) as error:
                reason = " ".join(str(error).split())[:120] or type(error).__name__
                detail = f"{field}: {parts.hostname} cannot be fetched from: {reason}"
                raise Unreachable(422, detail, field=field) from None
            if location is None:
                return content
            url = urljoin(url, location)
    raise unprocessable(field, f"{field}: it redirects more than {MAX_REDIRECTS} times")


def _parts(url: str, field: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise unprocessable(field, f"{field}: it is not a URL") from None
    if parts.scheme not in ("http", "https"):
        raise unprocessable(field, f"{field}: only http and https URLs are fetched")
    if parts.username is not None or parts.password is not None:
        raise unprocessable(field, f"{field}: URLs with a user name or password are not fetched")
    if len(url) > 2000 or not host or not _HOST.fullmatch(_ascii(host)):
        raise unprocessable(field, f"{field}: it is too long or names no valid host")
    return parts


def _ascii(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


async def _get(
    pool: httpcore.AsyncConnectionPool,
    parts: SplitResult,
    rules: FetchRules,
    field: str,
    reserve: Callable[[int], None],
) -> tuple[bytes, str | None]:
    """(content, None), or (b"", URL of the redirect)."""
    host = _ascii(parts.hostname or "")
    headers = {**_headers(parts), "Accept": "image/*", "Accept-Encoding": "identity"}
    async with pool.stream("GET", _target(parts), headers=list(headers.items())) as response:
        response_headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        if response.status in _REDIRECTS and b"location" in response_headers:
            return b"", response_headers[b"location"]
        if response.status != 200:
            raise unprocessable(field, f"{field}: {host} answered {response.status}")
        if response_headers.get(b"content-encoding", "identity") != "identity":
            raise unprocessable(field, f"{field}: {host} sends it compressed although it was asked not to")
        content = io.BytesIO()
        async for chunk in response.aiter_stream():
            if content.tell() + len(chunk) > rules.max_bytes:
                raise Problem(413, f"{field}: it is larger than {rules.max_bytes / 1e6:g} megabytes", field=field)
            reserve(len(chunk))
            content.write(chunk)
        return content.getvalue(), None


def _target(parts: SplitResult) -> httpcore.URL:
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = f"?{quote(parts.query, safe='/?%:@!$&()*+,;=~-._[]')}" if parts.query else ""
    host = _ascii(parts.hostname or "")
    return httpcore.URL(scheme=parts.scheme, host=host, port=parts.port, target=path + query)


def _headers(parts: SplitResult) -> dict[str, str]:
    host = _ascii(parts.hostname or "")
    host_in_url = f"[{host}]" if ":" in host else host
    return {
        "Host": host_in_url if parts.port is None else f"{host_in_url}:{parts.port}",
        "User-Agent": f"liftout/{__version__}",
    }


_context: ssl.SSLContext | None = None


def _tls() -> ssl.SSLContext:
    """One TLS context: making it reads all certificate authorities."""
    global _context
    if _context is None:
        _context = httpcore.default_ssl_context()
    return _context


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections to checked addresses only."""

    def __init__(self, allowed: tuple[Network, ...], field: str, resolver: Resolver) -> None:
        self._allowed = allowed
        self._field = field
        self._resolver = resolver
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        last: Exception = httpcore.ConnectError("it has no address")
        for address in await self._checked(host, port):
            try:
                return await self._plain.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last

    async def _checked(self, host: str, port: int) -> list[Address]:
        """The addresses of a host. Raises Problem 422, with the same message for names of private addresses and for unknown
        names, so that callers cannot find out which private names exist."""
        try:
            texts = await self._resolver(host, port)
        except (OSError, UnicodeError):
            texts = []
        addresses = [ipaddress.ip_address(text) for text in dict.fromkeys(texts)]
        if not addresses or any(refused(address, self._allowed) for address in addresses):
            raise unprocessable(
                self._field, f"{self._field}: {host} is not on the public internet; photos are fetched from there only"
            )
        return addresses
