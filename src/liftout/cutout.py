"""Cutout: the result a user holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TypeAlias, cast, get_args, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout import graphs
from liftout.compose import background as backgrounds
from liftout.compose.blend import blend, over_layer
from liftout.compose.canvas import part, placement, resized, scaled, scaled_alpha
from liftout.compose.feather import feathered, spread_colours
from liftout.compose.holes import fill_holes
from liftout.compose.shadow import Shadow, cast_shadow, default_lengths
from liftout.compose.subjects import largest_subject, subject_box
from liftout.errors import UsageError
from liftout.files import write_whole
from liftout.images import ImageInput, Photo, decode, encode, format_of
from liftout.images.colour import from_srgb
from liftout.images.levels import to_8_bit, to_16_bit
from liftout.images.metadata import without_location
from liftout.options import Position, check_canvas

UInt8 = npt.NDArray[np.uint8]
Levels = npt.NDArray[Any]
Background: TypeAlias = str | tuple[int, int, int] | tuple[int, int, int, int] | ImageInput
Box = tuple[int, int, int, int]

_NOTEBOOK_SIDE = 800


class Cutout:
    """A subject, lifted out: straight alpha over clean colours.

    cutout = remove("photo.jpg")
    cutout.save("cutout.png")
    cutout.save("on-white.jpg", background="white")
    cutout.crop(margin=20).save("tight.webp")
    cutout.largest().shadow().canvas(1200, 1200, position="bottom", margin=60).save("shop.jpg", background="#f4f4f4")

    Every method that changes something gives a new Cutout. A 16-bit photo stays 16-bit as far as the format can hold it.
    """

    def __init__(
        self, photo: Photo, alpha: UInt8, *, make_rgba: Callable[[UInt8, UInt8], UInt8] = graphs.cutout
    ) -> None:
        """photo: the decoded photo. alpha: uint8 [H, W], the subject's opacity (the photo's own alpha included).
        make_rgba: photo and alpha to straight-alpha RGBA, uint8 [H, W, 4], zero where alpha is zero."""
        self.photo = photo
        self.alpha = alpha
        self._make: Callable[[], Levels] = lambda: _foreground(photo, alpha, make_rgba)
        self._shadow: Shadow | None = None
        self._scene = (photo, alpha)
        self._window: backgrounds.Window | None = (0, 0, alpha.shape[1], alpha.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """[height, width] in pixels."""
        return cast("tuple[int, int]", self.alpha.shape)

    @cached_property
    def rgba(self) -> UInt8:
        """uint8 [H, W, 4]: straight alpha, in the photo's own colour space; colour is zero where alpha is zero."""
        return to_8_bit(self.levels) if self.levels.dtype != np.uint8 else self.levels

    @cached_property
    def levels(self) -> Levels:
        """`rgba` as deep as the photo: uint16 [H, W, 4] where that has 16 bits, uint8 elsewhere."""
        if self._shadow is None and self._made.shape[2] == 4:
            return self._made
        colours, alpha = self._colours, self.alpha
        if self._shadow is not None:
            fallen = cast_shadow(alpha, self._shadow)
            colours, alpha = over_layer(colours, alpha, fallen, self._own(self._shadow.colour))
        return _with_channel(colours, alpha)

    @property
    def image(self) -> Image.Image:
        """The cutout as a Pillow image, mode RGBA, with the photo's ICC profile in `info`."""
        return self._pillow(self.rgba)

    def mask(self) -> Image.Image:
        """The alpha as a grey Pillow image, mode L."""
        return Image.fromarray(self.alpha)

    @cached_property
    def box(self) -> Box | None:
        """(left, top, right, bottom) around the subject in pixels, right and bottom exclusive; None without a subject.

        Haze and specks do not widen it.
        """
        return subject_box(self.alpha)

    def over(self, background: Background) -> Image.Image:
        """The subject over a background, as a Pillow image, mode RGB, with the photo's ICC profile in `info`.

        background: a colour ("white", "#1e90ff", an (r, g, b) tuple); anything `remove` takes, scaled and cropped to cover;
        or "blur" or "blur:RADIUS", the photo itself out of focus. Colours are sRGB and brought into the photo's profile.
        Over an (r, g, b, a) tuple, which may be transparent, the image has mode RGBA.
        Raises UsageError for a background that is none of these.
        """
        return self._pillow(to_8_bit(self.composite(background)))

    def composite(self, background: Background) -> Levels:
        """Like `over`, as an array as deep as the photo: uint16 [H, W, 3] where that has 16 bits, uint8 elsewhere; over an
        (r, g, b, a) tuple [H, W, 4]."""
        if isinstance(background, tuple) and len(background) == 4:
            _check_levels(background, "background")
            alpha = to_8_bit(self.levels[..., 3])
            layer, opacity = self._own(background[:3]), background[3] / 255
            return _with_channel(*over_layer(self.levels[..., :3], alpha, opacity, layer))
        colours = self._colours
        behind: Levels = self._behind(background)
        if colours.dtype == np.uint16:
            behind = to_16_bit(behind)
        if self._shadow is None:
            return blend(colours, self.alpha, behind)
        fallen = cast_shadow(self.alpha, self._shadow)
        return blend(colours, self.alpha, behind, fallen, self._own(self._shadow.colour))

    def with_alpha(self, alpha: UInt8) -> Cutout:
        """The same photo under another alpha, uint8 [H, W]: a mask edited by hand, for example.

        What was empty and is subject now shows the photo's own colours.
        """
        if alpha.dtype != np.uint8 or alpha.shape != self.alpha.shape:
            raise UsageError(f"alpha is {alpha.dtype} {list(alpha.shape)}; it must be uint8 {list(self.alpha.shape)}")
        return self._with_alpha(alpha, self._patched(self.alpha == 0))

    def threshold(self, level: int) -> Cutout:
        """Opaque from alpha `level` (1..255) up, empty below: a hard edge."""
        if not 1 <= level <= 255:
            raise UsageError(f"threshold is {level}; it must be an alpha from 1 to 255")
        return self._with_alpha(np.where(self.alpha >= level, 255, 0).astype(np.uint8))

    def largest(self) -> Cutout:
        """Only the largest of several subjects that stand apart."""
        return self._with_alpha(largest_subject(self.alpha))

    def without_holes(self) -> Cutout:
        """What the subject encloses becomes subject, with the photo's own colours."""
        filled = fill_holes(self.alpha)
        return self._with_alpha(filled, self._patched(filled != self.alpha))

    def feather(self, radius: float) -> Cutout:
        """A softer edge: alpha blurred by a Gaussian of `radius` pixels, over the subject's own colours."""
        if not 0 <= radius <= 10_000:
            raise UsageError(f"feather is {radius}; it must be a radius of 0 or more pixels")
        if radius == 0:
            return self
        colours = self._make_colours_once
        return self._with_alpha(feathered(self.alpha, radius), lambda: spread_colours(colours(), self.alpha, radius))

    def shadow(
        self,
        *,
        opacity: float = 0.5,
        offset: tuple[float, float] | None = None,
        blur: float | None = None,
        colour: str | tuple[int, int, int] = "black",
    ) -> Cutout:
        """A soft drop shadow behind the subject.

        opacity: 0..1. offset: pixels to the right and down; blur: standard deviation in pixels; both suit the subject's
        size by default. colour: sRGB. `crop` and `canvas` make room for it.
        """
        if not 0 <= opacity <= 1:
            raise UsageError(f"shadow: opacity is {opacity}; it must be from 0 to 1")
        if blur is not None and not 0 <= blur <= 10_000:
            raise UsageError(f"shadow: blur is {blur}; it must be 0 or more pixels")
        shown = backgrounds.parse_colour(colour) if isinstance(colour, str) else colour
        if shown is None:
            raise UsageError(f"shadow: `{colour}` is no colour; try black or '#333'")
        if len(shown) != 3:
            raise UsageError(f"shadow: {colour!r} is not (r, g, b)")
        _check_levels(shown, "shadow")
        usual_offset, usual_blur = default_lengths(self.box or (0, 0, *self.size))
        derived = self._derived(self.photo, self.alpha, self._make_colours_once)
        derived._shadow = Shadow(
            colour=shown,
            opacity=opacity,
            offset=usual_offset if offset is None else offset,
            blur=usual_blur if blur is None else blur,
        )
        return derived

    def crop(self, margin: int = 0) -> Cutout:
        """The cutout around its subject, with `margin` pixels more on each side where the photo has them.

        A cutout without a subject is returned whole.
        """
        _check_margin(margin)
        if self.box is None:
            return self
        height, width = self.size
        left, top, right, bottom = self._shadow.around(self.box) if self._shadow else self.box
        left, top = max(0, left - margin), max(0, top - margin)
        return self.window(left, top, min(width, right + margin), min(height, bottom + margin))

    def window(self, left: int, top: int, right: int, bottom: int) -> Cutout:
        """The part of the picture from column `left` and row `top` up to column `right` and row `bottom`, these excluded.

        It may reach beyond the picture: there, nothing is visible.
        """
        if right <= left or bottom <= top:
            raise UsageError(f"window {left}, {top}, {right}, {bottom} is empty; right and bottom must be larger")
        check_canvas(right - left, bottom - top)
        box, photo, colours = (left, top, right, bottom), self.photo, self._make_colours_once
        shown = replace(
            photo,
            pixels=part(photo.pixels, box),
            deep=None if photo.deep is None else part(photo.deep, box),
            alpha=None if photo.alpha is None else part(photo.alpha, box),
        )
        derived = self._derived(shown, part(self.alpha, box), lambda: part(colours(), box))
        height, width = self.size
        inside = left >= 0 and top >= 0 and right <= width and bottom <= height
        if self._window is None or not inside:
            derived._window = None
            return derived
        across, down = (self._window[2] - self._window[0]) / width, (self._window[3] - self._window[1]) / height
        origin_left, origin_top = self._window[:2]
        derived._window = (
            origin_left + left * across,
            origin_top + top * down,
            origin_left + right * across,
            origin_top + bottom * down,
        )
        return derived

    def resize(self, width: int, height: int) -> Cutout:
        """The same cutout at width x height pixels; colours are weighted by alpha, so that none of the background gets in."""
        check_canvas(width, height)
        size = height, width
        if size == self.size:
            return self
        photo, colours, alpha = self.photo, self._make_colours_once, self.alpha
        box = (0, 0, alpha.shape[1], alpha.shape[0])
        small = replace(
            photo,
            pixels=resized(photo.pixels, size),
            deep=None if photo.deep is None else resized(photo.deep, size),
            alpha=None if photo.alpha is None else scaled_alpha(photo.alpha, box, size),
        )
        derived = self._derived(small, scaled_alpha(alpha, box, size), lambda: scaled(colours(), alpha, box, size)[0])
        if self._shadow:
            derived._shadow = self._shadow.scaled(min(height / self.size[0], width / self.size[1]))
        return derived

    def canvas(
        self,
        width: int,
        height: int,
        *,
        position: Position | tuple[float, float] = "center",
        margin: int = 0,
        enlarge: bool = False,
        fill: float = 1.0,
    ) -> Cutout:
        """The subject on an empty canvas of width x height pixels, as for product shots.

        It is made smaller until it fits with `margin` pixels on each side and takes at most the share `fill` of what is
        between them; larger only with `enlarge`. position: where it goes: center, top, bottom, left, right, top-left,
        top-right, bottom-left or bottom-right; or how much of the free space is left of it and above it, each 0..1.
        """
        _check_margin(margin)
        check_canvas(width, height)
        if isinstance(position, str):
            if position not in get_args(Position):
                raise UsageError(f"position is {position!r}; it must be one of {', '.join(get_args(Position))}")
        elif len(position) != 2 or not all(0 <= share <= 1 for share in position):
            raise UsageError(f"position is {position!r}; as a pair it must be two shares from 0 to 1")
        if not 0 < fill <= 1:
            raise UsageError(f"fill is {fill}; it must be above 0, up to 1")
        colours = np.zeros((height, width, 3), self._colours.dtype)
        alpha = np.zeros((height, width), np.uint8)
        shadow = self._shadow
        if self.box is not None:
            box = shadow.around(self.box) if shadow else self.box
            place = placement(box, width, height, position=position, margin=margin, enlarge=enlarge, fill=fill)
            rows = slice(place.top, place.top + place.height)
            columns = slice(place.left, place.left + place.width)
            colours[rows, columns], alpha[rows, columns] = scaled(
                self._colours, self.alpha, box, (place.height, place.width)
            )
            shadow = shadow.scaled(place.scale) if shadow else None
        photo = replace(
            self.photo, pixels=to_8_bit(colours), deep=colours if colours.dtype == np.uint16 else None, alpha=None
        )
        derived = self._derived(photo, alpha, lambda: colours)
        derived._shadow = shadow
        derived._window = None
        return derived

    def without_location(self) -> Cutout:
        """The same cutout, whose EXIF and XMP do not say where the photo was taken."""
        exif, xmp = without_location(self.photo.exif, self.photo.xmp)
        return self._derived(replace(self.photo, exif=exif, xmp=xmp), self.alpha, self._make_colours_once)

    def without_metadata(self) -> Cutout:
        """The same cutout without EXIF and XMP; the colour profile, which its colours need, and the resolution stay."""
        return self._derived(replace(self.photo, exif=None, xmp=None), self.alpha, self._make_colours_once)

    @overload
    def save(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        quality: int | None = None,
        background: Background | None = None,
        overwrite: bool = True,
    ) -> Path: ...

    @overload
    def save(
        self,
        path: IO[bytes],
        *,
        format: str | None = None,
        quality: int | None = None,
        background: Background | None = None,
    ) -> None: ...

    def save(
        self,
        path: str | os.PathLike[str] | IO[bytes],
        *,
        format: str | None = None,  # noqa: A002
        quality: int | None = None,
        background: Background | None = None,
        overwrite: bool = True,
    ) -> Path | None:
        """Write the cutout; the suffix chooses the format unless `format` does. JPEG has no alpha: it goes over white.

        path: a path, which is returned, or a binary file that is open for writing (png unless its name or `format` says
        otherwise). quality: 1..100 for webp, avif and jpeg. background: as for `over`. The photo's profile, EXIF, XMP and
        resolution go along. A file by path appears whole or not at all.
        Raises UnknownFormat, UsageError, OutputError, OutputExists (where `overwrite` is false).
        """
        if isinstance(path, str | os.PathLike):
            target = Path(path)
            content = self.to_bytes(format or target.name, quality=quality, background=background)
            write_whole(target, content, overwrite=overwrite)
            return target
        if not hasattr(path, "write"):
            raise UsageError(f"path is a {type(path).__name__}; give a path or a binary file that is open for writing")
        content = self.to_bytes(format or _format_of_stream(path), quality=quality, background=background)
        try:
            path.write(content)
        except TypeError:
            raise UsageError("the file is open as text; open it with mode 'wb'") from None
        return None

    def to_bytes(
        self,
        format: str = "png",  # noqa: A002
        *,
        quality: int | None = None,
        background: Background | None = None,
    ) -> bytes:
        """Bytes of a picture file: png, webp, avif, tiff or jpeg. quality: 1..100. background: as for `over`."""
        kind = format_of(format)
        if not kind.alpha:
            background = _opaque(background, kind.name)
        levels = self.levels if background is None else self.composite(background)
        photo = self.photo
        return encode(levels, kind, quality=quality, icc=photo.icc, exif=photo.exif, xmp=photo.xmp, dpi=photo.dpi)

    @cached_property
    def _made(self) -> Levels:
        """The subject's colours, uint8 or uint16 [H, W, 3]; or uint8 [H, W, 4] where `levels` is known at once."""
        return self._make()

    @property
    def _colours(self) -> Levels:
        """The subject's colours, uint8 or uint16 [H, W, 3]; of no meaning where alpha is zero."""
        return self._made[..., :3]

    @property
    def _make_colours_once(self) -> Callable[[], Levels]:
        """For a cutout derived from this one: its colours, computed when first needed and by this one only."""
        return lambda: self._colours

    def _patched(self, where: npt.NDArray[np.bool_]) -> Callable[[], Levels]:
        """This cutout's colours, those of the photo itself where bool [H, W] says so."""
        own = self.photo.pixels if self.photo.deep is None else self.photo.deep
        return lambda: np.where(where[..., None], own, self._colours)

    def _with_alpha(self, alpha: UInt8, colours: Callable[[], Levels] | None = None) -> Cutout:
        return self._derived(self.photo, alpha, colours or self._make_colours_once)

    def _derived(self, photo: Photo, alpha: UInt8, colours: Callable[[], Levels]) -> Cutout:
        derived = Cutout(photo, alpha)
        derived._make = colours
        derived._shadow, derived._scene, derived._window = self._shadow, self._scene, self._window
        return derived

    def _behind(self, background: Background) -> UInt8:
        """uint8 [H, W, 3], or [3] for a colour, in the photo's colour space."""
        if isinstance(background, tuple):
            if len(background) != 3:
                raise UsageError(f"background is {background!r}; as a tuple it must be (r, g, b) or (r, g, b, a)")
            _check_levels(background, "background")
            return self._own(background)
        if isinstance(background, str):
            colour = backgrounds.parse_colour(background)
            if colour is not None:
                return self._own(colour)
            radius = backgrounds.parse_blur(background)
            if radius is not None:
                photo, alpha = self._scene
                return backgrounds.blurred_scene(photo.pixels, alpha, self.size, self._window, radius)
            if not Path(background).is_file():
                raise UsageError(
                    f"background `{background}` is neither a colour nor a file; try white, '#1e90ff', blur or photo.jpg"
                )
        return from_srgb(backgrounds.covering(decode(background), self.size), self.photo.icc)

    def _own(self, colour: tuple[int, int, int]) -> Levels:
        """An sRGB colour in the photo's colour space and depth."""
        levels = from_srgb(np.array([[colour]], np.uint8), self.photo.icc)[0, 0]
        return levels if self.photo.deep is None else to_16_bit(levels)

    def _pillow(self, pixels: UInt8) -> Image.Image:
        image = Image.fromarray(pixels)
        if self.photo.icc:
            image.info["icc_profile"] = self.photo.icc
        if self.photo.dpi:
            image.info["dpi"] = self.photo.dpi
        return image

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """`rgba`, for numpy.asarray(cutout)."""
        return np.array(self.rgba, dtype, copy=copy)

    def _repr_png_(self) -> bytes:
        """What a notebook shows: the cutout, at most 800 pixels wide and high."""
        height, width = self.size
        shrink = min(1.0, _NOTEBOOK_SIDE / max(height, width))
        return (
            self.resize(max(1, round(width * shrink)), max(1, round(height * shrink)))
            .without_metadata()
            .to_bytes("png")
        )

    def __getstate__(self) -> dict[str, Any]:
        """For pickle: with its colours computed, so that it needs no model where it is read."""
        fixed = {name: self.__dict__[name] for name in ("photo", "alpha", "_shadow", "_scene", "_window")}
        return {**fixed, "_made": self._made}

    def __repr__(self) -> str:
        height, width = self.size
        return f"<Cutout of {self.photo.name}, {width} x {height}, {float(self.alpha.mean()) / 255:.0%} subject>"


