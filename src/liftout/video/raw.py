"""Raw frames from a pipe, as `ffmpeg -f rawvideo` writes them: rows of pixels, nothing else."""

from __future__ import annotations

import os
import select
import threading
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

_PATIENCE = 0.1
"""Seconds after which a read that waits looks whether it is still wanted."""


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
        self._stopped = threading.Event()
        self._pipe = _descriptor(stream)
        colours = usual_colours(matrix_for(width, height))
        self.facts = Facts(size=size, time_base=1 / rate, rate=rate, frames=None, colours=colours)

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[Frame]:
        """See `Source.frames`."""
        channels = _CHANNELS[self._pixel]
        height, width = self.facts.size
        step, count = self.facts.time_base, 0
        while content := self._read(height * width * channels):
            if len(content) < height * width * channels:
                self.damage = f"ends in the middle of frame {count + 1}"
                return
            levels = np.frombuffer(content, np.uint8).reshape(height, width, channels)
            time, count = count * step, count + 1
            if time >= start:
                yield self._frame(levels, time)

    def stop(self) -> None:
        """See `Source.stop`."""
        self._stopped.set()

    def close(self) -> None:
        """See `Source.close`; the stream stays open."""

    def _read(self, count: int) -> bytes:
        """So many bytes; fewer at the end of the stream, or where no more are needed."""
        if self._pipe is None:
            return self._stream.read(count)
        parts: list[bytes] = []
        while count:
            while not self._stopped.is_set() and not select.select([self._pipe], [], [], _PATIENCE)[0]:
                pass
            part = b"" if self._stopped.is_set() else os.read(self._pipe, count)
            if not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _frame(self, levels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], time: Fraction) -> Frame:
        colours = np.repeat(levels, 3, axis=2) if self._pixel == "gray" else levels[..., :3]
        if self._pixel.startswith("bgr"):
            colours = colours[..., ::-1]
        alpha = np.ascontiguousarray(levels[..., 3]) if levels.shape[2] == 4 else None
        return Frame(np.ascontiguousarray(colours), alpha, time, time, self.facts.time_base)


def _descriptor(stream: IO[bytes]) -> int | None:
    """The number of a pipe that can be watched, with nothing of it in a buffer yet; None for other streams."""
    try:
        return None if os.name == "nt" else stream.fileno()
    except (AttributeError, OSError):
        return None
