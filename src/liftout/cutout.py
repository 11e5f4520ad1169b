"""Cutout: the result a user holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout import graphs
from liftout.compose import background as backgrounds
from liftout.compose.background import Background, Scene
from liftout.compose.blend import blend, over_layer
from liftout.compose.canvas import check_margin, on_canvas
from liftout.compose.feather import feathered, spread_colours
from liftout.compose.foreground import EstimatedForeground, Foreground, with_alpha
from liftout.compose.geometry import Box, part, part_of_photo, resized_alpha, resized_colours, resized_photo
from liftout.compose.holes import fill_holes
from liftout.compose.shadow import Shadow, cast_shadow, shadow_of
from liftout.compose.subjects import largest_subject, subject_box
from liftout.errors import UsageError
from liftout.files import write_to_stream, write_whole
from liftout.images import Photo, encode, format_of
from liftout.images.levels import to_8_bit, to_16_bit
from liftout.images.metadata import without_location
from liftout.options import Position, check_canvas

__all__ = ["Background", "Cutout"]

UInt8 = npt.NDArray[np.uint8]
Levels = npt.NDArray[Any]

_NOTEBOOK_SIDE = 800


class Cutout:
    """A subject, lifted out: straight alpha over clean colours.

    cutout = remove("photo.jpg")
    cutout.save("cutout.png")
    cutout.save("on-white.jpg", background="white")
    cutout.crop(margin=20).save("tight.webp")
    cutout.largest().shadow().canvas(1200, 1200, position="bottom", margin=60).save("shop.jpg", background="#f4f4f4")

    A cutout never changes: every method that edits gives a new one. A 16-bit photo stays 16-bit as far as the format can
    hold it. `photo` is the decoded photo, `alpha` the subject's opacity, uint8 [H, W], 255 is subject.
    """

    def __init__(
        self,
        photo: Photo,
        alpha: UInt8,
        *,
        make_rgba: Callable[[UInt8, UInt8], UInt8] = graphs.cutout,
        foreground: Foreground | None = None,
        shadow: Shadow | None = None,
        scene: Scene | None = None,
    ) -> None:
        """photo: the decoded photo. alpha: uint8 [H, W], the subject's opacity (the photo's own alpha included).
        make_rgba: pixels and alpha to straight-alpha RGBA, uint8 [H, W, 4], zero where alpha is zero.
        foreground, shadow, scene: the subject's colours, the shadow it casts, and the photo behind it, where they come from
        another cutout; by default `make_rgba` gives the colours, there is no shadow, and the photo is the scene."""
        self.photo = photo
        self.alpha = alpha
        self._foreground = foreground or EstimatedForeground(photo, alpha, make_rgba)
        self._shadow = shadow
        self._scene = scene or Scene(photo.pixels, alpha, (0, 0, alpha.shape[1], alpha.shape[0]))

    @property
    def size(self) -> tuple[int, int]:
        """[height, width] in pixels."""
        return cast("tuple[int, int]", self.alpha.shape)

    @cached_property
    def rgba(self) -> UInt8:
        """uint8 [H, W, 4]: straight alpha, in the photo's own colour space; colour is zero where alpha is zero."""
        return to_8_bit(self.levels)

    @cached_property
    def levels(self) -> Levels:
        """`rgba` in as many bits as the photo: uint16 [H, W, 4] where that has 16, uint8 elsewhere."""
        if self._shadow is None:
            return self._foreground.rgba
        opacity = cast_shadow(self.alpha, self._shadow)
        return with_alpha(*over_layer(self._foreground.colours, self.alpha, opacity, self._own(self._shadow.colour)))

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
        Raises UsageError for a background that is none of these, InputError for a picture that cannot be read.
        """
        return self._pillow(to_8_bit(self.composite(background)))

    def composite(self, background: Background) -> Levels:
        """Like `over`, as an array in as many bits as the photo: uint16 [H, W, 3] where that has 16, uint8 elsewhere; over an
        (r, g, b, a) tuple [H, W, 4]."""
        if isinstance(background, tuple) and len(background) == 4:
            backgrounds.check_levels(background, "background")
            alpha = to_8_bit(self.levels[..., 3])
            layer, opacity = self._own(background[:3]), background[3] / 255
            return with_alpha(*over_layer(self.levels[..., :3], alpha, opacity, layer))
        colours = self._foreground.colours
        behind: Levels = backgrounds.read_background(background, self._scene, self.size, self.photo.icc)
        if colours.dtype == np.uint16:
            behind = to_16_bit(behind)
        if self._shadow is None:
            return blend(colours, self.alpha, behind)
        return blend(colours, self.alpha, behind, cast_shadow(self.alpha, self._shadow), self._own(self._shadow.colour))

    def with_alpha(self, alpha: UInt8) -> Cutout:
        """The same photo under another alpha, uint8 [H, W]: a mask edited by hand, for example.

        What was empty and is subject now shows the photo's own colours. Raises UsageError for another shape or type.
        """
        if alpha.dtype != np.uint8 or alpha.shape != self.alpha.shape:
            raise UsageError(
                f"is {alpha.dtype} {list(alpha.shape)}",
                field="alpha",
                remedy=f"it must be uint8 {list(self.alpha.shape)}",
            )
        return self._derived(alpha=alpha, colours=self._colours_with_photo(self.alpha == 0))

    def threshold(self, level: int) -> Cutout:
        """Opaque from alpha `level` (1..255) up, empty below: a hard edge."""
        if not 1 <= level <= 255:
            raise UsageError(f"is {level}", field="threshold", remedy="it must be an alpha from 1 to 255")
        return self._derived(alpha=np.where(self.alpha >= level, 255, 0).astype(np.uint8))

    def largest(self) -> Cutout:
        """Only the largest of several subjects that stand apart."""
        return self._derived(alpha=largest_subject(self.alpha))

    def without_holes(self) -> Cutout:
        """Holes inside the subject are filled with the photo's own colours."""
        filled = fill_holes(self.alpha)
        return self._derived(alpha=filled, colours=self._colours_with_photo(filled != self.alpha))

    def feather(self, radius: float) -> Cutout:
        """A softer edge: alpha blurred by a Gaussian of `radius` pixels, over the subject's own colours."""
        if not 0 <= radius <= 10_000:
            raise UsageError(f"is {radius}", field="feather", remedy="it must be a radius of 0 or more pixels")
        if radius == 0:
            return self
        foreground, alpha = self._foreground, self.alpha
        return self._derived(
            alpha=feathered(alpha, radius), colours=lambda: spread_colours(foreground.colours, alpha, radius)
        )

    def shadow(
        self,
        *,
        opacity: float = 0.5,
        offset: tuple[float, float] | None = None,
        blur: float | None = None,
        colour: str | tuple[int, int, int] = "black",
    ) -> Cutout:
        """A soft drop shadow behind the subject.

        opacity: 0..1. offset: pixels to the right and down; blur: standard deviation in pixels; by default both follow from
        the subject's size. colour: sRGB. `crop` and `canvas` make room for it.
        """
        shadow = shadow_of(self.box or (0, 0, *self.size), opacity=opacity, offset=offset, blur=blur, colour=colour)
        return self._derived(foreground=self._foreground, shadow=shadow)

    def crop(self, margin: int = 0) -> Cutout:
        """The cutout around its subject, with `margin` pixels more on each side where the photo has them.

        A cutout without a subject is returned whole.
        """
        check_margin(margin)
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
            raise UsageError(
                f"{left}, {top}, {right}, {bottom} is empty", field="window", remedy="right and bottom must be larger"
            )
        check_canvas(right - left, bottom - top)
        box, photo, foreground = (left, top, right, bottom), self.photo, self._foreground
        return self._derived(
            photo=part_of_photo(photo, box),
            alpha=part(self.alpha, box),
            colours=lambda: part(foreground.colours, box),
            scene=self._scene.part(box, self.size),
        )

    def resize(self, width: int, height: int) -> Cutout:
        """The same cutout at width x height pixels; colours are weighted by alpha, so that no background gets into its edges."""
        check_canvas(width, height)
        size = height, width
        if size == self.size:
            return self
        photo, foreground, alpha = self.photo, self._foreground, self.alpha
        scale = min(height / self.size[0], width / self.size[1])
        return self._derived(
            photo=resized_photo(photo, size),
            alpha=resized_alpha(alpha, size),
            colours=lambda: resized_colours(foreground.colours, alpha, size),
            shadow=self._shadow.scaled(scale) if self._shadow else None,
        )

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
        shadow, box = self._shadow, self.box
        if shadow and box:
            box = shadow.around(box)
        colours, alpha, scale = on_canvas(
            self._foreground.colours,
            self.alpha,
            box,
            (height, width),
            position=position,
            margin=margin,
            enlarge=enlarge,
            fill=fill,
        )
        pixels16 = colours if colours.dtype == np.uint16 else None
        return self._derived(
            photo=replace(self.photo, pixels=to_8_bit(colours), pixels16=pixels16, alpha=None),
            alpha=alpha,
            colours=lambda: colours,
            shadow=shadow.scaled(scale) if shadow else None,
            scene=replace(self._scene, window=None),
        )

    def without_location(self) -> Cutout:
        """The same cutout, whose EXIF and XMP do not say where the photo was taken."""
        exif, xmp = without_location(self.photo.exif, self.photo.xmp)
        return self._derived(photo=replace(self.photo, exif=exif, xmp=xmp), foreground=self._foreground)

    def without_metadata(self) -> Cutout:
        """The same cutout without EXIF and XMP; the colour profile, which its colours need, and the resolution stay."""
        return self._derived(photo=replace(self.photo, exif=None, xmp=None), foreground=self._foreground)

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
        name = getattr(path, "name", None)
        suffix = name if isinstance(name, str) and Path(name).suffix else "png"
        write_to_stream(path, self.to_bytes(format or suffix, quality=quality, background=background))
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
            background = backgrounds.opaque(background, kind.name)
        levels = self.levels if background is None else self.composite(background)
        photo = self.photo
        return encode(levels, kind, quality=quality, icc=photo.icc, exif=photo.exif, xmp=photo.xmp, dpi=photo.dpi)

    def _derived(
        self,
        *,
        photo: Photo | None = None,
        alpha: UInt8 | None = None,
        colours: Callable[[], Levels] | None = None,
        foreground: Foreground | None = None,
        shadow: Shadow | None = None,
        scene: Scene | None = None,
    ) -> Cutout:
        """A cutout that is like this one except for what is given. Its colours are computed when first needed: by `colours`,
        or as this one's."""
        alpha = self.alpha if alpha is None else alpha
        if foreground is None:
            own = self._foreground
            foreground = Foreground(colours or (lambda: own.colours), alpha)
        return Cutout(
            photo or self.photo,
            alpha,
            foreground=foreground,
            shadow=shadow or self._shadow,
            scene=scene or self._scene,
        )

    def _colours_with_photo(self, where: npt.NDArray[np.bool_]) -> Callable[[], Levels]:
        """This cutout's colours, and the photo's own where bool [H, W] says so."""
        own, foreground = self.photo.pixels if self.photo.pixels16 is None else self.photo.pixels16, self._foreground
        return lambda: np.where(where[..., None], own, foreground.colours)

    def _own(self, colour: tuple[int, int, int]) -> Levels:
        """An sRGB colour in the photo's colour space, in as many bits as the photo."""
        levels = backgrounds.in_colour_space(colour, self.photo.icc)
        return levels if self.photo.pixels16 is None else to_16_bit(levels)

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
        small = self.resize(max(1, round(width * shrink)), max(1, round(height * shrink)))
        return small.without_metadata().to_bytes("png")

    def __getstate__(self) -> dict[str, Any]:
        """For pickle: with its colours computed, so that it needs no model where it is read."""
        return {name: self.__dict__[name] for name in ("photo", "alpha", "_foreground", "_shadow", "_scene")}

    def __repr__(self) -> str:
        height, width = self.size
        return f"<Cutout of {self.photo.name}, {width} x {height}, {float(self.alpha.mean()) / 255:.0%} subject>"
