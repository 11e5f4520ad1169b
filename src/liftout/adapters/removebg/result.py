"""From a cutout to the file that the parameters of remove.bg ask for."""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass

from liftout.adapters.removebg.errors import ApiError
from liftout.adapters.removebg.parameters import LARGEST_MARGIN, SHADOWS, SIZES, Parameters
from liftout.compose.blend import over_white
from liftout.compose.geometry import Box, inside, size_within
from liftout.compose.holes import opaque_inside
from liftout.cutout import Cutout
from liftout.images import FORMATS, ImageInput, encode

_CENTER = (0.5, 0.5)


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished file and its properties."""

    content: bytes
    mime: str
    size: tuple[int, int]
    """[height, width] in pixels."""
    largest: tuple[int, int]
    """[height, width] of the largest result that this photo could have."""
    box: Box | None
    """Of the subject in the result."""


def result(cutout: Cutout, parameters: Parameters, background: ImageInput | None = None) -> Result:
    """The file that the parameters ask for. background: a picture behind the subject.

    Raises ApiError: roi_exceeds_bounds, roi_region_empty, or unknown_foreground if there is no subject in the region.
    """
    largest = size_within(cutout.size, SIZES["50MP"])
    cutout = _within_region(cutout, parameters)
    if cutout.box is None:
        raise ApiError("unknown_foreground", "no subject was found in the photo")
    if not parameters.semitransparency:
        cutout = cutout.with_alpha(opaque_inside(cutout.alpha))
    height, width = size_within(cutout.size, SIZES[parameters.size])
    cutout = cutout.resize(width, height)
    if parameters.crop:
        cutout = _cropped(cutout, parameters)
    if parameters.scale is not None or parameters.position is not None:
        cutout = _on_canvas(cutout, parameters)
    content, mime = _encoded(cutout, parameters, background)
    return Result(content=content, mime=mime, size=cutout.size, largest=largest, box=cutout.box)


def _within_region(cutout: Cutout, parameters: Parameters) -> Cutout:
    """The cutout with nothing outside the region of interest."""
    height, width = cutout.size
    left, top, right, bottom = (
        round(length.of(whole)) for length, whole in zip(parameters.roi, (width, height, width, height), strict=True)
    )
    left, right = sorted((left, right))
    top, bottom = sorted((top, bottom))
    if left < 0 or top < 0 or right > width or bottom > height:
        raise ApiError("roi_exceeds_bounds", f"roi exceeds the photo, which has {width}x{height} pixels", field="roi")
    if left == right or top == bottom:
        raise ApiError("roi_region_empty", "roi defines an empty region", field="roi")
    if (left, top, right, bottom) == (0, 0, width, height):
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


def _on_canvas(cutout: Cutout, parameters: Parameters) -> Cutout:
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
    if parameters.add_shadow and parameters.shadow_type in SHADOWS:
        cutout = cutout.shadow(opacity=parameters.shadow_opacity / 100)
    colour = parameters.bg_color
    transparent = background is None and (colour is None or colour[3] < 255) and cutout.alpha.min() < 255
    auto_format = "png" if transparent else "jpeg"
    kind = FORMATS[{"jpg": "jpeg", "auto": auto_format}.get(parameters.format, parameters.format)]
    if background is not None:
        return cutout.to_bytes(kind.name, background=background), kind.mime
    behind = colour if kind.alpha or colour is None else over_white(colour)
    return cutout.to_bytes(kind.name, background=behind), kind.mime


def _zipped(cutout: Cutout) -> bytes:
    """color.jpg and alpha.png, as remove.bg packs them."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("color.jpg", encode(cutout.photo.pixels, FORMATS["jpeg"], icc=cutout.photo.icc))
        archive.writestr("alpha.png", encode(cutout.alpha, FORMATS["png"]))
    return stream.getvalue()
