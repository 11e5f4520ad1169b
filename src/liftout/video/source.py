"""Clips to read: films, animated pictures, raw frames. All give upright frames in the order of their times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from liftout.errors import ClipUnreadable, UsageError
from liftout.options import DEFAULT_MAX_PIXELS, check_canvas
from liftout.video.colour import Colours
from liftout.video.frame import Frame

ANIMATED_PICTURES = (".gif", ".webp", ".png", ".apng")
"""Suffixes of pictures that may move; Pillow reads them."""


@dataclass
class Facts:
    """What is known of a clip before its frames are read."""

    size: tuple[int, int]
    """[height, width], upright."""
    time_base: Fraction
    """Seconds of which every frame's time is a multiple."""
    rate: Fraction
    """Frames a second, on average."""
    frames: int | None
    """How many there are; None where that is not known, else an estimate."""
    colours: Colours = field(default_factory=Colours)
    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel by its height."""


class Source(Protocol):
    """A clip that is open."""

    path: Path | None
    """None for a stream."""
    facts: Facts
    damage: str
    """What could not be read, known once all frames were asked for; empty where all could."""

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[Frame]:
        """Frames from `start` seconds on; their `time` is their `origin`. Ends where a damaged file ends."""
        ...

    def stop(self) -> None:
        """No more frames are needed: `frames` ends soon, also where it waits for some. From any thread."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def parse_size(text: str, size: tuple[int, int]) -> tuple[int, int]:
    """[height, width] from `1280x720`, `1280x` or `x720`. size: [height, width] of the source. Raises UsageError."""
    width, cross, height = text.lower().strip().partition("x")
    if (
        not cross
        or not (width or height)
        or not all(side == "" or (side.isascii() and side.isdigit()) for side in (width, height))
    ):
        raise UsageError(
            f"`{text}` is not a size", field="size", remedy="give WIDTHxHEIGHT, or one of both as in 1280x"
        )
    across = int(width) if width else max(1, round(int(height) * size[1] / size[0]))
    down = int(height) if height else max(1, round(int(width) * size[0] / size[1]))
    check_canvas(across, down, "size")
    return down, across


def open_source(path: Path, *, size: str | None = None, max_pixels: int = DEFAULT_MAX_PIXELS) -> Source:
    """Open a film or an animated picture. size: what frames are scaled to, see `parse_size`.

    Raises ClipUnreadable, ImageTooLarge, UsageError, ExtraMissing.
    """
    if not path.exists():
        raise ClipUnreadable("no such file", subject=path)
    if path.is_dir():
        raise ClipUnreadable("is a folder", subject=path, remedy="give the file of a film")
    if path.suffix.lower() in ANIMATED_PICTURES:
        from liftout.video.pictures import PictureSource

        return PictureSource(path, size=size, max_pixels=max_pixels)
    from liftout.video.film import FilmSource

    return FilmSource(path, size=size, max_pixels=max_pixels)
