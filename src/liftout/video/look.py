"""What is written of each frame: the cutout, its matte, its colours, or the subject over something else."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from liftout.compose.background import covering
from liftout.compose.background import opaque as over_white
from liftout.cutout import Background, Cutout
from liftout.errors import ClipUnreadable, InputError, UsageError
from liftout.images import Photo, decode
from liftout.options import ResultOptions
from liftout.render import compose, each_is_several
from liftout.video.alphas import Matted
from liftout.video.frame import Frame
from liftout.video.library import FILM_SUFFIXES
from liftout.video.source import ANIMATED_PICTURES, Source, open_source

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Composed:
    """A frame that is ready to be written: pixels uint8 [H, W] (grey), [H, W, 3] or [H, W, 4]; chosen as in `Matted`."""

    pixels: UInt8
    frame: Frame
    chosen: UInt8 | None = None


class Look:
    """What `--mask`, `--fill`, `--background` and the edits of alpha make of a frame."""

    def __init__(
        self,
        result: ResultOptions,
        *,
        fill: bool,
        make_rgba: Callable[[UInt8, UInt8], UInt8],
        size: tuple[int, int],
        alpha: bool,
    ) -> None:
        """make_rgba: of the `Remover`. size: [height, width] of the frames. alpha: whether what is written can be transparent.

        Raises UsageError for options that exclude each other, InputError for a background that cannot be read.
        """
        if result.subjects == "each":
            raise each_is_several()
        if result.mask and fill:
            raise UsageError("asks for another film than the mask", field="fill", remedy="write one after the other")
        self._result, self._fill, self._size = result, fill, size
        self._make_rgba = make_rgba
        self._film: _FilmBehind | None = None
        self._behind: Background | None = None
        if not (result.mask or fill):
            self._read_background(alpha=alpha)

    @property
    def transparent(self) -> bool:
        """Whether frames have an alpha."""
        return not (self._result.mask or self._fill or self._film) and self._behind is None

    def composed(self, frames: Iterable[Matted]) -> Iterator[Composed]:
        """Every frame as it is written. Where nothing changes from one to the next, both share their pixels."""
        before: Matted | None = None
        pixels: UInt8 | None = None
        for matted in frames:
            repeats = before is not None and pixels is not None
            if not (
                repeats
                and self._film is None
                and matted.frame.pixels is before.frame.pixels  # type: ignore[union-attr]
                and matted.alpha is before.alpha  # type: ignore[union-attr]
            ):
                pixels = self.pixels(matted)
            before = matted
            assert pixels is not None  # noqa: S101
            yield Composed(pixels, matted.frame, matted.chosen)

    def pixels(self, matted: Matted) -> UInt8:
        """A frame as it is written, see `Composed`."""
        photo = Photo(pixels=matted.frame.pixels, alpha=matted.frame.alpha, name="frame")
        cutout = compose(Cutout(photo, matted.alpha, make_rgba=self._make_rgba), self._result)
        if self._result.mask:
            return cutout.alpha
        if self._fill:
            return np.ascontiguousarray(cutout.rgba[..., :3])
        behind = self._film.at(matted.frame.time) if self._film else self._behind
        return cutout.rgba if behind is None else np.asarray(cutout.composite(behind), np.uint8)

    def close(self) -> None:
        """Close the film of the background."""
        if self._film is not None:
            self._film.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_background(self, *, alpha: bool) -> None:
        background = self._result.background
        path = Path(background) if background else None
        if path is not None and path.is_file():
            if path.suffix.lower() in FILM_SUFFIXES or (path.suffix.lower() in ANIMATED_PICTURES and _moves(path)):
                self._film = _FilmBehind(open_source(path), self._size)
            else:
                self._behind = covering(decode(path), self._size)
        else:
            self._behind = background if alpha else over_white(background, "a film of this kind")
            if self._behind is not None:
                # A colour or a blur that is wrong says so before any work.
                Cutout(Photo(pixels=np.zeros((8, 8, 3), np.uint8)), np.full((8, 8), 255, np.uint8)).over(self._behind)


class _FilmBehind:
    """A film as a background: it covers the frame, and begins again where it ends."""

    def __init__(self, source: Source, size: tuple[int, int]) -> None:
        self._source, self._size = source, size
        self._frames = self._again_and_again()
        self._shown = next(self._frames)
        self._following = next(self._frames)
        self._covering = self._covered()

    def at(self, time: Fraction) -> UInt8:
        """The picture at a time, uint8 [H, W, 3]; times must not go back."""
        moved = False
        while self._following.time <= time:
            self._shown, self._following, moved = self._following, next(self._frames), True
        if moved:
            self._covering = self._covered()
        return self._covering

    def close(self) -> None:
        self._frames.close()
        self._source.close()

    def _again_and_again(self) -> Generator[Frame, None, None]:
        began = Fraction(0)
        while True:
            last: Frame | None = None
            for frame in self._source.frames():
                last = replace(frame, time=began + frame.origin)
                yield last
            if last is None:
                raise ClipUnreadable("no frame of it can be decoded", subject=self._source.path or "background")
            began = last.time + (last.duration or 1 / self._source.facts.rate)

    def _covered(self) -> UInt8:
        return covering(Photo(pixels=self._shown.pixels, alpha=self._shown.alpha), self._size)


def _moves(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return int(getattr(image, "n_frames", 1)) > 1
    except OSError as error:
        raise InputError(f"cannot be read ({error})", subject=path) from None
