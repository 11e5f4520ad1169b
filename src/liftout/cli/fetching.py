"""For commands that may download a model: the licence option, and getting the model before the work begins."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, TypeVar

import click

from liftout.catalog import find, models
from liftout.catalog.spec import ModelSpec
from liftout.cli.progress import shown
from liftout.cli.terminal import printable
from liftout.errors import UsageError
from liftout.weights.consent import consent, names
from liftout.weights.ensure import Notify, ensure
from liftout.weights.locate import Located, in_folder

_F = TypeVar("_F", bound=Callable[..., Any])


def accept_license_option(function: _F) -> _F:
    """Add `--accept-license NAME`, which may be given several times; the command gets `accept_license`."""
    return click.option(
        "--accept-license",
        multiple=True,
        metavar="NAME",
        help="Accept the restricted licence of this model, or the licence of this name; remembered.",
    )(function)


def have(name: str, *, accept_license: tuple[str, ...], quiet: bool, precision: str = "auto") -> Located:
    """The model, downloaded and converted where necessary, with progress on standard error; or the pack, where `name` is the path
    of one. A pack of the asked precision is used as it is. Raises what `ensure` raises."""
    if pack := in_folder(name):
        consent(pack.spec, accept=accepts(pack.spec, accept_license))
        return pack
    spec = find(name)
    with shown(quiet=quiet) as progress:
        return ensure(
            spec,
            precision=precision,
            accept_license=accepts(spec, accept_license),
            progress=progress,
            notify=notifier(quiet=quiet),
        )


def accepts(spec: ModelSpec, licenses: tuple[str, ...]) -> bool:
    """Whether the values of `--accept-license` include this model or its licence. Raises UsageError for an unknown name."""
    if not licenses:
        return False
    specs = models().values()
    for name in licenses:
        if not any(names(other, [name]) for other in specs):
            all_names = {label.lower(): label for other in specs for label in (other.name, other.license.weights)}
            near = difflib.get_close_matches(name.lower(), all_names, n=1, cutoff=0.5)
            hint = f"; did you mean `{all_names[near[0]]}`?" if near else ""
            raise UsageError(f"--accept-license {name}: no model or licence has this name{hint}")
    return names(spec, licenses)


def notifier(*, quiet: bool) -> Notify:
    """A function that prints lines for the user on standard error; prints nothing where `quiet` is set."""

    def notify(line: str) -> None:
        if not quiet:
            click.echo(printable(f"liftout: {line}"), err=True)

    return notify
