"""The parameters of remove.bg's API 1.0, parsed and checked.

Source: the parameters as client packages for remove.bg describe them (remove.bg 1.3.0 on npm, remove_bg 2.0 on rubygems).
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ImageColor

from liftout.adapters.parameters import ParameterError, boolean, one_of, text

SIZES = {
    "preview": 0.25e6,
    "small": 0.25e6,
    "regular": 0.25e6,
    "medium": 1.5e6,
    "hd": 4e6,
    "full": 25e6,
    "4k": 25e6,
    "50MP": 50e6,
    "auto": math.inf,
}
"""Most pixels of a result."""
TYPES = ("auto", "person", "product", "car", "animal", "graphic", "transportation", "other")
FORMAT_NAMES = ("auto", "png", "jpg", "webp", "zip")
CHANNELS = ("rgba", "alpha")
LARGEST_MARGIN = 500
"""Pixels that crop_margin may add to a side; relative margins end at half the subject."""
ACCEPTED = ("type_level", "semitransparency", "shadow_type", "shadow_opacity")
"""Parameters of remove.bg that are accepted without effect."""

_LENGTH = re.compile(r"(-?\d{1,6}(?:\.\d{1,6})?)(px|%)?")
_CENTER = (0.5, 0.5)


@dataclass(frozen=True)
class Length:
    """A number of pixels, or a percentage."""

    value: float
    relative: bool

    def of(self, whole: float) -> float:
        """The length in pixels. whole: the length in pixels that a percentage refers to."""
        return self.value / 100 * whole if self.relative else self.value


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Parameters of a request."""

    size: str = "preview"
    type: str = "auto"
    format: str = "auto"
    roi: tuple[Length, ...] = (Length(0, True), Length(0, True), Length(100, True), Length(100, True))
    """Left, top, right and bottom of the region that may contain the subject."""
    crop: bool = False
    crop_margin: tuple[Length, Length, Length, Length] = (Length(0, False),) * 4
    """Top, right, bottom, left."""
    scale: float | None = None
    """Share of the canvas that the subject fills, 0.1..1; None keeps its size."""
    position: tuple[float, float] | None = None
    """Shares of the free space left of and above the subject, 0..1; None keeps its position."""
    channels: str = "rgba"
    add_shadow: bool = False
    bg_color: tuple[int, int, int, int] | None = None


def parse(values: Mapping[str, Any]) -> Parameters:
    """Parameters from text of forms, or values of JSON. Empty values and other names are ignored.

    Raises ParameterError with the name of the parameter.
    """
    values = {name: value for name, value in values.items() if value is not None and value != ""}
    parsed: dict[str, Any] = {}
    choices = {"size": SIZES, "type": TYPES, "format": FORMAT_NAMES, "channels": CHANNELS}
    for name, allowed in choices.items():
        if name in values:
            parsed[name] = one_of(name, values[name], allowed)
    for name in ("crop", "add_shadow"):
        if name in values:
            parsed[name] = boolean(name, values[name])
    if "crop_margin" in values:
        lengths = _lengths("crop_margin", values["crop_margin"], (1, 2, 4))
        parsed["crop_margin"] = lengths if len(lengths) == 4 else (lengths[0], lengths[-1]) * 2
    if "roi" in values:
        parsed["roi"] = _lengths("roi", values["roi"], (4,))
    if "bg_color" in values:
        parsed["bg_color"] = _colour(values["bg_color"])
    scale = _scale(str(values.get("scale", "original")))
    position = _position(str(values.get("position", "original")))
    return Parameters(**parsed, scale=scale, position=_CENTER if scale is not None and position is None else position)


def _scale(value: str) -> float | None:
    if value == "original":
        return None
    (length,) = _lengths("scale", value, (1,))
    if not length.relative or not 10 <= length.value <= 100:
        raise ParameterError("scale", f"scale is {value[:40]!r}; it must be original, or from 10% to 100%")
    return length.value / 100


def _position(value: str) -> tuple[float, float] | None:
    if value in ("original", "center"):
        return _CENTER if value == "center" else None
    shares = _lengths("position", value, (1, 2))
    if not all(share.relative and 0 <= share.value <= 100 for share in shares):
        raise ParameterError("position", f"position is {value[:40]!r}; it must be original, center, or from 0% to 100%")
    return shares[0].value / 100, shares[-1].value / 100


def _lengths(name: str, value: Any, counts: tuple[int, ...]) -> tuple[Length, ...]:
    words = str(value).split()
    matches = [_LENGTH.fullmatch(word) for word in words]
    if len(words) not in counts or not all(matches):
        expected_counts = " or ".join(map(str, counts))
        raise ParameterError(
            name, f"{name} is {str(value)[:40]!r}; it must be {expected_counts} lengths such as 10px or 10%"
        )
    return tuple(Length(float(match[1]), match[2] == "%") for match in matches if match)


def _colour(value: Any) -> tuple[int, int, int, int]:
    colour = text("bg_color", value).strip()
    for candidate in (f"#{colour}", colour):
        with contextlib.suppress(ValueError):
            levels = ImageColor.getrgb(candidate)
            return levels[0], levels[1], levels[2], levels[3] if len(levels) == 4 else 255
    raise ParameterError("bg_color", f"bg_color is {colour[:40]!r}; it must be a colour such as 81d4fa, fff or green")
