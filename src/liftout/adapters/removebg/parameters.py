"""The parameters of remove.bg's API 1.0, parsed and checked.

Source: the parameters as remove.bg's OpenAPI document (https://www.remove.bg/api/swagger.yaml, version 1.0.0) and client packages
(remove.bg 1.3.0 on npm, remove_bg 2.0 on rubygems) describe them.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ImageColor

from liftout.adapters.parameters import ParameterError, boolean, one_of, shown, text

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
_COARSE_TYPES = ("person", "product", "animal", "car")
_CLASSES = {"graphic": "graphics"}
"""Types whose class has another name."""
TYPE_LEVELS = ("none", "1", "2", "latest")
SHADOW_TYPES = ("auto", "none", "drop", "car", "3D")
SHADOWS = ("auto", "drop")
"""Shadow types that are drawn, as a drop shadow. With the others the subject is returned without one, as the original does
for subjects whose shadow it cannot draw."""
ACCEPTED = ("shadow_method",)
"""Parameters of remove.bg that are accepted without effect."""

_LENGTH = re.compile(r"(-?\d{1,6}(?:\.\d{1,6})?)(px|%)?")
_PERCENTAGE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%?")
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
    type_level: str = "1"
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
    shadow_type: str = "auto"
    shadow_opacity: float = 50
    """Per cent."""
    semitransparency: bool = True
    """False makes semi-transparent regions inside the subject opaque, such as windows."""
    bg_color: tuple[int, int, int, int] | None = None


def parse(values: Mapping[str, Any]) -> Parameters:
    """Parameters from text of forms, or values of JSON. Empty values and other names are ignored.

    Raises ParameterError with the name of the parameter.
    """
    values = {name: value for name, value in values.items() if value is not None and value != ""}
    parsed: dict[str, Any] = {}
    choices = {"size": SIZES, "type": TYPES, "format": FORMAT_NAMES, "channels": CHANNELS, "type_level": TYPE_LEVELS}
    for name, allowed in choices.items():
        if name in values:
            value = values[name]
            parsed[name] = one_of(name, str(value) if isinstance(value, int) else value, allowed)
    if "shadow_type" in values:
        lower_case = {shadow.lower(): shadow for shadow in SHADOW_TYPES}
        shadow = lower_case.get(str(values["shadow_type"]).lower(), values["shadow_type"])
        parsed["shadow_type"] = one_of("shadow_type", shadow, SHADOW_TYPES)
    if "shadow_opacity" in values:
        parsed["shadow_opacity"] = _percentage("shadow_opacity", values["shadow_opacity"])
    for name in ("crop", "add_shadow", "semitransparency"):
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


def detected_type(parameter: str, level: str) -> str | None:
    """The value of X-Type; None with level `none`, for which the API sends no header.

    Nothing is classified here: the type is the one that the caller gave, in the words of the classification level, else `other`.

    parameter: the parameter `type`. level: the parameter `type_level`: level 1 knows person, product, animal, car and other.
    """
    if level == "none":
        return None
    if parameter == "auto" or (level == "1" and parameter not in _COARSE_TYPES):
        return "other"
    return _CLASSES.get(parameter, parameter)


def _scale(value: str) -> float | None:
    if value == "original":
        return None
    (length,) = _lengths("scale", value, (1,))
    if not length.relative or not 10 <= length.value <= 100:
        raise ParameterError("scale", f"is {value[:40]!r}", "it must be original, or from 10% to 100%")
    return length.value / 100


def _position(value: str) -> tuple[float, float] | None:
    if value in ("original", "center"):
        return _CENTER if value == "center" else None
    shares = _lengths("position", value, (1, 2))
    if not all(share.relative and 0 <= share.value <= 100 for share in shares):
        raise ParameterError("position", f"is {value[:40]!r}", "it must be original, center, or from 0% to 100%")
    return shares[0].value / 100, shares[-1].value / 100


def _percentage(name: str, value: Any) -> float:
    match = _PERCENTAGE.fullmatch(str(value).strip())
    if match is None or float(match[1]) > 100:
        raise ParameterError(name, f"is {shown(value)}", "it must be from 0 to 100")
    return float(match[1])


def _lengths(name: str, value: Any, counts: tuple[int, ...]) -> tuple[Length, ...]:
    words = str(value).split()
    matches = [_LENGTH.fullmatch(word) for word in words]
    if len(words) not in counts or not all(matches):
        expected_counts = " or ".join(map(str, counts))
        raise ParameterError(
            name, f"is {str(value)[:40]!r}", f"it must be {expected_counts} lengths such as 10px or 10%"
        )
    return tuple(Length(float(match[1]), match[2] == "%") for match in matches if match)


def _colour(value: Any) -> tuple[int, int, int, int]:
    colour = text("bg_color", value).strip()
    for candidate in (f"#{colour}", colour):
        with contextlib.suppress(ValueError):
            levels = ImageColor.getrgb(candidate)
            return levels[0], levels[1], levels[2], levels[3] if len(levels) == 4 else 255
    raise ParameterError("bg_color", f"is {colour[:40]!r}", "it must be a colour such as 81d4fa, fff or green")
