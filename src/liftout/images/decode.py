"""Decode: a path, bytes, a file, a Pillow image, an array or a tensor becomes a `Photo`.

Upright by EXIF; 8 bits a channel, scaled and never clipped, and all 16 beside them where there are so many; greys,
palettes and CMYK as RGB; an alpha channel kept apart. RGB keeps its own pixel values and ICC profile; other spaces are
brought to sRGB by theirs.
"""

from __future__ import annotations

import io
import os
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from liftout.errors import ImageAnimated, ImageTooLarge, ImageUnreadable, InputError, one_line
from liftout.images import frameworks, heif, metadata
from liftout.images.channels import Channels, channels_of, split_channels
from liftout.images.deep import is_deep, read_deep
from liftout.images.photo import Photo
from liftout.images.png import holds_all_rows
from liftout.options import DEFAULT_MAX_PIXELS, LARGEST_RATIO, LONGEST_SIDE
from liftout.remedies import RaiseLimit, RunBatch


class SupportsArray(Protocol):
    """What numpy can read: a tensor, a `Cutout`, an array of another library."""

    def __array__(self) -> npt.NDArray[Any]:
        """As an array of numpy."""
        ...


ImageInput: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | Image.Image
    | npt.NDArray[Any]
    | SupportsArray
    | Mapping[str, Any]
)

_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "PPM", "JPEG2000")
_READABLE = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, GIF or BMP"
_URL = re.compile(r"(?i)(https?|ftp|file|data|s3|gs):/")
_REDUCED_PAGE = 254  # TIFF tag NewSubfileType; bit 0 marks a smaller copy of another page


def decode(image: ImageInput, *, max_pixels: int = DEFAULT_MAX_PIXELS, name: str | None = None) -> Photo:
    """Decode a photo.

    image: path, encoded bytes, binary file, Pillow image, or array: uint8, uint16 or float in [0, 1] of shape [H, W],
    [H, W, 1], [H, W, 2] (grey and alpha), [H, W, 3] or [H, W, 4], red first; a tensor of PyTorch, channels first or last; a row of
    `datasets` that was not decoded ({"bytes": ..., "path": ...}). name: of the photo, for messages.
    Raises ImageUnreadable, ImageAnimated or ImageTooLarge (more than `max_pixels`, a side above 65,535 pixels, or above 200 times
    the other), each naming the file; ExtraMissing for HEIC without its extra.
    """
    if isinstance(image, Mapping):
        image, own_name = frameworks.from_row(image)
        name = name or own_name
    if isinstance(image, np.ndarray):
        return _from_array(image, max_pixels, name or "array")
    if frameworks.is_tensor(image):
        return _from_array(frameworks.from_tensor(image), max_pixels, name or "tensor")
    if isinstance(image, Image.Image):
        return _from_pillow(image, max_pixels, name or getattr(image, "filename", "") or "image")
    if hasattr(image, "__array__"):
        return _from_array(np.asarray(image), max_pixels, name or type(image).__name__)
    label, content = _read(image, name)
    if heif.is_heif(content):
        with heif.open_heif(content, label) as picture:
            return _from_pillow(picture, max_pixels, label)

    try:
        picture = _open(content)
    except UnidentifiedImageError:
        raise ImageUnreadable(
            "not an image that can be read", subject=label, remedy=f"give a {_READABLE} file"
        ) from None
    except Exception as error:  # noqa: BLE001 - Pillow's plugins raise nearly anything on broken files
        raise _unreadable(label, error) from None
    with picture:
        return _from_pillow(picture, max_pixels, label, content)


def _open(content: bytes) -> Image.Image:
    with _lenient():
        return Image.open(io.BytesIO(content), formats=_FORMATS)


def _read(image: object, name: str | None) -> tuple[str, bytes]:
    if isinstance(image, str | os.PathLike):
        if _URL.match(os.fspath(image)):
            raise ImageUnreadable(
                "URLs are not fetched", subject=image, remedy="download the photo and give the file or its bytes"
            )
        path = Path(image)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ImageUnreadable("no such file", subject=path) from None
        except IsADirectoryError:
            raise ImageUnreadable("is a folder", subject=path, remedy=RunBatch()) from None
        except OSError as error:
            raise ImageUnreadable(f"cannot be read: {error.strerror}", subject=path) from None
        label = name or str(path)
    elif isinstance(image, bytes | bytearray | memoryview):
        label, content = name or "bytes", bytes(image)
    elif hasattr(image, "read"):
        label, content = name or str(getattr(image, "name", "stream")), image.read()
        if not isinstance(content, bytes):
            raise ImageUnreadable("is open as text", subject=label, remedy="open it with mode 'rb'")
    else:
        raise InputError(
            f"an image is a path, bytes, a binary file, a Pillow image or an array, not {type(image).__name__}"
        )
    if not content:
        raise ImageUnreadable("is empty", subject=label)
    return label, content


_pillow_lock = threading.Lock()


