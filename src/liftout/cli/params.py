"""Command-line options made from the declarations in `liftout.options`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

import click

from liftout.options import DEFAULT_MODEL, PromptOptions, about, any_of, choices, kind

if TYPE_CHECKING:
    from liftout.prompts import Asked

MODEL_HELP = (
    "Name of a model (`liftout models list` shows all), or what it is for: best, people, products, anime, hair, fast. "
    "`liftout models use` and LIFTOUT_MODEL set the default."
)

_F = TypeVar("_F", bound=Callable[..., Any])


def options_of(schema: type[Any], *, leave_out: tuple[str, ...] = ()) -> Callable[[_F], _F]:
    """A decorator that adds one option for each field of an options dataclass, except those in `leave_out`."""

    def decorate(function: _F) -> _F:
        for field in reversed(dataclasses.fields(schema)):
            if field.name not in leave_out:
                function = _option(schema, field)(function)
        return function

    return decorate


def read(schema: type[Any], values: dict[str, Any]) -> Any:
    """An options object from a command's values; its fields are removed from `values`. Raises UsageError for a bad value."""
    return schema(
        **{field.name: values.pop(field.name) for field in dataclasses.fields(schema) if field.name in values}
    )


def read_prompts(values: dict[str, Any]) -> Asked:
    """The prompts of a command's values, which are removed from `values`. Raises UsageError for a point or box of another form."""
    from liftout.prompts import Asked

    return Asked.of(**{field.name: values.pop(field.name) for field in dataclasses.fields(PromptOptions)})


class _WordOrNumber(click.ParamType[Any]):
    """One of several words, or a whole number; its limits are those of the options schema."""

    name = "word or number"

    def __init__(self, words: tuple[str, ...]) -> None:
        self._words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word, or the number."""
        if value in self._words or isinstance(value, int):
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is not {any_of(self._words, number=True)}.", param, ctx)


def _option(schema: type[Any], field: dataclasses.Field[Any]) -> Callable[[_F], _F]:
    description, value_type, allowed = about(field), kind(schema, field.name), choices(schema, field.name)
    names = [f"--{field.name.replace('_', '-')}", *([f"-{description.short}"] if description.short else [])]
    settings: dict[str, Any] = {"help": description.help, "default": field.default}
    if field.name == "model":
        from liftout.models.purposes import default_model

        settings |= {
            "help": MODEL_HELP,
            "default": functools.partial(default_model, DEFAULT_MODEL),
            "show_default": field.default,
        }
    if value_type is bool:
        return click.option(*names, is_flag=True, **settings)
    if allowed is not None and value_type is int:
        settings["type"] = _WordOrNumber(allowed)
    elif allowed is not None:
        settings["type"] = click.Choice(list(allowed))
    elif value_type is int:
        low, high = (None if limit is None else int(limit) for limit in (description.low, description.high))
        settings["type"] = click.IntRange(low, high)
    elif get_origin(value_type) is tuple:
        settings |= {"type": str, "multiple": True, "show_default": False}
    elif value_type is float:
        settings["type"] = click.FloatRange(description.low, description.high)
    else:
        settings["type"] = value_type
    if description.metavar:
        settings["metavar"] = description.metavar
    settings.setdefault("show_default", field.default is not None)
    return click.option(*names, **settings)
