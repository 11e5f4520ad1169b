"""All 16 bits of the colours in PNG and TIFF files.

Pillow holds 16-bit greys, but of 16-bit colours it keeps the high bytes only. Its decoders take the byte order from a tile's
raw mode, though: told the wrong order, they keep the low bytes. So the file is read twice, by the same decoders that
read every other photo, and the two halves are put together. A TIFF with a plane for each colour is read as so many greys.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

UInt16 = npt.NDArray[np.uint16]

_NATIVE = "L" if sys.byteorder == "little" else "B"
_OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if _NATIVE == "L" else "L"}
_MODES = ("RGB;16", "RGBA;16", "RGBX;16", "RGBa;16")
_SPLIT = 2
_STRAIGHT_ALPHA, _PREMULTIPLIED_ALPHA = 2, 1
_LAYOUT = (
    ExifTags.Base.StripOffsets, ExifTags.Base.StripByteCounts, ExifTags.Base.TileOffsets, ExifTags.Base.TileByteCounts
)  # fmt: skip
_COPIED_TAGS = (
    ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength, ExifTags.Base.Compression, ExifTags.Base.RowsPerStrip,
    ExifTags.Base.TileWidth, ExifTags.Base.TileLength, ExifTags.Base.Predictor, ExifTags.Base.FillOrder,
    ExifTags.Base.Orientation,
)  # fmt: skip


def is_deep(image: Image.Image) -> bool:
    """Whether an opened, not yet loaded image has 16-bit colours (or greys with alpha) that Pillow would cut to 8."""
    rawmode = _rawmode(image)
    return image.mode in ("RGB", "RGBA") and (rawmode[:-1] in _MODES or rawmode == "LA;16B" or _is_split(image))


def read_deep(content: bytes, open_image: Callable[[bytes], Image.Image]) -> UInt16:
    """uint16 [H, W, C] with C = 2 (grey and alpha), 3 or 4; straight alpha.

    content: a file for whose image `is_deep` holds. open_image: opens a file. Raises what Pillow raises on a broken one.
    """
    first = open_image(content)
    if _is_split(first):
        return _from_planes(content, first, open_image)
    rawmode = _rawmode(first)
    if rawmode == "LA;16B":
        _retile(first, "RGBA")  # four bytes a pixel either way: grey high, grey low, alpha high, alpha low
        halves = np.asarray(first).astype(np.uint16)
        return (halves[..., 0::2] << 8 | halves[..., 1::2]).astype(np.uint16)
    mode, order = rawmode.replace("RGBa", "RGBA")[:-1], rawmode[-1]
    second = open_image(content)
    _retile(first, mode + order)
    _retile(second, mode + _OTHER_ORDER[order])
    levels = np.asarray(first).astype(np.uint16)
    levels <<= 8
    levels |= np.asarray(second)
    return _straight(levels) if rawmode.startswith("RGBa") else levels


def _rawmode(image: Image.Image) -> str:
    tiles = cast("list[Any]", getattr(image, "tile", []))
    arguments = tiles[0][3] if tiles else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _retile(image: Image.Image, rawmode: str) -> None:
    tiles = cast("Any", image).tile
    cast("Any", image).tile = [
        tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode) for tile in tiles
    ]


def _is_split(image: Image.Image) -> bool:
    """Whether this is a TIFF with a plane of 16 bits for each colour (of the uncompressed ones, Pillow makes noise)."""
    if image.format != "TIFF" or image.mode not in ("RGB", "RGBA"):
        return False
    tags = cast("Any", image).tag_v2
    return tags.get(ExifTags.Base.PlanarConfiguration) == _SPLIT and 16 in tags.get(ExifTags.Base.BitsPerSample, ())


def _from_planes(content: bytes, image: Image.Image, open_image: Callable[[bytes], Image.Image]) -> UInt16:
    tags = cast("Any", image).tag_v2
    count = len(image.mode)
    planes = [np.asarray(open_image(_plane(content, tags, index, count))) for index in range(count)]
    levels = np.stack(planes, axis=-1).astype(np.uint16)
    extra = tags.get(ExifTags.Base.ExtraSamples, (_STRAIGHT_ALPHA,))
    return _straight(levels) if levels.shape[2] == 4 and extra[0] == _PREMULTIPLIED_ALPHA else levels


def _plane(content: bytes, tags: Any, index: int, count: int) -> bytes:
    """One plane of a TIFF: the file with a directory added that describes it as a grey picture."""
    order = ">" if tags.prefix == b"MM" else "<"
    entries: dict[int, tuple[int, ...]] = {
        ExifTags.Base.BitsPerSample: (16,),
        ExifTags.Base.PhotometricInterpretation: (1,),
        ExifTags.Base.SamplesPerPixel: (1,),
    }
    entries.update({tag: (int(tags[tag]),) for tag in _COPIED_TAGS if tag in tags})
    for tag in _LAYOUT:
        if tag in tags:
            share = len(tags[tag]) // count
            entries[tag] = tuple(tags[tag][index * share : (index + 1) * share])
    start = len(content) + len(content) % 2
    beyond = start + 2 + 12 * len(entries) + 4
    directory, values = struct.pack(f"{order}H", len(entries)), b""
    for number in sorted(entries):
        packed = struct.pack(f"{order}{len(entries[number])}I", *entries[number])
        if len(packed) > 4:
            packed, values = struct.pack(f"{order}I", beyond + len(values)), values + packed
        directory += struct.pack(f"{order}HHI", number, 4, len(entries[number])) + packed
    header = tags.prefix + struct.pack(f"{order}HI", 42, start)
    padding = b"\0" * (start - len(content))
    parts = (header, content[len(header) :], padding, directory, b"\0\0\0\0", values)
    return b"".join(parts)


def _straight(levels: UInt16) -> UInt16:
    """Undo premultiplied alpha."""
    alpha = levels[..., 3:].astype(np.float32)
    colours = levels[..., :3] * (65535 / np.maximum(alpha, 1))
    levels[..., :3] = np.rint(np.minimum(colours, 65535))
    return levels
