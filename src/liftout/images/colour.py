"""Colour management with LittleCMS (through Pillow)."""

from __future__ import annotations

import functools
import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

UInt8 = npt.NDArray[np.uint8]

_SAME = 2
"""A profile that moves no colour by more than this many levels is sRGB under another name."""


def to_srgb(pixels: UInt8, icc: bytes | None) -> UInt8:
    """uint8 [H, W, 3] in sRGB, from pixels in the space of an ICC profile; the same array where that is sRGB."""
    transform = _transform(icc, "RGB") if icc else None
    if transform is None:
        return pixels
    return np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), transform))


def image_to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """A Pillow image of mode L, CMYK or LAB as RGB in sRGB, by its profile where it has a usable one."""
    if image.mode == "LAB":
        return image_from_lab(image)
    transform = _transform(icc, image.mode) if icc else None
    converted = ImageCms.applyTransform(image, transform) if transform is not None else None
    return converted if converted is not None else image.convert("RGB")


def image_from_lab(image: Image.Image) -> Image.Image:
    """CIE L*a*b* to sRGB."""
    transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    converted = ImageCms.applyTransform(image, transform)
    return converted if converted is not None else image.convert("RGB")


def from_srgb(pixels: UInt8, icc: bytes | None) -> UInt8:
    """uint8 [H, W, 3] in the space of an ICC profile, from sRGB: the inverse of `to_srgb`, as far as the space reaches.

    pixels: uint8 [H, W, 3], sRGB. icc: the profile; None, and one that cannot be used, mean sRGB.
    """
    transform = _back_transform(icc) if icc else None
    if transform is None:
        return pixels
    return np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), transform))


def is_rgb(icc: bytes) -> bool:
    """Whether the bytes are a readable profile of an RGB space."""
    return _space(icc) == "RGB"


def is_grey(icc: bytes) -> bool:
    """Whether the bytes are a readable profile of a grey space."""
    return _space(icc) == "GRAY"


@functools.lru_cache(maxsize=16)
def _space(icc: bytes) -> str:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space.strip()
    except (OSError, ImageCms.PyCMSError):
        return ""


@functools.lru_cache(maxsize=16)
def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """To sRGB, or None where the profile is unusable for this mode, or is sRGB itself."""
    if _space(icc) != {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}.get(mode):
        return None
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB"), mode, "RGB"
        )
        if mode == "RGB":
            steps = np.linspace(0, 255, 9).astype(np.uint8)
            cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(27, 27, 3)
            converted = np.asarray(ImageCms.applyTransform(Image.fromarray(cube), transform)).astype(int)
            if np.abs(converted - cube).max() <= _SAME:
                return None
    except (OSError, ImageCms.PyCMSError):
        return None
    return transform


@functools.lru_cache(maxsize=16)
def _back_transform(icc: bytes) -> ImageCms.ImageCmsTransform | None:
    """From sRGB, or None where `_transform` is."""
    if _transform(icc, "RGB") is None:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return ImageCms.buildTransform(ImageCms.createProfile("sRGB"), profile, "RGB", "RGB")
    except (OSError, ImageCms.PyCMSError):
        return None
