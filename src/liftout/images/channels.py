"""Channels of a loaded image: colours as RGB, alpha apart, 16-bit levels beside 8-bit ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.errors import ImageUnreadable
from liftout.images import colour

UInt8 = npt.NDArray[np.uint8]
UInt16 = npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True, eq=False)
class Channels:
    """pixels: uint8 [H, W, 3]. alpha: uint8 [H, W], None where opaque. pixels16: uint16 [H, W, 3] of a 16-bit image."""

    pixels: UInt8
    alpha: UInt8 | None = None
    pixels16: UInt16 | None = None
    icc: bytes | None = None
    """Profile that the pixels are still in; None means sRGB."""


def split_channels(planes: npt.NDArray[Any], icc: bytes | None, transparent: object) -> Channels:
    """Channels of an array.

    planes: uint8 or uint16 [H, W, C] with C = 1 (grey), 2 (grey, alpha), 3 or 4 (straight alpha).
    icc: the file's profile. transparent: a colour (or grey) that the file declares to be no subject, or None.
    """
    channels = planes.shape[2]
    colours = np.ascontiguousarray(planes[..., : channels - (channels in (2, 4))])
    alpha = to_8_bit(np.ascontiguousarray(planes[..., -1])) if channels in (2, 4) else None
    if alpha is None and isinstance(transparent, int | tuple):
        alpha = np.where((colours == np.array(transparent)).all(axis=2), 0, 255).astype(np.uint8)
    if alpha is not None and alpha.min() == 255:
        alpha = None
    pixels16 = colours if colours.dtype == np.uint16 else None
    if colours.shape[2] == 1:
        return _from_grey(colours[..., 0], alpha, icc)
    return Channels(
        pixels=to_8_bit(colours), alpha=alpha, pixels16=pixels16, icc=icc if icc and colour.is_rgb(icc) else None
    )


def channels_of(image: Image.Image, name: str) -> Channels:
    """Channels of a loaded Pillow image of any mode. Raises ImageUnreadable where the range of its levels is unknown."""
    icc, transparent = image.info.get("icc_profile") or None, image.info.get("transparency")
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        grey = _grey_levels(np.asarray(image), name)
        return split_channels(grey[..., None], icc, transparent if grey.dtype == np.uint16 else None)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.mode == "PA" or transparent is not None else "RGB")
    elif image.mode in ("L", "RGB") and transparent is not None:
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    elif image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        planes = np.asarray(image)
        return split_channels(planes[..., None] if planes.ndim == 2 else planes, icc, None)
    if image.mode in ("CMYK", "LAB"):
        return Channels(pixels=np.array(colour.image_to_srgb(image, icc)))
    return Channels(pixels=np.array(image.convert("RGB")))


def to_8_bit(levels: npt.NDArray[Any]) -> UInt8:
    """uint16 0..65535 to the nearest of 0..255, of which one is 257 steps; uint8 comes back as it is."""
    if levels.dtype == np.uint8:
        return levels
    return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def to_16_bit(levels: npt.NDArray[Any]) -> UInt16:
    """uint8 0..255 to 0..65535, exactly; uint16 comes back as it is."""
    return levels if levels.dtype == np.uint16 else levels.astype(np.uint16) * np.uint16(257)


def _from_grey(grey: npt.NDArray[Any], alpha: UInt8 | None, icc: bytes | None) -> Channels:
    """A grey plane, brought to sRGB by its profile. A 16-bit one goes through its curve, which is smooth."""
    shallow = to_8_bit(grey)
    if icc and colour.is_grey(icc):
        ramp = np.asarray(colour.image_to_srgb(Image.fromarray(np.arange(256, dtype=np.uint8)[None]), icc))[0]
        pixels = ramp[shallow]
        curve = ramp[:, 0].astype(np.float64) * 257
        levels = np.rint(np.interp(grey, np.arange(256) * 257, curve)).astype(np.uint16)
    else:
        pixels, levels = np.repeat(shallow[..., None], 3, axis=2), grey
    if grey.dtype != np.uint16:
        return Channels(pixels=pixels, alpha=alpha)
    return Channels(pixels=pixels, alpha=alpha, pixels16=np.repeat(levels[..., None], 3, axis=2))


def _grey_levels(levels: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """uint8 or uint16 greys from 16-bit, 32-bit or float ones."""
    if levels.dtype.itemsize == 2 and levels.dtype.kind == "u":
        return levels.astype(np.uint16)
    if not np.isfinite(levels).all() or levels.min() < 0 or levels.max() > 65535:
        raise ImageUnreadable(
            f"has grey levels from {levels.min():g} to {levels.max():g}, of unknown range",
            subject=name,
            remedy="save it with 8 or 16 bits",
        )
    if levels.dtype.kind == "f":
        top = 1.0 if levels.max() <= 1 else 255.0 if levels.max() <= 255 else 65535.0
        return np.rint(levels * (65535 / top)).astype(np.uint16)
    return levels.astype(np.uint16)
