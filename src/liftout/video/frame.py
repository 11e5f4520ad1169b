"""One frame of a clip, before anything is cut out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Frame:
    """An upright frame.

    pixels: uint8 [H, W, 3]. alpha: uint8 [H, W], or None where the clip is opaque. time: seconds since the beginning of what is
    written. origin: seconds since the beginning of the source. duration: seconds, 0 where it is not known.
    """

    pixels: UInt8
    alpha: UInt8 | None
    time: Fraction
    origin: Fraction
    duration: Fraction = Fraction(0)

    def picture(self) -> UInt8:
        """The pixels, with the alpha where there is one: uint8 [H, W, 3] or [H, W, 4]."""
        return self.pixels if self.alpha is None else np.dstack([self.pixels, self.alpha])

    def looks_like(self, other: Frame) -> bool:
        """Whether both have the same pixels and the same alpha."""
        return _same(self.pixels, other.pixels) and _same(self.alpha, other.alpha)


def _same(one: UInt8 | None, other: UInt8 | None) -> bool:
    if one is other:
        return True
    return one is not None and other is not None and np.array_equal(one, other)
