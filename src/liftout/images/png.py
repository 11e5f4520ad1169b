"""PNG files (W3C Portable Network Graphics, third edition), with 8 or 16 bits a channel.

Written here and not by Pillow, which has no 16-bit colours and tries every filter on every row: most of a 12 MP cutout's
time. Two filters, chosen by a sample of each row, come within a few per cent of its size.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from liftout.images.deflate import compress, compressor

UInt8 = npt.NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPE = {1: 0, 3: 2, 4: 6}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Of a colour type."""
_ADAM7 = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))
"""First row, row step, first column and column step of the passes of an interlaced file (section 8.2)."""
_SUB, _UP = 1, 2
_STRIP_BYTES = 1 << 20
_SAMPLE = 8
"""Every eighth pixel of a row decides on its filter."""
_LARGEST = 2**31 - 1
_INCH = 0.0254


def encode_png(
    pixels: npt.NDArray[Any],
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> bytes:
    """Bytes of a PNG file.

    pixels: uint8 or uint16 [H, W], [H, W, 3] or [H, W, 4] (straight alpha). exif: with or without its `Exif` header.
    icc, xmp: written as they are. dpi: pixels per inch across and down.
    Raises ValueError where a side is longer than PNG's 2**31 - 1.
    """
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    height, width, channels = planes.shape
    if max(height, width) > _LARGEST:
        raise ValueError(f"a side of {max(height, width)} pixels is too long")
    header = struct.pack(">IIBBBBB", width, height, 8 * planes.itemsize, _COLOUR_TYPE[channels], 0, 0, 0)
    parts = [_SIGNATURE, _chunk(b"IHDR", header)]
    if icc:
        parts.append(_chunk(b"iCCP", b"ICC profile\0\0" + compress(icc)))
    if dpi:
        across, down = (min(max(round(value / _INCH), 1), _LARGEST) for value in dpi)
        parts.append(_chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if exif:
        parts.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    if xmp:
        parts.append(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    stream = compressor()
    deflated = (stream.compress(rows.data) for rows in _filtered(planes))
    parts.extend(_chunk(b"IDAT", content) for content in deflated if content)
    parts.append(_chunk(b"IDAT", stream.flush()))
    parts.append(_chunk(b"IEND", b""))
    return b"".join(parts)


def holds_all_rows(content: bytes) -> bool:
    """Whether the pixel data of a PNG file, inflated, is as long as its header says.

    content: a file that Pillow has decoded. Pillow leaves rows that are missing black, without an error.
    """
    view, position, missing = memoryview(content), len(_SIGNATURE), 0
    inflate = zlib.decompressobj()
    while position + 8 <= len(view):
        length, kind = struct.unpack_from(">I4s", view, position)
        chunk = view[position + 8 : position + 8 + length]
        position += 12 + length
        if kind == b"IHDR":
            missing = _bytes_of_rows(*struct.unpack(">IIBBBBB", chunk))
        elif kind == b"IDAT":
            rest: bytes | memoryview = chunk
            while rest and missing > 0:
                missing -= len(inflate.decompress(rest, min(missing, _STRIP_BYTES)))
                rest = inflate.unconsumed_tail
            if missing <= 0:
                return True
    return missing - len(inflate.flush()) <= 0


def _bytes_of_rows(width: int, height: int, bits: int, kind: int, _: int, __: int, interlace: int) -> int:
    """Length of the rows of an image, each behind the number of its filter."""
    passes = _ADAM7 if interlace else ((0, 1, 0, 1),)
    total = 0
    for top, down, left, across in passes:
        rows, columns = -(-max(0, height - top) // down), -(-max(0, width - left) // across)
        total += rows * (1 + -(-columns * bits * _CHANNELS[kind] // 8)) if columns else 0
    return total


def _chunk(kind: bytes, content: bytes) -> bytes:
    return b"".join(
        (struct.pack(">I", len(content)), kind, content, struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))
    )


def _filtered(planes: npt.NDArray[Any]) -> Iterator[UInt8]:
    """Strips of filtered rows, each row behind the number of its filter: uint8 [rows, 1 + bytes of a row]."""
    height, width, channels = planes.shape
    pixel = channels * planes.itemsize
    length = width * pixel
    above = np.zeros((1, length), np.uint8)
    step = max(1, _STRIP_BYTES // length)
    for first in range(0, height, step):
        rows = _bytes_of(planes[first : first + step]).reshape(-1, length)
        scanlines = np.empty((len(rows), 1 + length), np.uint8)
        up = np.empty_like(rows)
        np.subtract(rows[:1], above, out=up[:1])
        np.subtract(rows[1:], rows[:-1], out=up[1:])
        sub = scanlines[:, 1:]
        sub[:, :pixel] = rows[:, :pixel]
        np.subtract(rows[:, pixel:], rows[:, :-pixel], out=sub[:, pixel:])
        steeper = _steepness(up, pixel) <= _steepness(sub, pixel)
        sub[steeper] = up[steeper]
        scanlines[:, 0] = np.where(steeper, _UP, _SUB)
        above = rows[-1:]
        yield scanlines


def _bytes_of(strip: npt.NDArray[Any]) -> UInt8:
    """The strip's bytes in file order, high byte first."""
    if strip.itemsize == 1:
        return np.ascontiguousarray(strip)
    return np.ascontiguousarray(strip.astype(">u2")).view(np.uint8)


def _steepness(differences: UInt8, pixel: int) -> npt.NDArray[np.int64]:
    """Sum of a row's absolute differences, over a sample: the row with less of it compresses better."""
    count = max(1, differences.shape[1] // (pixel * _SAMPLE))
    sample = differences[:, : count * pixel * _SAMPLE].reshape(len(differences), count, -1)[..., :pixel]
    return np.asarray(np.minimum(sample, 0 - sample).sum(axis=(1, 2), dtype=np.int64))
