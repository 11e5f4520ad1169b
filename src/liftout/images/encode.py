"""Encode: pixels become the bytes of a picture file."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.errors import OutputError, UnknownFormat
from liftout.images.channels import to_8_bit
from liftout.images.metadata import written_exif
from liftout.images.png import encode_png
from liftout.remedies import UseOption

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Format:
    """How a format is written."""

    name: str
    suffix: str
    pillow: str
    mime: str
    alpha: bool
    deep: bool
    """Whether it holds 16 bits a channel."""
    dpi: bool
    """Whether it has a field of its own for the resolution; elsewhere EXIF says it."""
    quality: int | None
    """Default of `quality`, 1..100; None where the format is lossless."""


FORMATS = {
    item.name: item
    for item in (
        Format("png", ".png", "PNG", "image/png", alpha=True, deep=True, dpi=True, quality=None),
        Format("webp", ".webp", "WEBP", "image/webp", alpha=True, deep=False, dpi=False, quality=90),
        Format("avif", ".avif", "AVIF", "image/avif", alpha=True, deep=False, dpi=False, quality=80),
        Format("tiff", ".tiff", "TIFF", "image/tiff", alpha=True, deep=True, dpi=True, quality=None),
        Format("jpeg", ".jpg", "JPEG", "image/jpeg", alpha=False, deep=False, dpi=True, quality=92),
    )
}
_SUFFIXES = {".jpeg": "jpeg", ".jpg": "jpeg", ".tif": "tiff", **{item.suffix: item.name for item in FORMATS.values()}}
_JPEG_SEGMENT = 65_500
"""Bytes of EXIF or XMP that a JPEG segment holds."""


def format_of(name: str) -> Format:
    """The format with this name (`png`, `jpg`, ...) or of this file name. Raises UnknownFormat."""
    text = name.lower()
    key = _SUFFIXES.get(f".{text}") or _SUFFIXES.get(PurePath(text).suffix)
    if key is None:
        raise UnknownFormat(f"`{name}` is not a format that can be written", remedy=f"there are {', '.join(FORMATS)}")
    return FORMATS[key]


def encode(
    pixels: npt.NDArray[Any],
    kind: Format,
    *,
    quality: int | None = None,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> bytes:
    """Bytes of a picture file.

    pixels: uint8 or uint16 [H, W] grey, [H, W, 3] RGB or [H, W, 4] straight-alpha RGBA (not for JPEG); 16 bits become 8
    where the format holds no more. kind: one of `FORMATS`. quality: 1..100, the format's usual one by default. icc: profile of the
    pixels. exif, xmp: as `Photo` holds them. dpi: pixels per inch across and down.
    Raises OutputError where the format cannot hold the picture.
    """
    height, width = pixels.shape[:2]
    exif = written_exif(exif, (height, width), dpi, holds_dpi=kind.dpi)
    try:
        if kind.name == "png":
            return encode_png(pixels, icc=icc, exif=exif, xmp=xmp, dpi=dpi)
        if kind.name == "tiff":
            from liftout.images.tiff import encode_tiff  # its part of Pillow is large, and few want it

            return encode_tiff(pixels, icc=icc, exif=exif, xmp=xmp, dpi=dpi)
        return _encode_with_pillow(
            to_8_bit(pixels), kind, quality, {"icc_profile": icc, "exif": exif, "xmp": xmp, "dpi": dpi}
        )
    except (OSError, ValueError, SystemError, OverflowError) as error:
        raise OutputError(
            f"cannot hold this {width} x {height} picture ({error})",
            subject=kind.name,
            remedy=UseOption("format", "png"),
        ) from None


def _encode_with_pillow(pixels: UInt8, kind: Format, quality: int | None, metadata: dict[str, Any]) -> bytes:
    options: dict[str, Any] = {key: value for key, value in metadata.items() if value is not None}
    options["quality"] = quality or kind.quality
    if kind.name == "webp":
        options["method"] = 2
        options["exact"] = False
    elif kind.name == "avif":
        options["speed"] = 8
    elif kind.name == "jpeg":
        options["subsampling"] = 0
        options["optimize"] = True
        for key in ("exif", "xmp"):
            if len(options.get(key, b"")) > _JPEG_SEGMENT:
                del options[key]
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind.pillow, **options)
    return stream.getvalue()
