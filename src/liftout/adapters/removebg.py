"""remove.bg's API 1.0: its parameters, and what they mean here.

`size` limits the result, `preview` (0.25 megapixels) where none is given; `type` changes nothing.

Source: the parameters as client packages for remove.bg describe them (remove.bg 1.3.0 on npm, remove_bg 2.0 on rubygems).
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ImageColor

from liftout.adapters.parameters import ParameterError, boolean, one_of, text
from liftout.compose.geometry import Box, inside, size_within
from liftout.cutout import Cutout
from liftout.images import FORMATS, ImageInput, encode

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
"""Largest result in pixels."""
TYPES = ("auto", "person", "product", "car", "animal", "graphic", "transportation", "other")
FORMAT_NAMES = ("auto", "png", "jpg", "webp", "zip")
CHANNELS = ("rgba", "alpha")
LARGEST_MARGIN = 500
"""Pixels that crop_margin may add to a side; relative margins end at half the subject."""
ACCEPTED = ("type_level", "semitransparency", "shadow_type", "shadow_opacity")
"""Parameters of remove.bg that are taken and change nothing here."""

_LENGTH = re.compile(r"(-?\d{1,6}(?:\.\d{1,6})?)(px|%)?")
_CENTER = (0.5, 0.5)


@dataclass(frozen=True)
class Length:
    """A number of pixels, or a share in per cent."""

    value: float
    relative: bool

    def of(self, whole: float) -> float:
        """In pixels, where `whole` is what a share is of."""
        return self.value / 100 * whole if self.relative else self.value


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """remove.bg's parameters, checked."""

    size: str = "preview"
    type: str = "auto"
    format: str = "auto"
    roi: tuple[Length, ...] = (Length(0, True), Length(0, True), Length(100, True), Length(100, True))
    """Left, top, right, bottom of the region that may hold the subject."""
    crop: bool = False
    crop_margin: tuple[Length, Length, Length, Length] = (Length(0, False),) * 4
    """Top, right, bottom, left."""
    scale: float | None = None
    """Share of the canvas that the subject fills; None leaves it as it is."""
    position: tuple[float, float] | None = None
    """Shares of the free space left of and above the subject; None leaves it where it is."""
    channels: str = "rgba"
    add_shadow: bool = False
    bg_color: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished file."""

    content: bytes
    mime: str
    size: tuple[int, int]
    """[height, width] in pixels."""
    largest: tuple[int, int]
    """[height, width] of the largest result that this photo could have."""
    box: Box | None
    """Of the subject in the result."""


def result(cutout: Cutout, parameters: Parameters, background: ImageInput | None = None) -> Result:
    """A cutout as the parameters ask for it. background: a picture behind the subject."""
    largest = size_within(cutout.size, SIZES["50MP"])
    cutout = _within_region(cutout, parameters)
    height, width = size_within(cutout.size, SIZES[parameters.size])
    cutout = cutout.resize(width, height)
    if parameters.crop:
        cutout = _cropped(cutout, parameters)
    if parameters.scale is not None or parameters.position is not None:
        cutout = _placed(cutout, parameters)
    content, mime = _encoded(cutout, parameters, background)
    return Result(content=content, mime=mime, size=cutout.size, largest=largest, box=cutout.box)


def _within_region(cutout: Cutout, parameters: Parameters) -> Cutout:
    """Nothing outside the region of interest is subject."""
    height, width = cutout.size
    left, top, right, bottom = (
        round(length.of(whole)) for length, whole in zip(parameters.roi, (width, height, width, height), strict=True)
    )
    left, right = sorted((left, right))
    top, bottom = sorted((top, bottom))
    if (left, top) == (0, 0) and right >= width and bottom >= height:
        return cutout
    return cutout.with_alpha(inside(cutout.alpha, (left, top, right, bottom)))


def _cropped(cutout: Cutout, parameters: Parameters) -> Cutout:
    """The subject with its margins; where they reach beyond the photo, they are transparent."""
    if cutout.box is None:
        return cutout
    left, top, right, bottom = cutout.box
    width, height = right - left, bottom - top
    above, beside, below, before = (
        min(
            round(max(0.0, length.of(whole))),
            LARGEST_MARGIN,
            math.ceil(whole / 2) if length.relative else LARGEST_MARGIN,
        )
        for length, whole in zip(parameters.crop_margin, (height, width, height, width), strict=True)
    )
    return cutout.window(left - before, top - above, right + beside, bottom + below)


def _placed(cutout: Cutout, parameters: Parameters) -> Cutout:
    """The subject scaled to a share of the canvas and moved to a position on it."""
    if cutout.box is None:
        return cutout
    height, width = cutout.size
    scale, position = parameters.scale, parameters.position or _CENTER
    return cutout.canvas(width, height, position=position, enlarge=scale is not None, fill=scale or 1.0)


def _encoded(cutout: Cutout, parameters: Parameters, background: ImageInput | None) -> tuple[bytes, str]:
    """The file, and its media type."""
    if parameters.format == "zip":
        return _zipped(cutout), "application/zip"
    if parameters.channels == "alpha":
        kind = FORMATS[{"jpg": "jpeg", "webp": "webp"}.get(parameters.format, "png")]
        return encode(cutout.alpha, kind), kind.mime
    if parameters.add_shadow:
        cutout = cutout.shadow()
    colour = parameters.bg_color
    see_through = background is None and (colour is None or colour[3] < 255) and cutout.alpha.min() < 255
    automatic = "png" if see_through else "jpeg"
    kind = FORMATS[{"jpg": "jpeg", "auto": automatic}.get(parameters.format, parameters.format)]
    if background is not None:
        return cutout.to_bytes(kind.name, background=background), kind.mime
    behind = colour if kind.alpha or colour is None else _over_white(colour)
    return cutout.to_bytes(kind.name, background=behind), kind.mime


def _over_white(colour: tuple[int, int, int, int]) -> tuple[int, int, int]:
    red, green, blue = (round(255 + (level - 255) * colour[3] / 255) for level in colour[:3])
    return red, green, blue


def _zipped(cutout: Cutout) -> bytes:
    """color.jpg and alpha.png, as remove.bg packs them."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("color.jpg", encode(cutout.photo.pixels, FORMATS["jpeg"], icc=cutout.photo.icc))
        archive.writestr("alpha.png", encode(cutout.alpha, FORMATS["png"]))
    return stream.getvalue()


