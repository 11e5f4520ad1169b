"""The colours of a subject: estimated from its photo, or carried over from another cutout. Computed when first needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from liftout import graphs
from liftout.images import Photo
from liftout.images.channels import to_16_bit

UInt8 = npt.NDArray[np.uint8]
Levels = npt.NDArray[Any]


class Foreground:
    """Colours under an alpha."""

    def __init__(self, compute: Callable[[], Levels], alpha: UInt8) -> None:
        """compute: gives the colours, uint8 or uint16 [H, W, 3], of no meaning where alpha is zero. alpha: uint8 [H, W]."""
        self._compute = compute
        self._alpha = alpha

    @cached_property
    def colours(self) -> Levels:
        """uint8 or uint16 [H, W, 3]; of no meaning where alpha is zero."""
        return self._compute()

    @cached_property
    def rgba(self) -> Levels:
        """[H, W, 4] of the same type: straight alpha, zero where alpha is zero."""
        return with_alpha(self.colours, self._alpha)

    def __reduce__(self) -> tuple[Callable[[Levels, UInt8], Foreground], tuple[Levels, UInt8]]:
        return _known, (self.colours, self._alpha)


class EstimatedForeground(Foreground):
    """The colours of a photo's subject, as a pixel graph gives them together with alpha."""

    def __init__(self, photo: Photo, alpha: UInt8, estimate: Callable[[UInt8, UInt8], UInt8]) -> None:
        """estimate: pixels uint8 [H, W, 3] and alpha uint8 [H, W] to straight-alpha RGBA, uint8 [H, W, 4]."""
        self._photo = photo
        self._alpha = alpha
        self._estimate = estimate

    @cached_property
    def colours(self) -> Levels:
        """As of every foreground."""
        return self.rgba[..., :3]  # no closure over itself: a cycle would hold the photo until the garbage is collected

    @cached_property
    def rgba(self) -> Levels:
        """As of every foreground. In 16 bits, the photo's own levels changed by as much as the 8-bit ones were."""
        photo = self._photo
        # a photo with an alpha of its own has the subject's colours already, and what hides under it must not be read
        estimate = self._estimate if photo.alpha is None else graphs.plain
        rgba = estimate(photo.pixels, self._alpha)
        if photo.pixels16 is None:
            return rgba
        change = rgba[..., :3].astype(np.int32) - photo.pixels
        changed = (photo.pixels16 + change * 257).clip(0, 65535)
        levels = np.where(change == 0, photo.pixels16, changed).astype(np.uint16)
        return with_alpha(levels, self._alpha)


def with_alpha(colours: Levels, alpha: UInt8) -> Levels:
    """[H, W, 4] of the type of `colours`, uint8 or uint16 [H, W, 3]: straight alpha, zero where alpha, uint8 [H, W], is zero."""
    levels = np.empty((*alpha.shape, 4), colours.dtype)
    levels[..., :3] = colours
    levels[..., 3] = alpha if colours.dtype == np.uint8 else to_16_bit(alpha)
    levels[alpha == 0] = 0
    return levels


def _known(colours: Levels, alpha: UInt8) -> Foreground:
    return Foreground(lambda: colours, alpha)
