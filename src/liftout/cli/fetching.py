"""For commands that may download a model: the licence option, and getting the model before the work begins."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable
from typing import Any, TypeVar

import click

from liftout.cli.progress import shown
from liftout.cli.terminal import printable
from liftout.engines.choice import computes
from liftout.errors import UsageError
from liftout.loading import converter
from liftout.models.catalog import all_models, find
from liftout.models.licence import names
from liftout.models.local import ResolvedModel
from liftout.models.purposes import choose, is_purpose
from liftout.models.resolve import resolve
from liftout.models.spec import ModelSpec
from liftout.options import RunOptions
from liftout.progress import Notify

_F = TypeVar("_F", bound=Callable[..., Any])


def accept_license_option(function: _F) -> _F:
    """Add `--accept-license NAME`, which may be given several times; the command gets `accept_license`."""
    return click.option(
        "--accept-license",
        multiple=True,
        metavar="NAME",
        help="Accept the restricted licence of this model, or the licence of this name; remembered.",
    )(function)


def have(name: str, *, accept_license: tuple[str, ...], quiet: bool, precision: str = "auto") -> ResolvedModel:
    """The model, downloaded and converted if need be, with progress on standard error; or the pack in the folder that `name`
    is a path to. Raises what `resolve` raises."""
    with shown(quiet=quiet) as progress:
        return resolve(
            name,
            precision,
            computes,
            accept_license=accepted(accept_license),
            load_converter=converter(),
            progress=progress,
            notify=notifier(quiet=quiet),
        )


def settled(run: RunOptions, *, accept_license: tuple[str, ...], quiet: bool) -> RunOptions:
    """`run` with its model on this machine, as `have` gets it; a purpose is replaced by the model that it means now."""
    resolved = have(run.model, accept_license=accept_license, quiet=quiet, precision=run.precision)
    return dataclasses.replace(run, model=resolved.spec.name) if is_purpose(run.model) else run


def specs_of(names: tuple[str, ...], *, accept_license: tuple[str, ...], quiet: bool) -> list[ModelSpec]:
    """The models that names mean, of a purpose the one that it means now. Raises UnknownModel."""
    notify, specs = notifier(quiet=quiet), []
    for name in names:
        if is_purpose(name):
            choice = choose(name, accept_license=accepted(accept_license), can_convert=converter() is not None)
            notify(choice.explanation)
            specs.append(choice.spec)
        else:
            specs.append(find(name))
    return list({spec.name: spec for spec in specs}.values())


def accepted(model_names: tuple[str, ...]) -> tuple[str, ...]:
    """The values of `--accept-license`. Raises UsageError for a name that neither a model nor a licence has."""
    if not model_names:
        return model_names
    known = all_models().values()
    for name in model_names:
        if not any(names(spec, [name]) for spec in known):
            all_names = {label.lower(): label for spec in known for label in (spec.name, spec.license.weights)}
            near = difflib.get_close_matches(name.lower(), all_names, n=1, cutoff=0.5)
            raise UsageError(
                f"{name}: no model or licence has this name",
                field="accept_license",
                remedy=f"did you mean `{all_names[near[0]]}`?" if near else "",
            )
    return model_names


def notifier(*, quiet: bool) -> Notify:
    """A function that prints lines for the user on standard error; prints nothing where `quiet` is set."""

    def notify(line: str) -> None:
        if not quiet:
            click.echo(printable(f"liftout: {line}"), err=True)

    return notify
