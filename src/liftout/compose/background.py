"""What lies behind a subject: a colour, a gradient, a picture, or the photo itself out of focus."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageFilter

from liftout.compose.geometry import Box
from liftout.compose.gradient import LINEAR, RADIAL, Gradient
from liftout.errors import UsageError
from liftout.images import ImageInput, Photo, decode
from liftout.images.colour import from_srgb

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Window = tuple[float, float, float, float]
Colour = tuple[int, int, int]
TransparentColour = tuple[int, int, int, int]
Background: TypeAlias = str | Colour | TransparentColour | ImageInput
"""A colour, a picture, `blur`, or a gradient as text."""

BLUR = "blur"
_BLUR_SHARE = 0.02
"""Default radius of the blur, of the photo's longer side."""
_WHITE = 255
_TOUCHED = 8
"""Alpha from which a pixel of the photo carries the subject's colours, and is not used for the background's."""
_WHOLE = 0.999
_FILL_FACTOR = 4
"""The subject is painted over at a quarter of the resolution, or less: what is painted is smooth."""


@dataclass(frozen=True, eq=False)
class Scene:
    """The photo that a cutout was made of, and which part of it the cutout shows.

    pixels: uint8 [H, W, 3]. alpha: uint8 [H, W], the subject. window: (left, top, right, bottom) in pixels of the photo;
    None where the cutout shows no part of it, as on a canvas.
    """

    pixels: UInt8
    alpha: UInt8
    window: Window | None

    def part(self, box: Box, size: tuple[int, int]) -> Scene:
        """The scene of a part of a cutout. box: the part, in pixels of the cutout; size: [height, width] of the cutout."""
        left, top, right, bottom = box
        height, width = size
        if self.window is None or left < 0 or top < 0 or right > width or bottom > height:
            return replace(self, window=None)
        first, above, last, below = self.window
        across, down = (last - first) / width, (below - above) / height
        window = (first + left * across, above + top * down, first + right * across, above + bottom * down)
        return replace(self, window=window)

    def blurred(self, size: tuple[int, int], radius: float) -> UInt8:
        """`blurred_scene` of this one."""
        return blurred_scene(self.pixels, self.alpha, size, self.window, radius)


def read_background(background: Background, scene: Scene, size: tuple[int, int], icc: bytes | None) -> UInt8:
    """What lies behind a cutout of `size` [height, width], in the colour space of `icc`: uint8 [H, W, 3], or [3] for a colour.

    background: a colour as [R, G, B] or by name, `blur` with or without a radius, a gradient such as `linear:white:#ccc`, a
    picture's path, or the picture. scene: the photo, which `blur` blurs. icc: profile of the photo, None for sRGB.
    Raises UsageError where it is none of these, InputError for a picture that cannot be read.
    """
    if isinstance(background, tuple):
        return in_colour_space(checked_colour(background, "background"), icc)
    if isinstance(background, str):
        colour = parse_colour(background)
        if colour is not None:
            return in_colour_space(colour, icc)
        radius = parse_blur(background)
        if radius is not None:
            return scene.blurred(size, radius)
        gradient = parse_gradient(background)
        if gradient is not None:
            return from_srgb(gradient.levels(size), icc)
        if not Path(background).is_file():
            raise UsageError(
                f"`{background}` is neither a colour nor a file",
                field="background",
                remedy="try white, '#1e90ff', linear:white:#ccc, blur or photo.jpg",
            )
    return from_srgb(covering(decode(background), size), icc)


def opaque(background: Background | None, format_name: str) -> Background:
    """A background for a file format without transparency: white where there is none. Raises UsageError for a transparent one."""
    if background is None:
        return "white"
    if isinstance(background, tuple) and len(background) == 4:
        if background[3] != 255:
            raise UsageError(
                f"{background!r} is transparent, and {format_name} has no transparency",
                field="background",
                remedy="choose png",
            )
        return background[:3]
    return background


def in_colour_space(colour: Colour, icc: bytes | None) -> UInt8:
    """An sRGB colour in the colour space of `icc`, uint8 [3]."""
    levels: UInt8 = from_srgb(np.array([[colour]], np.uint8), icc)[0, 0]
    return levels


