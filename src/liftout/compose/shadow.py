"""Shadows of a subject: its outline, moved, blurred and darkened; and a flat one where it stands on the ground.

The second is the lowest part of the subject pressed flat about the line that it stands on, and blurred."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from liftout.compose.background import checked_colour, parse_colour
from liftout.compose.geometry import Box
from liftout.compose.subjects import subject_box
from liftout.errors import UsageError

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

LARGEST_BLUR = 10_000
"""Standard deviation in pixels: more than any photo is wide would only take time."""
_DROP = 0.02
_SOFTNESS = 0.025
_SEEN_SIGMAS = 2
_FOOT = 0.1
"""Of the subject's height: the part that casts the contact shadow."""
_FLAT = 0.035
"""Height of the contact shadow before it is blurred, of the subject's width or height, whichever is smaller."""
_CONTACT_SOFTNESS = 0.01
"""Standard deviation of the contact shadow's blur, of the same."""


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
    contact: float = 0
    """Opacity of the flat shadow where the subject stands on the ground, 0..1; its lengths follow from the subject's size."""

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise UsageError(f"opacity is {self.opacity}", field="shadow", remedy="it must be from 0 to 1")
        if not 0 <= self.contact <= 1:
            raise UsageError(f"contact is {self.contact}", field="shadow", remedy="it must be from 0 to 1")
        if not 0 <= self.blur <= LARGEST_BLUR:
            raise UsageError(f"blur is {self.blur}", field="shadow", remedy="it must be 0 or more pixels")

    def around(self, box: Box) -> Box:
        """The box of a subject, widened by its shadow as far as that can be seen."""
        left, top, right, bottom = box
        if self.opacity:
            (across, down), reach = self.offset, _SEEN_SIGMAS * self.blur
            left = min(left, round(box[0] + across - reach))
            top = min(top, round(box[1] + down - reach))
            right = max(right, round(box[2] + across + reach))
            bottom = max(bottom, round(box[3] + down + reach))
        if self.contact:
            flat, blur = _contact_lengths(box)
            reach = _SEEN_SIGMAS * blur
            left, right = min(left, round(box[0] - reach)), max(right, round(box[2] + reach))
            bottom = max(bottom, round(box[3] + flat / 2 + reach))
        return left, top, right, bottom

    def scaled(self, scale: float) -> Shadow:
        """The same shadow of a subject that is `scale` times as large."""
        across, down = self.offset
        return replace(self, offset=(across * scale, down * scale), blur=self.blur * scale)


def shadow_of(
    box: Box,
    *,
    opacity: float,
    offset: tuple[float, float] | None,
    blur: float | None,
    colour: str | tuple[int, int, int],
    contact: float = 0,
) -> Shadow:
    """The shadow of a subject in `box`. offset, blur: None for lengths that suit its size. colour: sRGB. contact: opacity of
    the flat shadow. Raises UsageError."""
    parsed = parse_colour(colour) if isinstance(colour, str) else colour
    if parsed is None:
        raise UsageError(f"`{colour}` is not a colour", field="shadow", remedy="try black or '#333'")
    usual_offset, usual_blur = default_lengths(box)
    return Shadow(
        colour=checked_colour(parsed, "shadow"),
        opacity=opacity,
        offset=usual_offset if offset is None else offset,
        blur=usual_blur if blur is None else blur,
        contact=contact,
    )


def default_lengths(box: Box) -> tuple[tuple[float, float], float]:
    """Offset (right, down) and blur in pixels that suit the size of a subject in `box`."""
    longest = max(box[2] - box[0], box[3] - box[1])
    return (0.0, longest * _DROP), max(longest * _SOFTNESS, 1.0)


def cast_shadow(alpha: UInt8, shadow: Shadow) -> Float32:
    """Opacity of the shadow behind a subject, float32 [H, W] in 0..1. alpha: uint8 [H, W]."""
    darkness = _dropped(alpha, shadow) if shadow.opacity else np.zeros(alpha.shape, np.float32)
    box = subject_box(alpha) if shadow.contact else None
    if box is None:
        return darkness
    contact = _pressed_flat(alpha, box).astype(np.float32) * np.float32(shadow.contact / 255)
    return darkness + contact * (1 - darkness)


def _dropped(alpha: UInt8, shadow: Shadow) -> Float32:
    """The outline, moved and blurred."""
    height, width = alpha.shape
    across, down = (round(value) for value in shadow.offset)
    reach = int(np.ceil(3 * shadow.blur))
    outline = Image.new("L", (width + 2 * reach, height + 2 * reach))
    outline.paste(Image.fromarray(alpha), (reach + across, reach + down))
    if shadow.blur > 0:
        outline = outline.filter(ImageFilter.GaussianBlur(shadow.blur))
    darkness = np.asarray(outline)[reach : reach + height, reach : reach + width]
    return darkness.astype(np.float32) * np.float32(shadow.opacity / 255)


def _pressed_flat(alpha: UInt8, box: Box) -> UInt8:
    """The lowest part of what lies in a box, pressed flat about the box's lower edge and blurred: uint8 [H, W]."""
    left, top, right, bottom = box
    flat, blur = _contact_lengths(box)
    foot = Image.fromarray(alpha[bottom - max(1, math.floor((bottom - top) * _FOOT + 0.5)) : bottom, left:right])
    ground = Image.new("L", (alpha.shape[1], alpha.shape[0]))
    ground.paste(foot.resize((right - left, flat), Image.Resampling.BILINEAR), (left, bottom - flat // 2))
    return np.asarray(ground.filter(ImageFilter.GaussianBlur(blur)))


def _contact_lengths(box: Box) -> tuple[int, float]:
    """Height of the flat shadow of a subject in `box`, in pixels, and the standard deviation of its blur."""
    shorter = min(box[2] - box[0], box[3] - box[1])
    return max(1, math.floor(shorter * _FLAT + 0.5)), max(shorter * _CONTACT_SOFTNESS, 1.0)
