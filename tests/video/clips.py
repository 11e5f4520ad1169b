"""Small clips with known subjects, and what a reader other than ours finds in a written file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]

RED, GREEN = (200, 30, 40), (60, 140, 90)


def scene(index: int, size: tuple[int, int] = (48, 64)) -> tuple[UInt8, npt.NDArray[np.bool_]]:
    """A red disc that moves 2 pixels a frame over green: pixels [H, W, 3], and where the disc is."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    inside = np.hypot(rows - size[0] / 2, columns - 16 - 2 * index) < 10
    pixels = np.empty((*size, 3), np.uint8)
    pixels[:] = GREEN
    pixels[inside] = RED
    return pixels, inside


def write_film(
    path: Path,
    pictures: list[UInt8],
    *,
    times: list[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    codec: str = "libx264",
    pixel_format: str = "yuv444p",
    sound: str | None = None,
    rotation: int = 0,
    sound_seconds: float = 1.0,
    rate: int = 25,
) -> Path:
    """A film of these pictures at `times` (by default 0, 1, 2, ...), nearly without loss. sound: codec of a 440 Hz tone."""
    with av.open(str(path), "w") as container:
        options = {"libx264": {"crf": "4", "g": "4"}, "libvpx-vp9": {"crf": "4", "b": "0"}}.get(codec, {})
        film: Any = container.add_stream(codec, rate=rate, options=options)
        film.height, film.width, film.pix_fmt = pictures[0].shape[0], pictures[0].shape[1], pixel_format
        film.codec_context.time_base = time_base
        if rotation:
            film.set_display_rotation(rotation)
        tone: Any = container.add_stream(sound, rate=48_000, layout="stereo") if sound else None
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts, frame.time_base = (times[index] if times else index), time_base
            container.mux(film.encode(frame))
        container.mux(film.encode())
        if tone is not None:
            for first in range(0, int(48_000 * sound_seconds), 960):
                wave = np.sin(2 * np.pi * 440 * np.arange(first, first + 960) / 48_000).astype(np.float32) * 0.3
                block = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
                block.sample_rate, block.pts, block.time_base = 48_000, first, Fraction(1, 48_000)
                container.mux(tone.encode(block))
            container.mux(tone.encode())
    return path


def read_rgba(path: Path) -> list[tuple[float, UInt8]]:
    """Times and RGBA of all frames; the alpha of WebM by libvpx, which FFmpeg's own decoder leaves out."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder: Any = stream.codec_context
        if stream.metadata.get("alpha_mode") == "1":
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            decoder.extradata = stream.codec_context.extradata
        for packet in container.demux(stream):
            for frame in decoder.decode(packet if packet.size else None):
                time = float(frame.pts * (packet.time_base or stream.time_base))
                found.append((time, frame.to_ndarray(format="rgba")))
    return found


def sounds(path: Path) -> list[tuple[str, float]]:
    """Codec and length in seconds of every audio stream, by decoding it."""
    found = []
    with av.open(str(path)) as container:
        for stream in container.streams.audio:
            container.seek(0)
            samples = sum(frame.samples for frame in container.decode(stream))
            found.append((stream.codec_context.codec.canonical_name, samples / stream.codec_context.sample_rate))
    return found


def packets(path: Path, kind: str = "audio") -> list[bytes]:
    """The bytes of all packets of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [bytes(packet) for packet in container.demux(stream) if packet.size]