def _foreground(photo: Photo, alpha: UInt8, make_rgba: Callable[[UInt8, UInt8], UInt8]) -> Levels:
    """RGBA, uint8 [H, W, 4]; of a 16-bit photo the subject's colours, uint16 [H, W, 3], its own levels moved by as much as the
    8-bit ones were."""
    if photo.alpha is not None:
        # it has the subject's own colours already, and what hides under its alpha must not be read
        make_rgba = graphs.plain
    rgba = make_rgba(photo.pixels, alpha)
    if photo.deep is None:
        return rgba
    moved = rgba[..., :3].astype(np.int32) - photo.pixels
    return np.where(moved == 0, photo.deep, (photo.deep + moved * 257).clip(0, 65535)).astype(np.uint16)


def _with_channel(colours: Levels, alpha: UInt8) -> Levels:
    """[H, W, 4] of the kind of `colours`: straight alpha, zero where alpha is."""
    levels = np.empty((*alpha.shape, 4), colours.dtype)
    levels[..., :3] = colours
    levels[..., 3] = alpha if colours.dtype == np.uint8 else to_16_bit(alpha)
    levels[alpha == 0] = 0
    return levels


def _format_of_stream(stream: IO[bytes]) -> str:
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) and Path(name).suffix else "png"


def _opaque(background: Background | None, format_name: str) -> Background:
    """A background for a format without transparency: white where there is none. Raises UsageError for a transparent one."""
    if background is None:
        return "white"
    if isinstance(background, tuple) and len(background) == 4:
        if background[3] != 255:
            raise UsageError(
                f"background {background!r} is transparent, and {format_name} has no transparency; choose png"
            )
        return background[:3]
    return background


def _check_levels(colour: tuple[int, ...], where: str) -> None:
    if not all(isinstance(level, int | np.integer) and 0 <= level <= 255 for level in colour):
        raise UsageError(f"{where} {colour!r}: each level must be from 0 to 255")


def _check_margin(margin: int) -> None:
    if margin < 0:
        raise UsageError(f"margin is {margin}; it must be 0 or more pixels")
