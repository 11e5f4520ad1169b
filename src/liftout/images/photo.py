"""A decoded photo: upright pixels in their own colour space, with its profile and metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from liftout.images import colour

UInt8 = npt.NDArray[np.uint8]
UInt16 = npt.NDArray[np.uint16]

HIDDEN = 128
"""Grey level that the network sees where the photo itself is transparent."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """A decoded photo.

    pixels: uint8 [H, W, 3] in the colour space of `icc`. alpha: uint8 [H, W], or None where the photo is opaque.
    """

    pixels: UInt8
    alpha: UInt8 | None = None
    pixels16: UInt16 | None = None
    """uint16 [H, W, 3]: all levels of a 16-bit photo, of which `pixels` are the nearest 8-bit ones; else None."""
    icc: bytes | None = None
    """ICC profile of `pixels`; None means sRGB."""
    exif: bytes | None = None
    """EXIF without orientation (the pixels are upright) and thumbnail."""
    xmp: bytes | None = None
    """XMP packet, which says that the picture is upright."""
    dpi: tuple[float, float] | None = None
    """Pixels per inch across and down."""
    name: str = "image"
    """For messages: a path, or what kind of object was given."""

    @property
    def size(self) -> tuple[int, int]:
        """[height, width] in pixels."""
        return cast("tuple[int, int]", self.pixels.shape[:2])

    def seen_by_network(self) -> UInt8:
        """uint8 [H, W, 3] in sRGB; transparent parts are grey, whatever colours hide under them."""
        return self.seen_through(HIDDEN)

    def seen_through(self, behind: int) -> UInt8:
        """uint8 [H, W, 3] in sRGB, over the grey level `behind` where the photo is transparent."""
        srgb = colour.to_srgb(self.pixels, self.icc)
        if self.alpha is None:
            return srgb
        weight = self.alpha[..., None].astype(np.uint16)
        blended = srgb * weight + np.uint16(behind) * (255 - weight) + np.uint16(127)
        return (blended // 255).astype(np.uint8)
