"""TIFF files (revision 6.0, with Adobe's deflate and predictor), with 8 or 16 bits a channel.

Written here because Pillow has no 16-bit colours; the directories, EXIF and GPS among them, are laid out by Pillow.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from liftout.images.deflate import compress
from liftout.images.metadata import exif_tags

_STRIP_BYTES = 1 << 20
_LARGEST = 2**32 - 1
_BLACK_IS_ZERO, _RGB = 1, 2
_DEFLATE, _DIFFERENCES = 8, 2
_STRAIGHT_ALPHA = 2
_INCH = 2


def encode_tiff(
    pixels: npt.NDArray[Any],
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> bytes:
    """Bytes of a TIFF file.

    pixels: uint8 or uint16 [H, W], [H, W, 3] or [H, W, 4] (straight alpha). exif: with its `Exif` header.
    icc, xmp: written as they are. dpi: pixels per inch across and down.
    Raises ValueError where the file would be larger than TIFF's 4 GB.
    """
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    height, width, channels = planes.shape
    step = max(1, _STRIP_BYTES // (width * channels * planes.itemsize))
    strips = [_deflated(planes[first : first + step]) for first in range(0, height, step)]
    lengths = [len(strip) for strip in strips]
    directory = ImageFileDirectory_v2(ifh=b"II*\0\0\0\0\0")
    if exif:
        for tag, value in exif_tags(exif).items():
            directory[tag] = value
    directory[ExifTags.Base.ImageWidth] = width
    directory[ExifTags.Base.ImageLength] = height
    directory[ExifTags.Base.BitsPerSample] = (8 * planes.itemsize,) * channels
    directory[ExifTags.Base.Compression] = _DEFLATE
    directory[ExifTags.Base.PhotometricInterpretation] = _BLACK_IS_ZERO if channels == 1 else _RGB
    directory[ExifTags.Base.SamplesPerPixel] = channels
    directory[ExifTags.Base.RowsPerStrip] = step
    directory[ExifTags.Base.StripOffsets] = tuple(int(offset) for offset in np.cumsum([0, *lengths[:-1]]))
    directory[ExifTags.Base.StripByteCounts] = tuple(lengths)
    directory[ExifTags.Base.PlanarConfiguration] = 1
    directory[ExifTags.Base.Predictor] = _DIFFERENCES
    if channels == 4:
        directory[ExifTags.Base.ExtraSamples] = _STRAIGHT_ALPHA
    if dpi:
        directory[ExifTags.Base.ResolutionUnit] = _INCH
        directory[ExifTags.Base.XResolution], directory[ExifTags.Base.YResolution] = dpi
    if xmp:
        directory[ExifTags.Base.XMLPacket] = xmp
    if icc:
        directory[ExifTags.Base.InterColorProfile] = icc
    if sum(lengths) > _LARGEST - (1 << 24):
        raise ValueError("a TIFF file holds at most 4 GB")
    return b"".join((b"II*\0" + struct.pack("<I", 8), directory.tobytes(8), *strips))


def _deflated(strip: npt.NDArray[Any]) -> bytes:
    """Rows as differences from the pixel to the left, low byte first, deflated."""
    differences = np.array(strip, f"<u{strip.itemsize}")
    differences[:, 1:] -= strip[:, :-1]
    return compress(differences.reshape(-1).view(np.uint8).data)
