"""`liftout keys`: add, list and remove API keys of the server."""

from __future__ import annotations

from pathlib import Path

import click

from liftout.home import home
from liftout.server.keyfile import add_key, parse_rate, read_keys, remove_key

_file_option = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    help="The key file; by default `api-keys` in the folder of liftout.",
)


@click.group()
def keys() -> None:
    """Add, list and remove API keys of the server."""


@keys.command()
@click.argument("name")
@click.option("--rate", metavar="N/UNIT", help="Limit of this key, such as 100/minute (second, minute, hour, day).")
@_file_option
def add(name: str, rate: str | None, path: Path | None) -> None:
    """Make a key and print it. It is shown only now: the file holds its hash."""
    file = path or _default_file()
    click.echo(add_key(file, name, rate=parse_rate(rate) if rate else None))
    click.echo(f"added {name}; start the server with: liftout serve --api-key-file {file}", err=True)


@keys.command("list")
@_file_option
def list_keys(path: Path | None) -> None:
    """Names and limits of the keys."""
    file = path or _default_file()
    for key in read_keys(file) if file.exists() else []:
        click.echo(f"{key.name}  {key.rate or 'no limit of its own'}")


@keys.command()
@click.argument("name")
@_file_option
def remove(name: str, path: Path | None) -> None:
    """Remove a key. A running server refuses it within a second."""
    remove_key(path or _default_file(), name)
    click.echo(f"removed {name}", err=True)


def _default_file() -> Path:
    return home() / "api-keys"
