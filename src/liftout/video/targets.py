"""The kinds of clip that can be written: facts only. A suffix chooses one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from liftout.errors import UnknownFormat

Quality = Literal["crf", "webp", "none"]


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How frames become packets. codec, pixel_format: FFmpeg's names. options: of the encoder."""

    codec: str
    pixel_format: str
    options: dict[str, str] = field(default_factory=dict)
    even: bool = False
    """Whether sides must be even; an odd one is made larger by a pixel."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A kind of clip.

    container: FFmpeg's name of it. opaque, with_alpha: encodings; None where it holds no alpha. crf: constant rate factors of its
    encoder at quality 100 and 0; None where it has no such setting. sound: codecs of audio that the container takes, and the one
    that other audio is encoded with; empty where it has no sound. part: container of a part of the film, that keeps all its
    packets hold; empty where a clip cannot be joined of parts.
    """

    container: str
    opaque: Encoding
    with_alpha: Encoding | None
    crf: tuple[int, int] | None = None
    sound: tuple[str, ...] = ()
    sound_codec: str = ""
    part: str = ""
    picture: bool = False
    """Whether it is an animated picture, which begins with its first frame."""


# No frame depends on a later one, so that parts join anywhere: no alternate references (VP9), no B frames (H.264).
_VP9_OPTIONS = {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "auto-alt-ref": "0", "lag-in-frames": "0"}
_VP9 = Encoding(codec="libvpx-vp9", pixel_format="yuv420p", options=_VP9_OPTIONS)
_VP9_ALPHA = Encoding(codec="libvpx-vp9", pixel_format="yuva420p", options=_VP9_OPTIONS)
_H264 = Encoding(codec="libx264", pixel_format="yuv420p", options={"preset": "veryfast", "bf": "0"}, even=True)
_PRORES = Encoding(codec="prores_ks", pixel_format="yuv422p10le", options={"profile": "3", "vendor": "apl0"}, even=True)
_PRORES_4444 = Encoding(
    codec="prores_ks", pixel_format="yuva444p10le", options={"profile": "4", "vendor": "apl0", "alpha_bits": "16"}
)
_GIF = Encoding(codec="gif", pixel_format="pal8")
_WEBP = Encoding(codec="libwebp_anim", pixel_format="yuva420p")
_APNG = Encoding(codec="apng", pixel_format="rgba")

_WEBM = Target(
    container="webm", opaque=_VP9, with_alpha=_VP9_ALPHA, crf=(8, 63), sound=("opus", "vorbis"), sound_codec="libopus",
    part="matroska",
)  # fmt: skip
_MP4_SOUND = ("aac", "mp3", "ac3", "eac3", "alac", "opus")

TARGETS = {
    ".webm": _WEBM,
    ".mkv": Target(
        container="matroska", opaque=_VP9, with_alpha=_VP9_ALPHA, crf=(8, 63), part="matroska", sound_codec="libopus",
        sound=("opus", "vorbis", "aac", "mp3", "ac3", "eac3", "flac", "dts", "pcm_s16le", "pcm_s24le", "truehd"),
    ),
    ".mp4": Target(
        container="mp4", opaque=_H264, with_alpha=None, crf=(10, 50), sound=_MP4_SOUND, sound_codec="aac", part="mov"
    ),
    ".mov": Target(
        container="mov", opaque=_PRORES, with_alpha=_PRORES_4444, part="mov", sound_codec="aac",
        sound=("aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_s16be", "pcm_s24be", "pcm_f32le"),
    ),
    ".gif": Target(container="gif", opaque=_GIF, with_alpha=_GIF, picture=True),
    ".webp": Target(container="webp", opaque=_WEBP, with_alpha=_WEBP, picture=True),
    ".png": Target(container="apng", opaque=_APNG, with_alpha=_APNG, picture=True),
    ".apng": Target(container="apng", opaque=_APNG, with_alpha=_APNG, picture=True),
}  # fmt: skip
"""By suffix. A folder of PNG files, `liftout.video.folder`, is none of them."""


def target_of(path: Path) -> Target:
    """The kind of clip that a name asks for. Raises UnknownFormat."""
    target = TARGETS.get(path.suffix.lower())
    if target is None:
        raise UnknownFormat(
            f"`{path.suffix or path.name}` is not a kind of clip that can be written",
            subject=path,
            remedy=f"use {', '.join(TARGETS)}, or a folder (a name that ends in /)",
        )
    return target
