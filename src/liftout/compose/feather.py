"""Feathering: a soft edge, in alpha and in the colours under it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from liftout.images.channels import to_8_bit, to_16_bit

UInt8 = npt.NDArray[np.uint8]


def feathered(alpha: UInt8, radius: float) -> UInt8:
    """Alpha uint8 [H, W], blurred by a Gaussian with a standard deviation of `radius` pixels."""
    return np.asarray(Image.fromarray(alpha).filter(ImageFilter.GaussianBlur(radius)))


def spread_colours(colours: npt.NDArray[Any], alpha: UInt8, radius: float) -> npt.NDArray[Any]:
    """Colours of the subject, spread outwards to where `feathered` lets it fade.

    colours: uint8 or uint16 [H, W, 3], the subject's where alpha, uint8 [H, W], is not zero. radius: as for `feathered`.
    Returns the same there; around it, the average of the subject's colours nearby, weighted by alpha and the Gaussian, so
    that no background shows.
    """
    shallow = np.dstack([to_8_bit(colours), alpha])
    blurred = Image.fromarray(shallow).convert("RGBa").filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
    spread = np.asarray(blurred)[..., :3]
    if colours.dtype == np.uint16:
        spread = to_16_bit(spread)
    return np.where((alpha == 0)[..., None], spread, colours)
