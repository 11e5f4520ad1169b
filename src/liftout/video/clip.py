"""A clip that is open, from its frames to its cutouts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from liftout.cutout import Cutout
from liftout.errors import UsageError
from liftout.images import Photo
from liftout.options import VideoOptions
from liftout.remover import Remover
from liftout.video.ahead import ahead
from liftout.video.alphas import Matted, matted
from liftout.video.follow import followed
from liftout.video.pace import paced, seconds
from liftout.video.prompts import read_prompts
from liftout.video.source import Facts, Source, open_source
from liftout.video.steady import REACH, steadied
from liftout.video.views import LEAST_RATE, key_before

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class CutFrame:
    """One frame, cut out.

    photo: the frame. alpha: uint8 [H, W], 255 is subject. time: seconds since the beginning of the clip, or of the part of it that
    is cut.
    """

    photo: Photo
    alpha: UInt8
    time: float
    make_rgba: Callable[[UInt8, UInt8], UInt8]

    @cached_property
    def cutout(self) -> Cutout:
        """The frame as the result that a photo gives: with colours, backgrounds, files."""
        return Cutout(self.photo, self.alpha, make_rgba=self.make_rgba)

    @property
    def rgba(self) -> UInt8:
        """uint8 [H, W, 4]: straight alpha over the subject's own colours."""
        return self.cutout.rgba


class Clip:
    """A film, an animated picture or raw frames, and the model that cuts them out. See `liftout.video.open`."""

    def __init__(self, source: Source, remover: Remover, options: VideoOptions) -> None:
        """source: closed with the clip; remover: is not. Raises UsageError."""
        self.source, self.remover, self.options = source, remover, options
        self.start = seconds(options.start, "start") if options.start is not None else Fraction(0)
        self.end = seconds(options.end, "end") if options.end is not None else None
        if self.end is not None and self.end <= self.start:
            raise UsageError(f"{options.end} is not after the start", field="end", remedy="give a later time")
        self.fps = Fraction(str(options.fps)) if options.fps is not None else None
        self.said = read_prompts(options, size=self.facts.size, start=self.start, end=self.end)
        """What was said of the subject, by time."""
        self._closer = options.steady > 0 and not self.said and self.rate >= LEAST_RATE

    @property
    def name(self) -> str:
        """For messages."""
        return "standard input" if self.source.path is None else str(self.source.path)

    @property
    def facts(self) -> Facts:
        """Size, rate and length of the source."""
        return self.source.facts

    @property
    def damage(self) -> str:
        """What of the file could not be read, after its frames were asked for; empty where all could."""
        return self.source.damage

    @property
    def time_base(self) -> Fraction:
        """Seconds of which the times of what is written are multiples."""
        return 1 / self.fps if self.fps else self.facts.time_base

    @property
    def rate(self) -> Fraction:
        """Frames a second of what is written, on average."""
        return self.fps or self.facts.rate

    @property
    def frames(self) -> int | None:
        """How many frames will be written, nearly; None where that is not known."""
        if self.facts.frames is None:
            return None
        length = Fraction(self.facts.frames) / self.facts.rate
        end = length if self.end is None else min(length, self.end)
        return max(0, round((end - self.start) * self.rate))

    @property
    def reach(self) -> int:
        """Frames before another one that its alpha depends on."""
        return REACH if self.options.steady > 0 else 0

    def needed_for(self, origin: Fraction) -> Fraction:
        """The `origin` from which on frames are needed for the alpha that the model gives the one at `origin`."""
        return max(self.start, key_before(origin)) if self._closer else origin

    def cut(self) -> Iterator[CutFrame]:
        """Every frame with its alpha, in order. Memory holds a few frames at a time."""
        with self.matted() as frames:
            for one in frames:
                time = float(one.frame.time)
                photo = Photo(pixels=one.frame.pixels, alpha=one.frame.alpha, name=f"frame at {time:.3f} s")
                yield CutFrame(photo, one.alpha, time, self.remover.make_rgba)

    @contextmanager
    def matted(self, after: Fraction | None = None, chosen: UInt8 | None = None) -> Iterator[Iterator[Matted]]:
        """Frames and their alphas; decoding, the network and the correction each run in threads of their own.

        after: an `origin` from which on frames are needed, as `needed_for` gave it. chosen: what was chosen there, see `Matted`.
        """
        with ExitStack() as stack:
            wanted = paced(self.source, start=self.start, end=self.end, fps=self.fps, after=after)
            decoded = stack.enter_context(ahead(wanted))
            if self.said:
                found = followed(self.remover, decoded, self.said, after=after, begun=chosen)
            else:
                found = matted(self.remover, decoded, closer=self._closer)
            alphas = steadied(found, self.options.steady)
            running = stack.enter_context(ahead(alphas))
            stack.callback(self.source.stop)
            yield running

    def close(self) -> None:
        """Close the file."""
        self.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_clip(path: str | os.PathLike[str], remover: Remover, options: VideoOptions, *, max_pixels: int) -> Clip:
    """Open a file as a clip. Raises ClipUnreadable, ImageTooLarge, UsageError."""
    source = open_source(Path(path), size=options.size, max_pixels=max_pixels)
    try:
        return Clip(source, remover, options)
    except BaseException:
        source.close()
        raise
