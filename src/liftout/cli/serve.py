"""`liftout serve`: an HTTP server."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from typing import Any

import click

from liftout.cli import fetching, params
from liftout.errors import ExtraMissing, UsageError
from liftout.options import RunOptions
from liftout.server.settings import Limits, Settings

EXTRA = 'serve needs the extra `server`; run pip install "liftout[server]"'


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 listens on all.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7000,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@params.options_of(RunOptions, leave_out=("max_pixels",))
@click.option(
    "--models", default="", metavar="A,B", help="Models that requests may name; by default all on this machine."
)
@fetching.accept_license_option
@click.option("--api-key-file", metavar="FILE", help="Require an API key from this file; see `liftout keys`.")
@click.option("--fetch", is_flag=True, help="Fetch photos from URLs that callers send, on the public internet.")
@click.option(
    "--fetch-network",
    "fetch_networks",
    multiple=True,
    metavar="CIDR",
    help="Also fetch from this private network, such as 10.1.2.0/24.",
)
@click.option(
    "--fetch-prefix",
    "fetch_prefixes",
    multiple=True,
    metavar="URL",
    help="Fetch only URLs that begin with this, such as https://photos.example/shop/.",
)
@click.option(
    "--sign-key",
    "sign_key_file",
    metavar="FILE",
    help="Accept URLs of GET /v1/cutouts signed with this key; sign webhooks.",
)
@click.option("--jobs", is_flag=True, help="Take jobs of many photos, uploaded or, with --fetch, by URL: /v1/jobs.")
@click.option(
    "--jobs-hours",
    type=click.IntRange(1),
    default=24,
    show_default=True,
    help="Hours until a job and its results are deleted.",
)
@click.option(
    "--jobs-disk",
    "jobs_bytes",
    default="10GB",
    show_default=True,
    metavar="SIZE",
    callback=lambda _, __, value: parse_size(value, "jobs_disk"),
    help="Uploaded photos that may wait in jobs, together.",
)
@click.option(
    "--cache",
    "cache_bytes",
    default="0",
    metavar="SIZE",
    callback=lambda _, __, value: parse_size(value, "cache"),
    help="Keep finished cutouts on disk, up to this size, such as 2GB.",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="Host name of this server, besides localhost and IP addresses; * allows all.",
)
@click.option(
    "--cors-origin", "cors_origins", multiple=True, metavar="ORIGIN", help="Allow pages of this origin to call the API."
)
@click.option(
    "--trust-proxy",
    default="",
    metavar="A,B",
    help="Proxies whose X-Forwarded-For counts; by default none, not even on this machine.",
)
@click.option(
    "--improve",
    type=click.Choice(["accept", "off"]),
    default="accept",
    show_default=True,
    help="POST /v1.0/improve of remove.bg: accept what clients submit and store nothing, or answer that it is off.",
)
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format of log lines."
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Server processes on one socket; limits hold for all together, each has its part of the workers and models of its own.",
)
@params.options_of(Limits)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def serve(
    host: str,
    port: int,
    models: str,
    accept_license: tuple[str, ...],
    api_key_file: str | None,
    fetch: bool,
    fetch_networks: tuple[str, ...],
    fetch_prefixes: tuple[str, ...],
    sign_key_file: str | None,
    jobs: bool,
    jobs_hours: int,
    jobs_bytes: int,
    cache_bytes: int,
    allow_hosts: tuple[str, ...],
    cors_origins: tuple[str, ...],
    trust_proxy: str,
    improve: str,
    log_format: str,
    processes: int,
    debug: bool,
    **values: Any,
) -> int:
    """Serve the page and the HTTP API; `docs/server.md` describes them.

    SIGTERM and Ctrl-C finish what runs and waits; SIGHUP reads the API keys again.
    """
    limits: Limits = params.read(Limits, values)
    run: RunOptions = dataclasses.replace(params.read(RunOptions, values), max_pixels=limits.max_pixels)
    settings = Settings(
        run=run,
        limits=limits,
        models=tuple(name.strip() for name in models.split(",") if name.strip()),
        api_key_file=api_key_file,
        fetch=fetch or bool(fetch_networks) or bool(fetch_prefixes),
        fetch_networks=fetch_networks,
        fetch_prefixes=fetch_prefixes,
        sign_key_file=sign_key_file,
        jobs=jobs,
        jobs_hours=jobs_hours,
        jobs_bytes=jobs_bytes,
        cache_bytes=cache_bytes,
        allow_hosts=(*allow_hosts, host),
        cors_origins=cors_origins,
        improve="off" if improve == "off" else "accept",
        log_format="json" if log_format == "json" else "text",
    )
    for address in filter(None, trust_proxy.split(",")):
        _check_proxy(address.strip())
    try:
        from liftout.server.run import run as run_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "liftout":
            raise
        raise ExtraMissing(EXTRA) from None
    for name in settings.models:
        fetching.have(name, accept_license=accept_license, quiet=False, precision=run.precision)
    settings = dataclasses.replace(settings, run=fetching.settled(run, accept_license=accept_license, quiet=False))
    return run_server(settings, host=host, port=port, trust_proxy=trust_proxy, processes=processes)


def parse_size(text: str, field: str) -> int:
    """Bytes of a size such as 500MB or 2GB. field: the option it is of. Raises UsageError."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(MB|GB|TB)?", text.strip(), re.IGNORECASE)
    if match is None or (match[2] is None and float(match[1])):
        raise UsageError(f"is {text!r}", field=field, remedy="give a number and a unit, such as 500MB or 2GB")
    return int(float(match[1]) * {"MB": 10**6, "GB": 10**9, "TB": 10**12}.get((match[2] or "").upper(), 0))


def _check_proxy(address: str) -> None:
    try:
        ipaddress.ip_network(address)
    except ValueError:
        if address != "*":
            raise UsageError(f"{address!r} is neither an address nor a network", field="trust_proxy") from None
