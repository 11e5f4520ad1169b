"""Parts of a film, and the sound of its source, into one file: packets are copied, none is encoded again but sound that the container
does not take."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from liftout.errors import OutputError, one_line
from liftout.video.colour import tag
from liftout.video.encode import Settings
from liftout.video.targets import Target

_OPUS_RATE = 48_000
_FRONT = {"movflags": "+faststart"}
"""The index stands before the film, so that it plays while it is fetched."""


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Which sound goes along: all audio streams of `path` from `start` to `end`, seconds of the file's own clock."""

    path: Path
    start: Fraction
    end: Fraction
    cut: bool
    """Whether what comes before `start` is left out; else it is only the zero of the clock."""


Placed = tuple[Fraction, Any]
"""A packet, and its time in seconds."""


def join(parts: list[Path], target: Path, settings: Settings, sound: Sound | None) -> None:
    """Write `target`. parts: in their order, times go on from one to the next. Raises OutputError."""
    kind = settings.target
    options = _FRONT if kind.container in ("mp4", "mov") else {}
    try:
        with av.open(str(target), "w", format=kind.container, options=options) as output:
            with av.open(str(parts[0])) as first:
                film = output.add_stream_from_template(first.streams.video[0])
                _describe(film, settings)
                if kind.part == "mov":
                    film.codec_context.codec_tag = first.streams.video[
                        0
                    ].codec_context.codec_tag  # tells kinds of ProRes apart
            if sound is None:
                for _, packet in _film(parts, film):
                    output.mux(packet)
                return
            with av.open(str(sound.path), metadata_errors="ignore") as source:
                voices = _Voices(source, output, kind, sound)
                for _, packet in heapq.merge(_film(parts, film), voices.packets(), key=lambda placed: placed[0]):
                    output.mux(packet)
    except (av.error.FFmpegError, OSError) as error:
        raise OutputError(f"cannot be written ({one_line(error, 200)})", subject=target) from None


def _describe(film: Any, settings: Settings) -> None:
    """What the container of a part may not have kept."""
    film.time_base = settings.time_base
    if settings.encoding.pixel_format.startswith("yuv"):
        tag(film.codec_context, settings.colours)
        # For WebM, the sign that each packet has a second one for alpha beside it.
        film.codec_context.pix_fmt = settings.encoding.pixel_format


def _film(parts: list[Path], film: Any) -> Iterator[Placed]:
    for path in parts:
        with av.open(str(path)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size == 0 or packet.pts is None:
                    continue
                packet.dts = packet.pts  # no frame depends on a later one
                packet.stream = film
                yield packet.pts * packet.time_base, packet


class _Voices:
    """The audio streams of a source, copied or encoded."""

    def __init__(self, source: Any, output: Any, kind: Target, sound: Sound) -> None:
        self._source, self._sound = source, sound
        self._copied: dict[int, Any] = {}
        self._encoded: dict[int, Any] = {}
        for stream in source.streams.audio:
            if stream.codec_context is None:
                continue  # a codec that nobody here knows
            if stream.codec_context.codec.canonical_name in kind.sound:
                self._copied[stream.index] = output.add_stream_from_template(stream)
            else:
                rate = _OPUS_RATE if kind.sound_codec == "libopus" else stream.codec_context.sample_rate
                self._encoded[stream.index] = output.add_stream(
                    kind.sound_codec, rate=rate, layout=stream.codec_context.layout.name
                )
            if stream.language:
                (self._copied | self._encoded)[stream.index].metadata["language"] = stream.language

    def packets(self) -> Iterator[Placed]:
        streams = self._source.streams.audio
        if not self._copied and not self._encoded:
            return
        if self._sound.cut:
            self._source.seek(int(self._sound.start * 1_000_000))
        ended: set[int] = set()
        packets = self._source.demux(streams)
        while len(ended) < len(streams):
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:  # the film was cut short here as well
                break
            if packet is None:
                break
            index = packet.stream.index
            if index in self._copied:
                yield from self._copy(packet, ended)
            elif index in self._encoded:
                yield from self._encode(packet, ended)
            else:
                ended.add(index)
        for stream in self._encoded.values():
            yield from _placed(stream.encode(None))

    def _copy(self, packet: Any, ended: set[int]) -> Iterator[Placed]:
        if packet.pts is None or packet.size == 0:
            return
        time = packet.pts * packet.time_base
        if time >= self._sound.end:
            ended.add(packet.stream.index)
            return
        if self._sound.cut and time < self._sound.start:
            return
        shift = round(self._sound.start / packet.time_base)
        packet.pts -= shift
        packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        packet.stream = self._copied[packet.stream.index]
        yield time - self._sound.start, packet

    def _encode(self, packet: Any, ended: set[int]) -> Iterator[Placed]:
        try:
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.EOFError):
            return
        for frame in frames:
            if frame.pts is None:
                continue
            time = frame.pts * Fraction(frame.time_base)
            if time >= self._sound.end:
                ended.add(packet.stream.index)
                return
            if self._sound.cut and time < self._sound.start:
                continue
            frame.pts -= round(self._sound.start / frame.time_base)
            yield from _placed(self._encoded[packet.stream.index].encode(frame))


def _placed(packets: list[Any]) -> Iterator[Placed]:
    for packet in packets:
        yield (packet.pts or 0) * packet.time_base, packet
