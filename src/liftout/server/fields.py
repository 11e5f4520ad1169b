"""Form fields, JSON keys and OpenAPI from the options schema: a new option appears here without a change."""

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
from liftout.options import PromptOptions, ResultOptions, RunOptions, about, choices, kind
from liftout.prompts import MOST_POINTS, Asked
from liftout.server.problems import HTTP, unprocessable

_T = TypeVar("_T", ResultOptions, RunOptions)
_P = ParamSpec("_P")
_R = TypeVar("_R")

OPERATORS = ("engine", "device", "precision", "threads", "max_pixels")
"""Options that only the operator of the server sets. A request may repeat their values, not change them."""
IMAGE = "IMAGE"
"""Marks, in an option's metavar, that it takes a picture: over HTTP an uploaded file, never a path."""

_LONGEST = 200
"""Characters of what is wrong with a point or box that an answer repeats."""
_NUMBERS = {"type": "array", "items": {"type": "number"}}
_TEXT = {"type": "string"}
_POINTS = {
    "anyOf": [
        _TEXT,
        {
            "type": "array",
            "items": {"anyOf": [_TEXT, {**_NUMBERS, "minItems": 2, "maxItems": 2}]},
            "maxItems": MOST_POINTS,
        },
    ],
    "examples": ["300,200", ["40%,25%", [300, 200]]],
}
_BOX = {
    "anyOf": [_TEXT, {**_NUMBERS, "minItems": 4, "maxItems": 4}],
    "examples": ["10,20,300,400", "5%,10%,60%,90%"],
}
_WORD = re.compile(r"[a-z]+(:[#a-z0-9.(), %-]+)*", re.IGNORECASE)


def read(schema: type[_T], values: Mapping[str, Any], base: _T) -> _T:
    """An options object from the fields of a request.

    values: fields by name (`max_pixels` or `max-pixels`): text of forms, or values of JSON. Fields of other schemas are
    ignored. base: values of options that are not given. Raises Problem 422 with the field.
    """
    names = {field.name: field for field in dataclasses.fields(schema)}
    options = base
    for name, value in values.items():
        field = names.get(name.replace("-", "_"))
        if field is None or value is None or value == "":
            continue
        parsed = _value(schema, field, name, value)
        if schema is RunOptions and field.name in OPERATORS and parsed != getattr(base, field.name):
            fixed = getattr(base, field.name)
            raise unprocessable(
                name, f"{name} is {fixed if fixed is not None else 'automatic'} on this server; leave it out"
            )
        try:
            options = dataclasses.replace(options, **{field.name: parsed})
        except UsageError as error:
            raise unprocessable(name, error.line(HTTP)) from None
    return options


def read_prompts(values: Mapping[str, Any]) -> Asked:
    """The prompts of a request: text, several of it, or points and box as JSON has them. Raises Problem 422 with the field."""
    given = {name: values[name] for name in names(PromptOptions) if values.get(name) not in (None, "", [])}
    for name, value in given.items():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, str):
                _check_text(name, part)
    try:
        return Asked.of(**given)
    except UsageError as error:
        raise unprocessable(error.field, f"{error.what(HTTP)[:_LONGEST]}; {HTTP.advice(error.remedy)}") from None


def refuse_unknown(names: Iterable[str], allowed: Iterable[str]) -> None:
    """Raise Problem 422 for the first name that is not allowed, with the closest name that is."""
    known = list(allowed)
    for name in names:
        if name.replace("-", "_") not in known:
            matches = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1)
            hint = f"did you mean {matches[0]}?" if matches else f"the fields are {', '.join(known)}"
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
    """Turn a ParameterError of the block into Problem 422 with its field."""
    try:
        yield
    except ParameterError as error:
        raise unprocessable(error.field, error.line(HTTP)) from None


def _with_problem(parse: Callable[_P, _R]) -> Callable[_P, _R]:
    """The same function, raising Problem 422 instead of ParameterError."""

    @functools.wraps(parse)
    def parse_field(*arguments: _P.args, **options: _P.kwargs) -> _R:
        with refusing():
            return parse(*arguments, **options)

    return parse_field


boolean = _with_problem(parameters.boolean)
whole = _with_problem(parameters.whole)
text = _with_problem(parameters.text)
one_of = _with_problem(parameters.one_of)
word_or_whole = _with_problem(parameters.word_or_whole)


def _value(schema: type[Any], field: dataclasses.Field[Any], name: str, value: Any) -> Any:
    allowed, type_ = choices(schema, field.name), kind(schema, field.name)
    if allowed is not None and type_ is int:
        return word_or_whole(name, value, allowed)
    if allowed is not None:
        return one_of(name, value, allowed)
    if type_ is bool:
        return boolean(name, value)
    if type_ is int:
        return whole(name, value)
    if type_ is float:
        return _number(name, value)
    content = text(name, value)
    _check_text(name, content)
    if _takes_picture(field) and not _is_colour(name, content) and not _is_keyword_of(field, content):
        raise unprocessable(
            name,
            f"{name} is {parameters.shown(content)}, which is not a colour; give a colour such as white or #1e90ff, or upload a file",
        )
    return content


def _check_text(name: str, content: str) -> None:
    if len(content) > 200 or not content.isprintable():
        raise unprocessable(name, f"{name} is {parameters.shown(content)}; it is too long or has control characters")


def _takes_picture(field: dataclasses.Field[Any]) -> bool:
    return IMAGE in about(field).metavar.split("|")


def _is_colour(name: str, content: str) -> bool:
    try:
        return parse_colour(content) is not None
    except UsageError as error:
        raise unprocessable(name, error.line(HTTP)) from None


def _is_keyword_of(field: dataclasses.Field[Any], content: str) -> bool:
    """Whether text is one of the lower-case words of the metavar, such as blur in COLOR|IMAGE|blur[:RADIUS]."""
    words = [part.partition("[")[0] for part in about(field).metavar.split("|") if part[:1].islower()]
    return bool(_WORD.fullmatch(content)) and content.partition(":")[0] in words


def _number(name: str, value: Any) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise unprocessable(name, f"{name} is {parameters.shown(value)}; it must be a number")
    return number


def _property(schema: type[Any], field: dataclasses.Field[Any]) -> dict[str, Any]:
    option, type_, allowed = about(field), kind(schema, field.name), choices(schema, field.name)
    document: dict[str, Any] = {"description": option.help}
    if schema is PromptOptions:
        return document | (_POINTS if field.default == () else _BOX)
    if allowed is not None and type_ is int:
        number = {"type": "integer", "minimum": option.low, "maximum": option.high}
        number = {key: value for key, value in number.items() if value is not None}
        return {**document, "anyOf": [{"type": "string", "enum": list(allowed)}, number], "default": field.default}
    if allowed is not None:
        document |= {"type": "string", "enum": list(allowed)}
    else:
        document["type"] = {bool: "boolean", int: "integer", float: "number"}.get(type_, "string")
    if option.low is not None:
        document["minimum"] = option.low
    if option.high is not None:
        document["maximum"] = option.high
    if field.default is not None and field.default is not dataclasses.MISSING:
        document["default"] = field.default
    return document
