"""8 and 16 bits: level 255 of one is level 65535 of the other, 257 steps to each step."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
UInt16 = npt.NDArray[np.uint16]


def to_8_bit(levels: npt.NDArray[Any]) -> UInt8:
    """uint16 0..65535 to the nearest of 0..255; uint8 comes back as it is."""
    if levels.dtype == np.uint8:
        return levels
    return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def to_16_bit(levels: npt.NDArray[Any]) -> UInt16:
    """uint8 0..255 to 0..65535, exactly; uint16 comes back as it is."""
    return levels if levels.dtype == np.uint16 else levels.astype(np.uint16) * np.uint16(257)