def checked_colour(colour: tuple[int, ...], where: str) -> Colour:
    """(r, g, b), as it is. where: what the message calls it. Raises UsageError where it is none."""
    if len(colour) != 3:
        raise UsageError(f"is {colour!r}", field=where, remedy="a colour as a tuple must be (r, g, b)")
    check_levels(colour, where)
    return colour


def check_levels(colour: tuple[int, ...], where: str) -> None:
    """Raise UsageError where a level of a colour is none of 0..255. where: what the message calls it."""
    if not all(isinstance(level, int | np.integer) and 0 <= level <= 255 for level in colour):
        raise UsageError(f"is {colour!r}", field=where, remedy="each level must be from 0 to 255")


def parse_colour(text: str) -> tuple[int, int, int] | None:
    """(r, g, b) of a CSS colour name, #hex, rgb() or hsl(); None where the text is no colour.

    Raises UsageError for a colour with transparency: a background is opaque.
    """
    try:
        levels = ImageColor.getrgb(text)
    except ValueError:
        return None
    if len(levels) == 4 and levels[3] != 255:
        raise UsageError(
            f"`{text}` is transparent", field="background", remedy="give an opaque colour, or no background"
        )
    return levels[:3]


def parse_blur(text: str) -> float | None:
    """Radius in pixels of `blur` (0: as large as suits the photo) or `blur:RADIUS`; None where the text is neither.

    Raises UsageError where the radius is none.
    """
    word, colon, radius = text.partition(":")
    if word != BLUR:
        return None
    if not colon:
        return 0.0
    try:
        value = float(radius)
    except ValueError:
        value = math.nan
    if not 0 < value <= 10_000:
        raise UsageError(f"`{text}`: the radius must be a number of pixels above 0, as in blur:20", field="background")
    return value


def parse_gradient(text: str) -> Gradient | None:
    """The gradient of `linear:FROM:TO`, `linear:FROM:TO:DEGREES` or `radial:FROM:TO`; None where the text begins otherwise.

    Raises UsageError where its colours or its angle are none.
    """
    word, *parts = text.split(":")
    if word not in (LINEAR, RADIAL):
        return None
    colours = [parse_colour(part) for part in parts[:2]]
    first, last = colours if len(colours) == 2 else (None, None)
    angle = _angle(parts[2:]) if word == LINEAR else None
    if first is None or last is None or len(parts) > (3 if word == LINEAR else 2) or (word == LINEAR and angle is None):
        example = "linear:white:#cccccc:45" if word == LINEAR else "radial:white:#cccccc"
        raise UsageError(f"`{text}` is not a gradient", field="background", remedy=f"give colours as in {example}")
    return Gradient(first=first, last=last, angle=angle)


def _angle(parts: list[str]) -> float | None:
    """Degrees, 180 (downwards) where nothing is said; None where it is no number."""
    if not parts:
        return 180
    try:
        angle = float(parts[0])
    except ValueError:
        return None
    return angle if math.isfinite(angle) else None


def covering(photo: Photo, size: tuple[int, int]) -> UInt8:
    """A picture scaled to cover `size` [height, width] and cropped about its centre: uint8 [H, W, 3], sRGB.

    Where the picture is transparent, white shows.
    """
    pixels = photo.seen_through(_WHITE)
    height, width = size
    scale = max(height / pixels.shape[0], width / pixels.shape[1])
    region_width, region_height = width / scale, height / scale
    left, top = (pixels.shape[1] - region_width) / 2, (pixels.shape[0] - region_height) / 2
    box = (left, top, left + region_width, top + region_height)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, box=box))


