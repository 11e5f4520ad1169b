"""Films, read with FFmpeg's libraries (PyAV): upright, with the right colours, at their own times."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from liftout.errors import ClipUnreadable, one_line
from liftout.images.decode import check_size
from liftout.options import DEFAULT_MAX_PIXELS
from liftout.video.colour import UInt8, colours_of, to_rgb
from liftout.video.frame import Frame
from liftout.video.source import Facts, parse_size

_EARLY = Fraction(1, 2)
"""A film that ends so many seconds before the end that its header states is cut short; streams may differ by less."""
_USUAL_RATE = Fraction(25)
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that read the alpha of WebM, which FFmpeg's own ones ignore."""


class FilmSource:
    """See `liftout.video.source.Source`. Frames can be asked for several times, one after the other."""

    def __init__(self, path: Path, *, size: str | None = None, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        """size: what frames are scaled to, see `parse_size`. Raises ClipUnreadable, ImageTooLarge, UsageError."""
        self.path: Path | None = path
        self._file = path
        self.damage = ""
        self._scaled = size is not None
        self._container = _open(path)
        try:
            self._stream = _best_stream(self._container, path)
            first = self._first_frame()
            check_size(first.height, first.width, max_pixels, str(path))
            self.facts = self._facts(first, size)
        except BaseException:
            self._container.close()
            raise

    @property
    def beginning(self) -> Fraction:
        """The time of the file that counts as 0, in seconds: where its first stream begins."""
        return Fraction(self._container.start_time or 0, 1_000_000)

    @property
    def has_sound(self) -> bool:
        """Whether there are audio streams."""
        return bool(self._container.streams.audio)

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[Frame]:
        """See `Source.frames`."""
        self.damage = ""
        decoder = self._decoder()
        self._seek(start)
        before: Frame | None = None
        damaged, ended = 0, Fraction(0)
        for packet in self._packets():
            if packet.pts is not None and packet.time_base is not None:
                ended = max(ended, (packet.pts + (packet.duration or 0)) * packet.time_base - self.beginning)
            if packet.stream is not self._stream:
                continue
            try:
                decoded = decoder.decode(packet) if packet.size else decoder.decode(None)
            except (av.error.EOFError, av.error.InvalidDataError, av.error.UndefinedError):
                damaged += packet.size > 0
                continue
            damaged += packet.is_corrupt
            for picture in decoded:
                time = self._time(picture, before)
                if time is None or time < start:
                    continue
                frame = self._frame(picture, time)
                before = frame
                yield frame
        self.damage = self._damage(damaged, ended)

    def stop(self) -> None:
        """See `Source.stop`; a file never lets its reader wait."""

    def close(self) -> None:
        """See `Source.close`."""
        self._container.close()

    def _packets(self) -> Iterator[Any]:
        """Packets of all streams: their ends tell whether the file was cut short. The last has no bytes and flushes the decoder."""
        streams = [self._stream, *self._container.streams.audio]
        try:
            yield from self._container.demux(streams)
        except av.error.FFmpegError as error:
            self.damage = one_line(error, 200)
            flush: Any = av.Packet()
            flush.stream = self._stream
            yield flush

    def _decoder(self) -> Any:
        """A decoder that has seen nothing yet."""
        context = self._stream.codec_context
        if context is None:
            raise ClipUnreadable(
                "no decoder knows its codec", subject=self._file, remedy="convert it to H.264 or VP9 first"
            )
        name = context.name
        if self._stream.metadata.get("alpha_mode") == "1":
            name = _ALPHA_DECODERS.get(name, name)
        if name == context.name:
            context.flush_buffers()
            return context
        decoder: Any = av.CodecContext.create(name, "r")
        decoder.extradata = context.extradata
        decoder.time_base = self._stream.time_base
        return decoder

    def _seek(self, start: Fraction) -> None:
        """Go to the key frame before `start`."""
        time_base = self._stream.time_base or Fraction(1, 1_000_000)
        wanted = int((start + self.beginning) / time_base) if start > 0 else int(self.beginning / time_base) - 1
        try:
            self._container.seek(wanted, stream=self._stream, backward=True)
        except av.error.FFmpegError:  # a stream without an index is read from its beginning
            self._container.close()
            self._container = _open(self._file)
            self._stream = _best_stream(self._container, self._file)

    def _time(self, picture: av.VideoFrame, before: Frame | None) -> Fraction | None:
        """Seconds since the beginning; of a picture that states no time, one frame after the last. None for one that is not later."""
        if picture.pts is None:
            return before.origin + 1 / self.facts.rate if before else Fraction(0)
        time = picture.pts * self.facts.time_base - self.beginning
        return None if before is not None and time <= before.origin else time

    def _frame(self, picture: av.VideoFrame, time: Fraction) -> Frame:
        turns = _turns(picture)
        size = self.facts.size if self._scaled or (picture.height, picture.width) != self._coded else None
        if size is not None and turns % 2:
            size = size[1], size[0]
        pixels, alpha = to_rgb(picture, size)
        duration = (picture.duration or 0) * self.facts.time_base
        return Frame(_upright(pixels, turns), None if alpha is None else _upright(alpha, turns), time, time, duration)

    def _first_frame(self) -> av.VideoFrame:
        """The first picture that can be decoded, for what only pictures tell."""
        decoder = self._decoder()
        for packet in self._packets():
            if packet.stream is not self._stream:
                continue
            try:
                pictures = decoder.decode(packet) if packet.size else decoder.decode(None)
            except (av.error.EOFError, av.error.InvalidDataError, av.error.UndefinedError):
                continue
            if pictures:
                self._coded = pictures[0].height, pictures[0].width
                return pictures[0]  # type: ignore[no-any-return]
        raise ClipUnreadable("no frame of it can be decoded", subject=self._file, remedy="give another file")

    def _facts(self, first: av.VideoFrame, size: str | None) -> Facts:
        stream = self._stream
        upright = self._coded if _turns(first) % 2 == 0 else self._coded[::-1]
        rate = stream.average_rate or stream.guessed_rate or _USUAL_RATE
        frames = stream.frames or None
        if not frames and self._container.duration:
            frames = max(1, round(Fraction(self._container.duration, 1_000_000) * rate))
        aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        return Facts(
            size=upright if size is None else parse_size(size, upright),
            time_base=Fraction(stream.time_base or Fraction(1, 1_000)),
            rate=Fraction(rate),
            frames=frames,
            colours=colours_of(first),
            pixel_aspect=Fraction(1) if self._scaled else 1 / aspect if _turns(first) % 2 else aspect,
        )

    def _damage(self, damaged: int, ended: Fraction) -> str:
        expected = Fraction(self._container.duration or 0, 1_000_000)
        if expected - ended > _EARLY:
            return f"ends early, after {float(ended):.1f} of {float(expected):.1f} s"
        if self.damage:
            return f"cannot be read after {float(ended):.1f} s ({self.damage})"
        return f"{damaged} of its frames are damaged" if damaged else ""


def _open(path: Path) -> Any:
    try:
        return av.open(str(path), metadata_errors="ignore")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ClipUnreadable(
            f"not a film that can be read ({one_line(error, 100)})",
            subject=path,
            remedy="give an MP4, MOV, WebM, MKV, GIF or another file that players open",
        ) from None


def _best_stream(container: Any, path: Path) -> Any:
    """The film, where there are several: not a cover picture, the one marked as default, the largest."""
    pictures = int(av.stream.Disposition.attached_pic)
    films = [stream for stream in container.streams.video if not int(stream.disposition) & pictures]
    if not films:
        raise ClipUnreadable("has no moving picture", subject=path, remedy="give a file that has one")
    default = int(av.stream.Disposition.default)
    best = max(films, key=lambda stream: (bool(int(stream.disposition) & default), stream.width * stream.height))
    if not best.codec_context.is_open:
        best.thread_type = "AUTO"
    return best


def _turns(picture: av.VideoFrame) -> int:
    """Quarter turns to the left that make a picture upright."""
    return round(picture.rotation / 90) % 4


def _upright(pixels: UInt8, turns: int) -> UInt8:
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels
