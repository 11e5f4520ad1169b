"""Cutout: the result a user holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout import graphs
from liftout.compose.background import Background, opaque
from liftout.compose.canvas import check_margin
from liftout.compose.composition import Composition
from liftout.compose.geometry import Box
from liftout.compose.holes import fill_holes
from liftout.compose.shadow import shadow_of
from liftout.compose.subjects import largest_subjects, separate_subjects, subject_box
from liftout.errors import UsageError
from liftout.files import write_to_stream, write_whole
from liftout.images import Photo, encode, format_of, from_bgr
from liftout.images.channels import to_8_bit
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
    hold it.
    """

    def __init__(
        self, photo: Photo, alpha: UInt8, *, make_rgba: Callable[[UInt8, UInt8], UInt8] = graphs.cutout
    ) -> None:
        """photo: the decoded photo. alpha: uint8 [H, W], the subject's opacity (the photo's own alpha included).
        make_rgba: pixels and alpha to straight-alpha RGBA, uint8 [H, W, 4], zero where alpha is zero."""
        self._composition = Composition.of_photo(photo, alpha, make_rgba)

    @property
    def photo(self) -> Photo:
        """The decoded photo."""
        return self._composition.photo

    @property
    def alpha(self) -> UInt8:
        """uint8 [H, W]: the subject's opacity, 255 is subject."""
        return self._composition.alpha

    @property
    def size(self) -> tuple[int, int]:
        """[height, width] in pixels."""
        return self._composition.size

    @cached_property
    def rgba(self) -> UInt8:
        """uint8 [H, W, 4]: straight alpha, in the photo's own colour space; colour is zero where alpha is zero."""
        return to_8_bit(self.levels)

    @cached_property
    def levels(self) -> Levels:
        """`rgba` in as many bits as the photo: uint16 [H, W, 4] where that has 16, uint8 elsewhere."""
        return self._composition.rgba()

    @property
    def bgra(self) -> UInt8:
        """`rgba` with blue first, as OpenCV wants it: `cv2.imwrite("cutout.png", cutout.bgra)`."""
        return from_bgr(self.rgba)

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
        "blur" or "blur:RADIUS", the photo itself out of focus; or a gradient, "linear:FROM:TO", "linear:FROM:TO:DEGREES" or
        "radial:FROM:TO". Colours are sRGB and brought into the photo's profile.
        Over an (r, g, b, a) tuple, which may be transparent, the image has mode RGBA.
        Raises UsageError for a background that is none of these, InputError for a picture that cannot be read.
        """
        return self._pillow(to_8_bit(self.composite(background)))

    def composite(self, background: Background) -> Levels:
        """Like `over`, as an array in as many bits as the photo: uint16 [H, W, 3] where that has 16, uint8 elsewhere; over an
        (r, g, b, a) tuple [H, W, 4]."""
        return self._composition.over(background)

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
        return self._of(self._composition.with_alpha(alpha, restored=self.alpha == 0))

    def threshold(self, level: int) -> Cutout:
        """Opaque from alpha `level` (1..255) up, empty below: a hard edge."""
        if not 1 <= level <= 255:
            raise UsageError(f"is {level}", field="threshold", remedy="it must be an alpha from 1 to 255")
        return self._of(self._composition.with_alpha(np.where(self.alpha >= level, 255, 0).astype(np.uint8)))

    def largest(self, count: int = 1) -> Cutout:
        """Only the largest of several subjects that stand apart, or the `count` largest."""
        if count < 1:
            raise UsageError(f"is {count}", field="count", remedy="it must be a number of subjects, 1 or more")
        return self._of(self._composition.with_alpha(largest_subjects(self.alpha, count)))

    def subjects(self, tell_apart: Callable[[UInt8], Iterable[UInt8]] = separate_subjects) -> Iterator[Cutout]:
        """Each subject that stands apart as a cutout of its own, the largest first; none without a subject.

            for number, subject in enumerate(cutout.subjects(), 1):
                subject.crop().save(f"{number}.png")

        Together they are this cutout: small pieces belong to the subject that they hang together with, or to the nearest. A part counts as a
        subject from a hundredth of the largest one's pixels up; there are at most 32. `Remover.subjects` also knows those that touch.
        tell_apart: from an alpha, uint8 [H, W], to those of its subjects.
        """
        for alpha in tell_apart(self.alpha):
            yield self._of(self._composition.with_alpha(alpha))

    def without_holes(self) -> Cutout:
        """Holes inside the subject are filled with the photo's own colours."""
        alpha = fill_holes(self.alpha)
        return self._of(self._composition.with_alpha(alpha, restored=alpha != self.alpha))

    def feather(self, radius: float) -> Cutout:
        """A softer edge: alpha blurred by a Gaussian of `radius` pixels, over the subject's own colours."""
        if not 0 <= radius <= 10_000:
            raise UsageError(f"is {radius}", field="feather", remedy="it must be a radius of 0 or more pixels")
        return self._of(self._composition.feathered(radius)) if radius else self

    def shadow(
        self,
        *,
        opacity: float = 0.5,
        offset: tuple[float, float] | None = None,
        blur: float | None = None,
        colour: str | tuple[int, int, int] = "black",
        contact: float = 0,
    ) -> Cutout:
        """A soft drop shadow behind the subject, and where `contact` says so a flat one where it stands on the ground.

        opacity: 0..1. offset: pixels to the right and down; blur: standard deviation in pixels; by default both follow from
        the subject's size. colour: sRGB. contact: opacity of the flat shadow, 0..1. `crop` and `canvas` make room for both.
        """
        shadow = shadow_of(
            self.box or (0, 0, *self.size), opacity=opacity, offset=offset, blur=blur, colour=colour, contact=contact
        )
        return self._of(replace(self._composition, shadow=shadow))

    def crop(self, margin: int = 0) -> Cutout:
        """The cutout around its subject, with `margin` pixels more on each side where the photo has them.

        A cutout without a subject is returned whole.
        """
        check_margin(margin)
        if self.box is None:
            return self
        height, width = self.size
        left, top, right, bottom = self._composition.with_shadow_around(self.box)
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
        return self._of(self._composition.window((left, top, right, bottom)))

    def resize(self, width: int, height: int) -> Cutout:
        """The same cutout at width x height pixels; colours are weighted by alpha, so that no background gets into its edges."""
        check_canvas(width, height)
        size = height, width
        return self if size == self.size else self._of(self._composition.resized(size))

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
        return self._of(
            self._composition.on_canvas(
                self.box, (height, width), position=position, margin=margin, enlarge=enlarge, fill=fill
            )
        )

    def at_resolution(self, dpi: float) -> Cutout:
        """The same cutout, whose files say that they are printed with `dpi` pixels per inch."""
        return self._of(replace(self._composition, photo=replace(self.photo, dpi=(dpi, dpi))))

    def without_location(self) -> Cutout:
        """The same cutout, whose EXIF and XMP do not say where the photo was taken."""
        exif, xmp = without_location(self.photo.exif, self.photo.xmp)
        return self._of(replace(self._composition, photo=replace(self.photo, exif=exif, xmp=xmp)))

    def without_metadata(self) -> Cutout:
        """The same cutout without EXIF and XMP; the colour profile, which its colours need, and the resolution stay."""
        return self._of(replace(self._composition, photo=replace(self.photo, exif=None, xmp=None)))

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
            background = opaque(background, kind.name)
        levels = self.levels if background is None else self.composite(background)
        photo = self.photo
        return encode(levels, kind, quality=quality, icc=photo.icc, exif=photo.exif, xmp=photo.xmp, dpi=photo.dpi)

    @classmethod
    def _of(cls, composition: Composition) -> Cutout:
        cutout = cls.__new__(cls)
        cutout._composition = composition
        return cutout

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
        return {"_composition": self._composition}

    def __repr__(self) -> str:
        height, width = self.size
        return f"<Cutout of {self.photo.name}, {width} x {height}, {float(self.alpha.mean()) / 255:.0%} subject>"
