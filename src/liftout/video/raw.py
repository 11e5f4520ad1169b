"""Raw frames from a pipe, as `ffmpeg -f rawvideo` writes them: rows of pixels, nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, Literal

import numpy as np

from liftout.images.decode import check_size
from liftout.options import DEFAULT_MAX_PIXELS
from liftout.video.colour import matrix_for, usual_colours
from liftout.video.frame import Frame
from liftout.video.source import Facts

PixelFormat = Literal["rgb24", "bgr24", "rgba", "bgra", "gray"]
PIXEL_FORMATS: tuple[PixelFormat, ...] = ("rgb24", "bgr24", "rgba", "bgra", "gray")
_CHANNELS = {"rgb24": 3, "bgr24": 3, "rgba": 4, "bgra": 4, "gray": 1}


class RawSource:
    """See `liftout.video.source.Source`. Its frames can be asked for once."""

    def __init__(
        self,
        stream: IO[bytes],
        size: tuple[int, int],
        pixel: PixelFormat = "rgb24",
        rate: Fraction = Fraction(25),
        *,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        """size: [height, width]. rate: frames a second. Raises ImageUnreadable, ImageTooLarge."""
        height, width = size
        check_size(height, width, max_pixels, "standard input")
        self.path: Path | None = None
        self.damage = ""
        self._stream, self._pixel = stream, pixel
        colours = usual_colours(matrix_for(width, height))
        self.facts = Facts(size=size, time_base=1 / rate, rate=rate, frames=None, colours=colours)

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[Frame]:
        """See `Source.frames`."""
        channels = _CHANNELS[self._pixel]
        height, width = self.facts.size
        step, count = self.facts.time_base, 0
        while content := self._stream.read(height * width * channels):
            if len(content) < height * width * channels:
                self.damage = f"ends in the middle of frame {count + 1}"
                return
            levels = np.frombuffer(content, np.uint8).reshape(height, width, channels)
            time, count = count * step, count + 1
            if time >= start:
                yield self._frame(levels, time)

    def close(self) -> None:
        """See `Source.close`; the stream stays open."""

    def _frame(self, levels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], time: Fraction) -> Frame:
        colours = np.repeat(levels, 3, axis=2) if self._pixel == "gray" else levels[..., :3]
        if self._pixel.startswith("bgr"):
            colours = colours[..., ::-1]
        alpha = np.ascontiguousarray(levels[..., 3]) if levels.shape[2] == 4 else None
        return Frame(np.ascontiguousarray(colours), alpha, time, time, self.facts.time_base)