def parse(given: Mapping[str, Any]) -> Parameters:
    """Parameters from text of forms, or values of JSON; empty ones and those of other names do not count.

    Raises ParameterError that names the parameter.
    """
    values = {name: value for name, value in given.items() if value is not None and value != ""}
    parsed: dict[str, Any] = {}
    words = {"size": SIZES, "type": TYPES, "format": FORMAT_NAMES, "channels": CHANNELS}
    for name, allowed in words.items():
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
        raise ParameterError("scale", f"is {value[:40]!r}", "it must be original, or from 10% to 100%")
    return length.value / 100


def _position(value: str) -> tuple[float, float] | None:
    if value in ("original", "center"):
        return _CENTER if value == "center" else None
    shares = _lengths("position", value, (1, 2))
    if not all(share.relative and 0 <= share.value <= 100 for share in shares):
        raise ParameterError("position", f"is {value[:40]!r}", "it must be original, center, or from 0% to 100%")
    return shares[0].value / 100, shares[-1].value / 100


def _lengths(name: str, value: Any, counts: tuple[int, ...]) -> tuple[Length, ...]:
    words = str(value).split()
    matches = [_LENGTH.fullmatch(word) for word in words]
    if len(words) not in counts or not all(matches):
        wanted = " or ".join(map(str, counts))
        raise ParameterError(name, f"is {str(value)[:40]!r}", f"it must be {wanted} lengths such as 10px or 10%")
    return tuple(Length(float(match[1]), match[2] == "%") for match in matches if match)


def _colour(value: Any) -> tuple[int, int, int, int]:
    colour = text("bg_color", value).strip()
    for candidate in (f"#{colour}", colour):
        with contextlib.suppress(ValueError):
            levels = ImageColor.getrgb(candidate)
            return levels[0], levels[1], levels[2], levels[3] if len(levels) == 4 else 255
    raise ParameterError("bg_color", f"is {colour[:40]!r}", "it must be a colour such as 81d4fa, fff or green")
