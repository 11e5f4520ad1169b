"""Animated pictures: GIF, WebP and APNG, read with Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from liftout.errors import ClipUnreadable, one_line
from liftout.images.decode import check_size
from liftout.options import DEFAULT_MAX_PIXELS
from liftout.video.colour import matrix_for, usual_colours
from liftout.video.frame import Frame
from liftout.video.source import Facts, parse_size

_MILLISECOND = Fraction(1, 1000)
_NO_DURATION = Fraction(1, 10)
"""What browsers show frames for that state no duration, or one below 20 ms."""
_SHORTEST = Fraction(2, 100)


class PictureSource:
    """See `liftout.video.source.Source`."""

    def __init__(self, path: Path, *, size: str | None = None, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        """size: what frames are scaled to, see `parse_size`. Raises ClipUnreadable, ImageTooLarge, UsageError."""
        self.path: Path | None = path
        self.damage = ""
        self._scaled = size is not None
        try:
            self._image = Image.open(path, formats=("GIF", "WEBP", "PNG"))
        except (UnidentifiedImageError, OSError) as error:
            raise ClipUnreadable(f"not a picture that can be read ({one_line(error, 100)})", subject=path) from None
        try:
            height, width = self._image.height, self._image.width
            check_size(height, width, max_pixels, str(path))
            if size is not None:
                height, width = parse_size(size, (height, width))
        except BaseException:
            self._image.close()
            raise
        count = int(getattr(self._image, "n_frames", 1))
        durations = [_duration(self._image)]
        self.facts = Facts(
            size=(height, width),
            time_base=_MILLISECOND,
            rate=1 / durations[0],
            frames=count,
            colours=usual_colours(matrix_for(width, height)),
        )

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[Frame]:
        """See `Source.frames`."""
        time = Fraction(0)
        for index in range(int(getattr(self._image, "n_frames", 1))):
            try:
                self._image.seek(index)
                picture = self._image.convert("RGBA")
            except (EOFError, OSError, SyntaxError, ValueError) as error:
                self.damage = f"cannot be read after {float(time):.1f} s ({one_line(error, 100)})"
                return
            duration = _duration(self._image)
            if time >= start:
                yield self._frame(picture, time, duration)
            time += duration

    def stop(self) -> None:
        """See `Source.stop`; a file never lets its reader wait."""

    def close(self) -> None:
        """See `Source.close`."""
        self._image.close()

    def _frame(self, picture: Image.Image, time: Fraction, duration: Fraction) -> Frame:
        if self._scaled:
            picture = picture.resize(self.facts.size[::-1], Image.Resampling.BICUBIC)
        levels = np.asarray(picture)
        alpha = np.ascontiguousarray(levels[..., 3])
        opaque = bool((alpha == 255).all())
        return Frame(np.ascontiguousarray(levels[..., :3]), None if opaque else alpha, time, time, duration)


def _duration(image: Image.Image) -> Fraction:
    milliseconds = Fraction(round(float(image.info.get("duration", 0) or 0)), 1000)
    return milliseconds if milliseconds >= _SHORTEST else _NO_DURATION