def blurred_scene(pixels: UInt8, alpha: UInt8, size: tuple[int, int], window: Window | None, radius: float) -> UInt8:
    """The photo without its subject, out of focus.

    pixels: uint8 [H, W, 3], the whole photo. alpha: uint8 [H, W], its subject. size: [height, width] of the result.
    window: the part of the photo to show (left, top, right, bottom); None covers `size` with the photo.
    radius: standard deviation of the Gaussian in pixels of the result; 0 chooses one.

    The subject's place is first filled from what surrounds it (push and pull over a pyramid: Gortler et al. 1996, "The
    Lumigraph", section 3.4.1, doi:10.1145/237170.237200), so that none of its colours bleed out. The work is done at a
    resolution that the blur leaves nothing of.
    """
    photo_height, photo_width = alpha.shape
    height, width = size
    if window is None:
        scale = max(height / photo_height, width / photo_width)
        across, down = width / scale, height / scale
        window = ((photo_width - across) / 2, (photo_height - down) / 2, 0, 0)
        window = (window[0], window[1], window[0] + across, window[1] + down)
    else:
        scale = width / (window[2] - window[0])
    sigma = radius / scale if radius else _BLUR_SHARE * max(photo_height, photo_width)
    factor = max(1, min(int(sigma / 3), photo_height, photo_width))
    photo = Image.fromarray(_without_subject(pixels, alpha, factor))
    soft = photo.filter(ImageFilter.GaussianBlur(sigma / factor))
    box = tuple(min(max(edge / factor, 0), limit) for edge, limit in zip(window, (*soft.size, *soft.size), strict=True))
    return np.asarray(soft.resize((width, height), Image.Resampling.BICUBIC, box=cast("Window", box)))


def _without_subject(pixels: UInt8, alpha: UInt8, factor: int) -> UInt8:
    """The photo reduced by `factor`, its subject painted over: uint8 [ceil(H / factor), ceil(W / factor), 3]."""
    coarse = max(factor, _FILL_FACTOR)
    weight = (alpha < _TOUCHED).astype(np.float32)
    known = _eroded(_reduced(weight, coarse) > _WHOLE)
    if not known.any():  # the subject is everywhere: there is only its own blur to show
        return np.asarray(Image.fromarray(pixels).reduce(factor))
    total = np.stack([_reduced(pixels[..., channel] * weight, coarse) for channel in range(3)], axis=-1)
    filled = Image.fromarray(np.rint(_filled(total, known)).astype(np.uint8))
    if coarse == factor:
        return np.asarray(filled)
    photo = Image.fromarray(pixels).reduce(factor)
    subject = Image.fromarray(np.where(known, 0, 255).astype(np.uint8)).resize(photo.size, Image.Resampling.NEAREST)
    return np.asarray(Image.composite(filled.resize(photo.size, Image.Resampling.BILINEAR), photo, subject))


def _filled(colours: Float32, mask: npt.NDArray[np.bool_]) -> Float32:
    """float32 [h, w, 3]: `colours` where `mask` says that they are known, elsewhere what their surroundings suggest."""
    known = mask.astype(np.float32)
    pyramid = [(colours * known[..., None], known)]
    while max(pyramid[-1][1].shape) > 1:
        sums, weights = pyramid[-1]
        reduced = np.stack([_reduced(sums[..., channel], 2) for channel in range(3)], axis=-1)
        share = _reduced(weights, 2)
        enough = np.maximum(share, 1e-6)
        full = np.minimum(share * 4, 1)  # one known pixel of four is as good as four
        pyramid.append((reduced / enough[..., None] * full[..., None], full))
    sums, weights = pyramid.pop()
    guess = sums / np.maximum(weights, 1e-6)[..., None]
    while pyramid:
        sums, weights = pyramid.pop()
        height, width = weights.shape
        grown = np.stack(
            [
                np.asarray(Image.fromarray(guess[..., channel]).resize((width, height), Image.Resampling.BILINEAR))
                for channel in range(3)
            ],
            axis=-1,
        )
        guess = sums + grown * (1 - weights)[..., None]
    return guess.clip(0, 255)


def _eroded(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The mask without its outermost ring, unless that is all of it: cells there hold pixels that the subject coloured."""
    rows = np.pad(mask, ((1, 1), (0, 0)), mode="edge")
    rows = rows[:-2] & rows[1:-1] & rows[2:]
    columns = np.pad(rows, ((0, 0), (1, 1)), mode="edge")
    inner = columns[:, :-2] & columns[:, 1:-1] & columns[:, 2:]
    return inner if inner.any() else mask


def _reduced(plane: Float32, factor: int) -> Float32:
    return np.asarray(Image.fromarray(plane).reduce(factor)) if factor > 1 else plane