@contextmanager
def _lenient() -> Iterator[None]:
    """Headers and metadata are read without Pillow's warnings about broken ones, and without its own size limit.

    `max_pixels` is checked before any pixel is decoded. Both settings are global, so one thread at a time.
    """
    with _pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _from_pillow(image: Image.Image, max_pixels: int, label: str, content: bytes | None = None) -> Photo:
    """content: the file that holds the image, where all its bits can be read from it."""
    width, height = image.size
    check_size(height, width, max_pixels, label)
    try:
        with _lenient():
            frames = _frames(image)
        if frames > 1:
            raise ImageAnimated(
                f"has {frames} frames or pages", subject=label, remedy="save the one to cut out as a file of its own"
            )
        deep = is_deep(image)
        if (
            image.format == "PNG"
        ):  # its EXIF may stand behind the pixels; and once they are loaded, `is_deep` cannot tell
            image.load()
            if content is not None and _may_lack_rows(image) and not holds_all_rows(content):
                raise ImageUnreadable(
                    "cannot be decoded (rows are missing)", subject=label, remedy="save it again, or give another file"
                )
        with _lenient():
            orientation = metadata.read_orientation(image)
        if deep and content is not None:
            channels = split_channels(
                read_deep(content, _open), image.info.get("icc_profile"), image.info.get("transparency")
            )
            still = 1 if image.format == "TIFF" else orientation
        else:
            image.load()
            channels = channels_of(image, label)
            still = 1 if image.format == "TIFF" else orientation  # Pillow turns a TIFF while it loads
        return _photo(channels, label, image, orientation=orientation, still=still)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - see decode
        raise _unreadable(label, error) from None


def _may_lack_rows(image: Image.Image) -> bool:
    """Whether rows of a loaded PNG may be missing: Pillow leaves those at zero. Rows of an interlaced file do not come in order."""
    last = image.crop((0, image.height - 1, image.width, image.height))
    return bool(image.info.get("interlace")) or not np.asarray(last).any()


def _photo(channels: Channels, label: str, image: Image.Image, *, orientation: int, still: int) -> Photo:
    """Put a photo together. orientation: by EXIF. still: the orientation that the pixels have."""
    with _lenient():
        dpi, exif, xmp = metadata.read_dpi(image), metadata.read_exif(image), metadata.read_xmp(image)
    return Photo(
        pixels=_upright(channels.pixels, still),
        alpha=None if channels.alpha is None else _upright(channels.alpha, still),
        pixels16=None if channels.pixels16 is None else _upright(channels.pixels16, still),
        icc=channels.icc,
        exif=exif,
        xmp=xmp,
        dpi=(dpi[1], dpi[0]) if dpi and orientation >= 5 else dpi,
        name=label,
    )


def _from_array(array: npt.NDArray[Any], max_pixels: int, label: str) -> Photo:
    planes = array[..., None] if array.ndim == 2 else array
    if planes.ndim == 3 and planes.shape[2] > 4 and planes.shape[0] in (1, 3, 4):
        raise InputError(
            f"shape {list(array.shape)} has its channels first",
            subject=label,
            remedy="give [H, W, C]: array.transpose(1, 2, 0)",
        )
    if planes.ndim != 3 or planes.shape[2] not in (1, 2, 3, 4):
        raise InputError(
            f"shape {list(array.shape)} is not a photo", subject=label, remedy="give [H, W], [H, W, 3] or [H, W, 4]"
        )
    check_size(planes.shape[0], planes.shape[1], max_pixels, label)
    if planes.dtype in (np.float32, np.float64):
        if not (np.isfinite(planes).all() and planes.min() >= 0 and planes.max() <= 1):
            raise InputError("float arrays must lie in [0, 1]", subject=label, remedy="divide by 255, or give uint8")
        planes = np.rint(planes * 255).astype(np.uint8)
    elif planes.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"arrays of {planes.dtype} are not photos", subject=label, remedy="give uint8, uint16 or float in [0, 1]"
        )
    channels = split_channels(planes, None, None)
    return Photo(pixels=channels.pixels, alpha=channels.alpha, pixels16=channels.pixels16, name=label)


def check_size(height: int, width: int, max_pixels: int, label: str) -> None:
    """Raise ImageUnreadable or ImageTooLarge where a picture of this size is refused. label: its name, for messages."""
    if height < 1 or width < 1:
        raise ImageUnreadable(f"is {width} x {height} pixels; there is nothing to cut out", subject=label)
    if max(height, width) > LONGEST_SIDE:
        raise ImageTooLarge(
            f"{width} x {height} pixels; a side may have at most {LONGEST_SIDE}", subject=label, remedy="crop it first"
        )
    if max(height, width) > LARGEST_RATIO * min(height, width):
        raise ImageTooLarge(
            f"{width} x {height} pixels; one side may be at most {LARGEST_RATIO} times as long as the other",
            subject=label,
            remedy="crop it first",
        )
    if height * width > max_pixels:
        raise ImageTooLarge(
            f"{width} x {height} = {height * width / 1e6:.0f} megapixels, above the limit of {max_pixels / 1e6:g}",
            subject=label,
            remedy=RaiseLimit("max_pixels"),
        )


def _frames(image: Image.Image) -> int:
    """Pictures in the file that a person would call frames or pages, beyond previews of the same one."""
    frames = cast("int", getattr(image, "n_frames", 1))
    if image.format == "MPO":  # a camera's JPEG with previews or a second eye behind the photo
        return 1
    if image.format != "TIFF" or frames == 1:
        return frames
    pages = 0
    for index in range(frames):
        image.seek(index)
        pages += not (image.tag_v2.get(_REDUCED_PAGE, 0) & 1)  # type: ignore[attr-defined]
    image.seek(0)
    return pages


def _upright(array: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn pixels as EXIF's orientation says: 1 as it is, 3 half round, 6 and 8 a quarter, the others mirrored."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def _unreadable(label: str, error: Exception) -> ImageUnreadable:
    reason = "not enough memory" if isinstance(error, MemoryError) else one_line(error, 200)
    return ImageUnreadable(
        f"cannot be decoded ({reason})", subject=label, remedy="open and save it again, or give another file"
    )
