"""HEIC and HEIF photos, through the extra `heif`."""

from __future__ import annotations

import io

from PIL import Image

from liftout.errors import ExtraMissing, ImageUnreadable, one_line
from liftout.remedies import InstallExtra

_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_GENERIC = {b"mif1", b"msf1"}
"""Says that the file holds pictures; which codec, the compatible brands say (AVIF has them too)."""


def is_heif(content: bytes) -> bool:
    """Whether the file says that its photo is coded with HEVC (ISO/IEC 23008-12)."""
    if content[4:8] != b"ftyp":
        return False
    length = min(int.from_bytes(content[:4], "big"), 256)
    major = content[8:12]
    compatible = {content[at : at + 4] for at in range(16, length, 4)}
    return major in _BRANDS or (major in _GENERIC and bool(compatible & _BRANDS))


def open_heif(content: bytes, name: str) -> Image.Image:
    """The primary photo as a Pillow image; only its header is read; Pillow reads the pixels when they are used.

    name: of the photo, for messages. Raises ExtraMissing, ImageUnreadable.
    """
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise ExtraMissing("HEIC photos need an extra", subject=name, remedy=InstallExtra("heif")) from None
    try:
        picture: Image.Image = HeifImageFile(io.BytesIO(content))  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001 - libheif raises nearly anything on broken files
        reason = one_line(error, 200)
        raise ImageUnreadable(f"cannot be decoded ({reason})", subject=name, remedy="open and save it again") from None
    return picture
