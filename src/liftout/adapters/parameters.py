"""Values out of forms, queries and JSON: text or what JSON has, checked by name.

boolean("crop", "yes")          True
whole("margin", "20", low=0)    20
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from liftout.errors import UsageError
from liftout.options import any_of
from liftout.remedies import Advice

_TRUE = {"1", "true", "yes", "on", "y", "t"}
_FALSE = {"0", "false", "no", "off", "n", "f"}
_WHOLE = re.compile(r"[+-]?[0-9]{1,12}")
_LONGEST = 60
"""Characters of a value that a message repeats."""


class ParameterError(UsageError):
    """A parameter is wrong."""

    def __init__(self, field: str, problem: str, remedy: Advice = "") -> None:
        """field: the parameter's name, as the caller wrote it. problem: follows the name. remedy: what it must be."""
        super().__init__(problem, field=field, remedy=remedy)

    def __reduce__(self) -> tuple[type[ParameterError], tuple[str, str, Advice]]:
        return ParameterError, (self.field, self.problem, self.remedy)


def boolean(name: str, value: Any) -> bool:
    """True or false. Raises ParameterError.

    name: of the parameter, for messages. value: a bool, or text such as `true`, `1`, `no`.
    """
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ParameterError(name, f"is {shown(value)}", "it must be true or false")


def whole(name: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """A whole number. Raises ParameterError.

    name: of the parameter, for messages. value: a number or text. low, high: limits, inclusive.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e12:
        value = int(value)
    if isinstance(value, bool) or not (
        isinstance(value, int) or (isinstance(value, str) and _WHOLE.fullmatch(value.strip()))
    ):
        raise ParameterError(name, f"is {shown(value)}", "it must be a whole number")
    number = int(value)
    if abs(number) >= 10**12:
        raise ParameterError(name, f"is {shown(number)}, which is too large a number")
    if (low is not None and number < low) or (high is not None and number > high):
        limits = f"from {low} to {high}" if high is not None else f"at least {low}"
        raise ParameterError(name, f"is {shown(number)}", f"it must be {limits}")
    return number


def text(name: str, value: Any) -> str:
    """Text. Raises ParameterError.

    name: of the parameter, for messages. value: text.
    """
    if not isinstance(value, str):
        raise ParameterError(name, f"is {shown(value)}", "it must be text")
    return value


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """One of several words. Raises ParameterError.

    name: of the parameter, for messages. value: text. allowed: the words.
    """
    words = list(allowed)
    if value not in words:
        raise ParameterError(name, f"is {shown(value)}", f"it must be one of {', '.join(words)}")
    return str(value)


def word_or_whole(name: str, value: Any, words: tuple[str, ...]) -> str | int:
    """One of several words, or a whole number. Raises ParameterError.

    name: of the parameter, for messages. value: text or a number. words: the words.
    """
    if isinstance(value, str) and value in words:
        return value
    try:
        return whole(name, value)
    except ParameterError:
        raise ParameterError(name, f"is {shown(value)}", f"it must be {any_of(words, number=True)}") from None


def shown(value: Any) -> str:
    """A value as a message repeats it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
