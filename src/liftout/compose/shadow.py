"""A soft drop shadow: the subject's outline, moved, blurred and darkened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from liftout.compose.background import checked_colour, parse_colour
from liftout.compose.geometry import Box
from liftout.errors import UsageError

UInt8 = npt.NDArray[np.uint8]

LARGEST_BLUR = 10_000
"""Standard deviation in pixels: more than any photo is wide would only take time."""
_DROP = 0.02
_SOFTNESS = 0.025
_SEEN_SIGMAS = 2


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """How a shadow falls. Lengths in pixels. Raises UsageError for an opacity or a blur outside its range."""

    colour: tuple[int, int, int] = (0, 0, 0)
    """sRGB."""
    opacity: float = 0.5
    """Of the shadow where it is darkest, 0..1."""
    offset: tuple[float, float] = (0, 0)
    """To the right and down."""
    blur: float = 10
    """Standard deviation of the Gaussian."""

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise UsageError(f"opacity is {self.opacity}", field="shadow", remedy="it must be from 0 to 1")
        if not 0 <= self.blur <= LARGEST_BLUR:
            raise UsageError(f"blur is {self.blur}", field="shadow", remedy="it must be 0 or more pixels")

    def around(self, box: Box) -> Box:
        """The box of a subject, widened by its shadow as far as that can be seen."""
        left, top, right, bottom = box
        (across, down), reach = self.offset, _SEEN_SIGMAS * self.blur
        return (
            min(left, round(left + across - reach)),
            min(top, round(top + down - reach)),
            max(right, round(right + across + reach)),
            max(bottom, round(bottom + down + reach)),
        )

    def scaled(self, scale: float) -> Shadow:
        """The same shadow of a subject that is `scale` times as large."""
        across, down = self.offset
        return Shadow(
            colour=self.colour, opacity=self.opacity, offset=(across * scale, down * scale), blur=self.blur * scale
        )


def shadow_of(
    box: Box,
    *,
    opacity: float,
    offset: tuple[float, float] | None,
    blur: float | None,
    colour: str | tuple[int, int, int],
) -> Shadow:
    """The shadow of a subject in `box`. offset, blur: None for lengths that suit its size. colour: sRGB. Raises UsageError."""
    parsed = parse_colour(colour) if isinstance(colour, str) else colour
    if parsed is None:
        raise UsageError(f"`{colour}` is not a colour", field="shadow", remedy="try black or '#333'")
    usual_offset, usual_blur = default_lengths(box)
    return Shadow(
        colour=checked_colour(parsed, "shadow"),
        opacity=opacity,
        offset=usual_offset if offset is None else offset,
        blur=usual_blur if blur is None else blur,
    )


def default_lengths(box: Box) -> tuple[tuple[float, float], float]:
    """Offset (right, down) and blur in pixels that suit the size of a subject in `box`."""
    longest = max(box[2] - box[0], box[3] - box[1])
    return (0.0, longest * _DROP), max(longest * _SOFTNESS, 1.0)


def cast_shadow(alpha: UInt8, shadow: Shadow) -> npt.NDArray[np.float32]:
    """Opacity of the shadow behind a subject, float32 [H, W] in 0..1. alpha: uint8 [H, W]."""
    height, width = alpha.shape
    across, down = (round(value) for value in shadow.offset)
    reach = int(np.ceil(3 * shadow.blur))
    outline = Image.new("L", (width + 2 * reach, height + 2 * reach))
    outline.paste(Image.fromarray(alpha), (reach + across, reach + down))
    if shadow.blur > 0:
        outline = outline.filter(ImageFilter.GaussianBlur(shadow.blur))
    darkness = np.asarray(outline)[reach : reach + height, reach : reach + width]
    return darkness.astype(np.float32) * np.float32(shadow.opacity / 255)
