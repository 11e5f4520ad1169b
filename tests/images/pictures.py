"""Picture files for tests, made by other libraries or byte by byte."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms


def gradient(height: int = 24, width: int = 36) -> npt.NDArray[np.uint8]:
    """uint8 [H, W, 3] in which every pixel is different from its mirror images."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 255 // height, columns * 255 // width, (rows * 7 + columns * 3) % 256], axis=-1).astype(
        np.uint8
    )


def noise(shape: tuple[int, ...], dtype: Any = np.uint8, seed: int = 0) -> npt.NDArray[Any]:
    """Levels that no compression or filter can guess."""
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A file by Pillow."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def opened(content: bytes) -> Image.Image:
    """A file read by Pillow."""
    return Image.open(io.BytesIO(content))


def chunk(kind: bytes, content: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def raw_png(
    width: int, height: int, bits: int, colour_type: int, rows: bytes, *, interlace: int = 0, before: bytes = b""
) -> bytes:
    """A PNG from filtered rows. before: chunks ahead of the pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlace)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def unfiltered(planes: npt.NDArray[Any]) -> bytes:
    """Rows of an array as PNG wants them, each behind filter number 0."""
    levels = planes.astype(f">u{planes.itemsize}")
    return b"".join(b"\0" + row.tobytes() for row in levels)


def interlaced(planes: npt.NDArray[Any]) -> bytes:
    """Adam7: the seven passes, one after another."""
    passes = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))
    parts = (planes[top::down, left::across] for top, down, left, across in passes)
    return b"".join(unfiltered(part) for part in parts if part.size)


def raw_tiff(
    planes: npt.NDArray[Any],
    *,
    photometric: int = 2,
    extra: tuple[int, ...] = (),
    tags: dict[int, tuple[int, tuple[int, ...]]] | None = None,
) -> bytes:
    """An uncompressed little-endian TIFF, by the letter of its specification. tags: {number: (type, values)}."""
    height, width, channels = planes.shape
    pixels = planes.astype(f"<u{planes.itemsize}").tobytes()
    entries: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (4, (width,)), 257: (4, (height,)), 258: (3, (8 * planes.itemsize,) * channels), 259: (3, (1,)),
        262: (3, (photometric,)), 273: (4, (8,)), 277: (3, (channels,)), 278: (4, (height,)), 279: (4, (len(pixels),)),
        **({338: (3, extra)} if extra else {}), **(tags or {}),
    }  # fmt: skip
    start = 8 + len(pixels) + len(pixels) % 2
    beyond = start + 2 + 12 * len(entries) + 4
    directory, values = struct.pack("<H", len(entries)), b""
    for number in sorted(entries):
        kind, held = entries[number]
        packed = b"".join(struct.pack("<H" if kind == 3 else "<I", value) for value in held)
        count = len(held) // (2 if kind == 5 else 1)
        if len(packed) > 4:
            packed, values = struct.pack("<I", beyond + len(values)), values + packed
        directory += struct.pack("<HHI", number, kind, count) + packed.ljust(4, b"\0")
    padding = b"\0" * (len(pixels) % 2)
    return b"II*\0" + struct.pack("<I", start) + pixels + padding + directory + b"\0\0\0\0" + values


def profile(name: str = "wide") -> bytes:
    """An ICC profile. wide: RGB with the primaries of Adobe RGB (1998) and gamma 2.2; grey: gamma 1.8; cmyk: its cyan is green; srgb."""
    if name == "srgb":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return {"wide": _wide, "grey": _grey, "cmyk": _cmyk}[name]()


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _icc(space: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"mntr", connection: bytes = b"XYZ ") -> bytes:
    header_length, table = 128, struct.pack(">I", len(tags))
    offset, body = header_length + 4 + 12 * len(tags), b""
    for signature, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += signature + struct.pack(">II", offset + len(body), len(content))
        body += content
    size = header_length + len(table) + len(body)
    header = struct.pack(">I", size) + b"\0\0\0\0" + b"\x02\x10\0\0" + kind + space + connection + b"\0" * 12
    header += b"acsp" + b"\0" * 28 + _fixed(0.9642, 1.0, 0.8249)
    return header.ljust(header_length, b"\0") + table + body


def _text(text: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + b"\0" * 79


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def _wide() -> bytes:
    curve = _gamma(2.2)
    return _icc(
        b"RGB ",
        {
            b"desc": _text(b"wide"), b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(0.9505, 1.0, 1.0891),
            b"rXYZ": _xyz(0.60974, 0.31111, 0.01947), b"gXYZ": _xyz(0.20528, 0.62567, 0.06087),
            b"bXYZ": _xyz(0.14919, 0.06322, 0.74457), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
        },
    )  # fmt: skip


def _grey() -> bytes:
    return _icc(
        b"GRAY",
        {
            b"desc": _text(b"grey"),
            b"cprt": b"text\0\0\0\0none\0",
            b"wtpt": _xyz(0.9642, 1, 0.8249),
            b"kTRC": _gamma(1.8),
        },
    )


def _cmyk() -> bytes:
    """A printer of which each ink is on or off (ICC.1:2001-04, lut8Type, two grid points for each of four inks)."""
    ramp = bytes(range(256))
    corners = b""
    for inks in np.ndindex(2, 2, 2, 2):
        cyan, magenta, yellow, black = inks
        lightness = 255 * 0.6**cyan * 0.6**magenta * 0.9**yellow * 0.1**black
        corners += bytes([round(lightness), 128 - 70 * cyan + 60 * magenta, 128 + 20 * cyan + 70 * yellow * (1 - cyan)])
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + ramp * 4 + corners + ramp * 3
    tags = {b"desc": _text(b"inks"), b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(0.9642, 1, 0.8249), b"A2B0": table}
    return _icc(b"CMYK", tags, kind=b"prtr", connection=b"Lab ")
