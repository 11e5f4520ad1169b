"""Frames into packets: one part of a film, or a whole animated picture, in a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from liftout.errors import OutputError, one_line
from liftout.machine import usable_cores
from liftout.video.colour import Colours, tag, to_frame
from liftout.video.look import Composed
from liftout.video.targets import Encoding, Target

UInt8 = npt.NDArray[np.uint8]

DEFAULT_QUALITY = 75
_KEY_SECONDS = 5
_GIF_ALPHA = 128


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an encoder has to know of the film. size: [height, width]. time_base: seconds that times are multiples of. quality: 1..100.
    bitrate: bits a second, which takes the place of a quality."""

    target: Target
    transparent: bool
    size: tuple[int, int]
    time_base: Fraction
    rate: Fraction
    colours: Colours
    pixel_aspect: Fraction = Fraction(1)
    quality: int | None = None
    bitrate: int | None = None

    @property
    def encoding(self) -> Encoding:
        """The encoding that suits."""
        return self.target.with_alpha if self.transparent and self.target.with_alpha else self.target.opaque


class Encoder:
    """Writes one file. It is complete once it is closed; an error leaves it incomplete.

    with Encoder(path, "matroska", settings) as encoder:
        encoder.write(frame)
    """

    def __init__(self, path: Path, container: str, settings: Settings) -> None:
        """container: FFmpeg's name. Raises OutputError where the encoder is missing or refuses the film."""
        self._settings, self._path = settings, path
        encoding = settings.encoding
        if encoding.codec not in av.codecs_available:
            raise OutputError(
                f"this build of PyAV has no encoder {encoding.codec}",
                subject=path,
                remedy="write .webm, or install PyAV from PyPI (pip install av)",
            )
        height, width = settings.size
        self._padding = ((0, height % 2), (0, width % 2)) if encoding.even else ((0, 0), (0, 0))
        options = {"loop": "0"} if container == "webp" else {"plays": "0"} if container == "apng" else {}
        try:
            self._container = av.open(str(path), "w", format=container, options=options)
            self._stream = self._add_stream(encoding, height + self._padding[0][1], width + self._padding[1][1])
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise OutputError(f"cannot be written ({one_line(error, 200)})", subject=path) from None
        self._palette = _Palette(settings.size, settings.time_base) if encoding.codec == "gif" else None

    def write(self, composed: Composed, time: Fraction) -> None:
        """Add a frame at `time`, in seconds; times rise."""
        settings = self._settings
        pixels = composed.pixels
        if any(after for _, after in self._padding):
            pixels = np.pad(pixels, (*self._padding, *([(0, 0)] * (pixels.ndim - 2))), mode="edge")
        if self._palette is not None:
            for frame in self._palette.frames(pixels, round(time / settings.time_base)):
                self._encode(frame)
            return
        frame = to_frame(pixels, settings.encoding.pixel_format, settings.colours)
        frame.pts = round(time / settings.time_base)
        frame.time_base = settings.time_base
        duration = composed.frame.duration or 1 / settings.rate
        frame.duration = max(1, round(duration / settings.time_base))
        self._encode(frame)

    def close(self) -> None:
        """Write what is still in the encoder, and the end of the file."""
        if self._palette is not None:
            for frame in self._palette.frames(None, 0):
                self._encode(frame)
        self._encode(None)
        self._container.close()

    def discard(self) -> None:
        """Stop without completing the file."""
        self._container.close()

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise OutputError(f"cannot be encoded ({one_line(error, 200)})", subject=self._path) from None

    def _add_stream(self, encoding: Encoding, height: int, width: int) -> Any:
        settings = self._settings
        stream: Any = self._container.add_stream(
            encoding.codec, rate=settings.rate.limit_denominator(1_001), options=self._options()
        )
        stream.height, stream.width, stream.pix_fmt = height, width, encoding.pixel_format
        context = stream.codec_context
        context.time_base = settings.time_base
        context.sample_aspect_ratio = settings.pixel_aspect
        context.thread_count = usable_cores()
        if not settings.target.picture:
            context.gop_size = max(1, round(_KEY_SECONDS * settings.rate))
        if settings.bitrate is not None:
            stream.bit_rate = settings.bitrate
        elif settings.target.crf is not None:
            stream.bit_rate = 0
        if encoding.pixel_format.startswith("yuv"):
            tag(context, settings.colours)
        return stream

    def _options(self) -> dict[str, str]:
        settings = self._settings
        quality = DEFAULT_QUALITY if settings.quality is None else settings.quality
        options = dict(settings.encoding.options)
        if settings.target.crf is not None and settings.bitrate is None:
            best, worst = settings.target.crf
            options["crf"] = str(round(best + (worst - best) * (100 - quality) / 100))
        if settings.encoding.codec == "libwebp_anim":
            options["quality"] = str(quality)
        return options


class _Palette:
    """Frames of a GIF: each has the 255 colours that suit it best, and one that is transparent."""

    def __init__(self, size: tuple[int, int], time_base: Fraction) -> None:
        self._time_base = time_base
        self._graph = av.filter.Graph()
        height, width = size
        source = self._graph.add_buffer(
            width=width, height=height, format=av.VideoFormat("rgba"), time_base=time_base, name="in"
        )
        split = self._graph.add("split")
        generated = self._graph.add("palettegen", "stats_mode=single:reserve_transparent=1")
        used = self._graph.add("paletteuse", f"new=1:alpha_threshold={_GIF_ALPHA}")
        sink = self._graph.add("buffersink")
        source.link_to(split)
        split.link_to(used, 0, 0)
        split.link_to(generated, 1, 0)
        generated.link_to(used, 0, 1)
        used.link_to(sink)
        self._graph.configure()

    def frames(self, pixels: UInt8 | None, pts: int) -> Iterator[av.VideoFrame]:
        """Frames in 8 bits that are ready once `pixels` was added; at the end, None gives the rest."""
        if pixels is None:
            self._graph.vpush(None)
        else:
            if pixels.ndim == 2:
                pixels = np.dstack([pixels] * 3)
            if pixels.shape[2] == 3:
                pixels = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgba")
            frame.pts, frame.time_base = pts, self._time_base
            self._graph.vpush(frame)
        while True:
            try:
                yield self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
