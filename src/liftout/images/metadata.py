"""What a photo says about itself: EXIF, XMP, resolution. Read once, changed where the picture changes, and written again.

The pixels of a `Photo` are upright, so its EXIF and XMP must not turn them again; a thumbnail would still show the
background; a TIFF's EXIF lies among the tags that describe its pixels and is taken out of them.
"""

from __future__ import annotations

import math
import re
from typing import Any

from PIL import ExifTags, Image

_ORIENTATION = ExifTags.Base.Orientation
_WIDTH, _HEIGHT = ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight
_INCH, _CENTIMETRE = 2, 3
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8]")
_XMP_LOCATION = re.compile(
    rb"\s+exif:GPS\w+\s*=\s*(?:\"[^\"]*\"|'[^']*')|<exif:GPS(\w+)\b[^>]*?(?:/>|>.*?</exif:GPS\1>)", re.DOTALL
)
_TIFF_TEXT = (270, 271, 272, 305, 306, 315, 316, 33432, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F)
"""Tags of a TIFF that describe the photo and not its file: description, make, model, software, date, artist, host,
copyright, and Windows' title, comment, author, keywords and subject."""


def read_orientation(image: Image.Image) -> int:
    """EXIF orientation, 1..8; 1 where there is none or it is broken."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - a broken EXIF block is no reason to refuse a photo
        return 1
    return int(orientation) if orientation in range(1, 9) else 1


def read_exif(image: Image.Image) -> bytes | None:
    """EXIF of a loaded image without orientation and thumbnail; None where there is none or it is broken."""
    try:
        exif = image.getexif()
        if image.format == "TIFF":
            exif = _described(exif)
        tags = Image.Exif()
        tags.load(exif.tobytes())
        tags.pop(_ORIENTATION, None)
        return tags.tobytes() if len(tags) else None
    except Exception:  # noqa: BLE001 - see above
        return None


def read_xmp(image: Image.Image) -> bytes | None:
    """The XMP packet, with its orientation set to upright."""
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    packet = xmp.encode() if isinstance(xmp, str) else xmp
    return _XMP_ORIENTATION.sub(rb"\g<1>1", packet) if isinstance(packet, bytes) and packet else None


def read_dpi(image: Image.Image) -> tuple[float, float] | None:
    """Pixels per inch across and down, from the format's own field or from EXIF."""
    try:
        dpi = image.info.get("dpi")
        if dpi is None:
            exif = image.getexif()
            across, down = exif.get(ExifTags.Base.XResolution), exif.get(ExifTags.Base.YResolution)
            unit = exif.get(ExifTags.Base.ResolutionUnit, _INCH)
            if across is None or down is None or unit not in (_INCH, _CENTIMETRE) or image.format in ("JPEG", "PNG"):
                return None
            scale = 2.54 if unit == _CENTIMETRE else 1
            dpi = (float(across) * scale, float(down) * scale)
        across, down = float(dpi[0]), float(dpi[1])
    except Exception:  # noqa: BLE001 - see above
        return None
    usable = all(math.isfinite(value) and value > 0 for value in (across, down))
    return (across, down) if usable else None


def written_exif(
    exif: bytes | None, size: tuple[int, int], dpi: tuple[float, float] | None, *, holds_dpi: bool
) -> bytes | None:
    """EXIF for a picture of `size` [height, width], as `Exif\\0\\0` and a TIFF block.

    holds_dpi: whether the format has a field of its own for the resolution; if not, EXIF says it.
    """
    if exif is None and (dpi is None or holds_dpi):
        return None
    try:
        tags = Image.Exif()
        if exif:
            tags.load(exif)
            camera = tags.get_ifd(ExifTags.IFD.Exif)
            for tag, length in ((_WIDTH, size[1]), (_HEIGHT, size[0])):
                if tag in camera:
                    camera[tag] = length
        if dpi is not None:
            tags[ExifTags.Base.XResolution], tags[ExifTags.Base.YResolution] = dpi
            tags[ExifTags.Base.ResolutionUnit] = _INCH
        return tags.tobytes()
    except Exception:  # noqa: BLE001 - what `read_exif` could write, but a newer value broke: keep it as it was
        return exif


def without_location(exif: bytes | None, xmp: bytes | None) -> tuple[bytes | None, bytes | None]:
    """EXIF and XMP that do not say where the photo was taken. What cannot be read is left out whole.

    exif: as `read_exif` gives it. xmp: a packet.
    """
    if exif is not None:
        tags = Image.Exif()
        try:
            tags.load(exif)
            tags.pop(ExifTags.IFD.GPSInfo, None)
            exif = tags.tobytes() if len(tags) else None
        except Exception:  # noqa: BLE001 - see above
            exif = None
    return exif, None if xmp is None else _XMP_LOCATION.sub(b"", xmp)


def exif_tags(exif: bytes) -> dict[int, Any]:
    """The tags of the first directory; those that are directories themselves (camera, GPS) as dicts."""
    directories = Image.Exif()
    directories.load(exif)
    tags: dict[int, Any] = dict(directories)
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if directory in tags:
            tags[int(directory)] = dict(directories.get_ifd(directory))
    return tags


def _described(exif: Image.Exif) -> Image.Exif:
    text = Image.Exif()
    for tag in _TIFF_TEXT:
        if tag in exif:
            text[tag] = exif[tag]
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        entries = exif.get_ifd(directory)
        if entries:
            text[directory] = dict(entries)
    return text
