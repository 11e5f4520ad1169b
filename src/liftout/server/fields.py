"""Form fields, JSON keys and OpenAPI from the options schema: an option that is added there appears here by itself."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from liftout.adapters import parameters
from liftout.adapters.parameters import ParameterError
from liftout.compose.background import parse_colour
from liftout.errors import UsageError
from liftout.options import ResultOptions, RunOptions, about, choices, kind
from liftout.server.problems import unprocessable

_T = TypeVar("_T", ResultOptions, RunOptions)
_P = ParamSpec("_P")
_R = TypeVar("_R")

OPERATORS = ("engine", "device", "precision", "threads", "max_pixels")
"""Options of a run that belong to whoever runs the server. A caller may repeat them, not change them."""
IMAGE = "IMAGE"
"""In an option's metavar: it takes a picture. Over HTTP that is an uploaded file, never a path."""

_WORD = re.compile(r"[a-z]+(:[0-9.]+)?", re.IGNORECASE)


def read(schema: type[_T], given: Mapping[str, Any], base: _T) -> _T:
    """An options object out of the fields of a request.

    given: fields by name (`max_pixels` or `max-pixels`); text of forms, or values of JSON. Those of other schemas are left
    alone. base: what holds where nothing is given. Raises Problem 422 naming the field.
    """
    names = {field.name: field for field in dataclasses.fields(schema)}
    options = base
    for name, value in given.items():
        field = names.get(name.replace("-", "_"))
        if field is None or value is None or value == "":
            continue
        wanted = _value(schema, field, name, value)
        if schema is RunOptions and field.name in OPERATORS and wanted != getattr(base, field.name):
            held = getattr(base, field.name)
            raise unprocessable(
                name, f"{name} is {held if held is not None else 'automatic'} on this server; leave it out"
            )
        try:
            options = dataclasses.replace(options, **{field.name: wanted})
        except UsageError as error:
            raise unprocessable(name, str(error)) from None
    return options


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise Problem 422 for the first field that nobody reads, with the nearest right spelling."""
    names = list(known)
    for name in given:
        if name.replace("-", "_") not in names:
            near = difflib.get_close_matches(name.lower().replace("-", "_"), names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise unprocessable(name[:80], f"no field is called {name[:80]!r}; {hint}")


def names(*schemas: type[Any]) -> list[str]:
    """Names of all fields of options schemas."""
    return [field.name for schema in schemas for field in dataclasses.fields(schema)]


def pictures() -> list[str]:
    """Options that take an uploaded picture."""
    return [field.name for field in dataclasses.fields(ResultOptions) if _takes_picture(field)]


def properties(*schemas: type[Any], leave_out: Iterable[str] = ()) -> dict[str, Any]:
    """JSON Schema of the fields, for OpenAPI."""
    return {
        field.name: _property(schema, field)
        for schema in schemas
        for field in dataclasses.fields(schema)
        if field.name not in leave_out
    }


@contextmanager
def refusing() -> Iterator[None]:
    """A parameter that is wrong becomes Problem 422 that names it."""
    try:
        yield
    except ParameterError as error:
        raise unprocessable(error.field, str(error)) from None


def _answered(parse: Callable[_P, _R]) -> Callable[_P, _R]:
    """The same function, which raises Problem 422."""

    @functools.wraps(parse)
    def answered(*given: _P.args, **options: _P.kwargs) -> _R:
        with refusing():
            return parse(*given, **options)

    return answered


boolean = _answered(parameters.boolean)
whole = _answered(parameters.whole)
text = _answered(parameters.text)
one_of = _answered(parameters.one_of)


def _value(schema: type[Any], field: dataclasses.Field[Any], name: str, value: Any) -> Any:
    allowed, wanted = choices(schema, field.name), kind(schema, field.name)
    if allowed is not None:
        return one_of(name, value, allowed)
    if wanted is bool:
        return boolean(name, value)
    if wanted is int:
        return whole(name, value)
    if wanted is float:
        return _number(name, value)
    given = text(name, value)
    if len(given) > 200 or not given.isprintable():
        raise unprocessable(name, f"{name} is {parameters.shown(given)}; it is too long or holds control characters")
    if _takes_picture(field) and not _is_colour(name, given) and not _is_word_of(field, given):
        raise unprocessable(
            name,
            f"{name} is {parameters.shown(given)}, which is no colour; give a colour such as white or #1e90ff, or upload a file",
        )
    return given


def _takes_picture(field: dataclasses.Field[Any]) -> bool:
    return IMAGE in about(field).metavar.split("|")


def _is_colour(name: str, given: str) -> bool:
    try:
        return parse_colour(given) is not None
    except UsageError as error:
        raise unprocessable(name, str(error)) from None


def _is_word_of(field: dataclasses.Field[Any], given: str) -> bool:
    """Whether text is one of the lower-case words of the metavar, such as blur in COLOR|IMAGE|blur[:RADIUS]."""
    words = [part.partition("[")[0] for part in about(field).metavar.split("|") if part[:1].islower()]
    return bool(_WORD.fullmatch(given)) and given.partition(":")[0] in words


def _number(name: str, value: Any) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise unprocessable(name, f"{name} is {parameters.shown(value)}; it must be a number")
    return number


def _property(schema: type[Any], field: dataclasses.Field[Any]) -> dict[str, Any]:
    described, wanted, allowed = about(field), kind(schema, field.name), choices(schema, field.name)
    made: dict[str, Any] = {"description": described.help}
    if allowed is not None:
        made |= {"type": "string", "enum": list(allowed)}
    else:
        made["type"] = {bool: "boolean", int: "integer", float: "number"}.get(wanted, "string")
    if described.low is not None:
        made["minimum"] = described.low
    if described.high is not None:
        made["maximum"] = described.high
    if field.default is not None and field.default is not dataclasses.MISSING:
        made["default"] = field.default
    return made
