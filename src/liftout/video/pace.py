"""Which frames of a source are taken: from when to when, and how many a second."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from liftout.errors import UsageError
from liftout.video.frame import Frame
from liftout.video.source import Source


def paced(
    source: Source,
    *,
    start: Fraction = Fraction(0),
    end: Fraction | None = None,
    fps: Fraction | None = None,
    after: Fraction | None = None,
) -> Iterator[Frame]:
    """Frames whose `time` counts from `start`.

    start, end: seconds of the source; the frame at `end` is not taken. fps: frames a second; each is the one that the source shows
    at that time; None takes every frame at its own time. after: an `origin` from which on frames are needed; earlier ones are
    not read.
    """
    first = start if after is None else max(start, after)
    frames = _until(source.frames(first), end)
    if fps is None:
        for frame in frames:
            yield replace(frame, time=frame.origin - start)
        return
    yield from _resampled(frames, start, end, fps)


def _until(frames: Iterator[Frame], end: Fraction | None) -> Iterator[Frame]:
    for frame in frames:
        if end is not None and frame.origin >= end:
            return
        yield frame


def _resampled(frames: Iterator[Frame], start: Fraction, end: Fraction | None, fps: Fraction) -> Iterator[Frame]:
    """The frame that is shown at each multiple of 1 / fps."""
    shown: Frame | None = None
    tick: int | None = None
    for following in frames:
        if shown is None:
            tick = math.ceil((following.origin - start) * fps)
        else:
            assert tick is not None  # noqa: S101
            while start + tick / fps < following.origin:
                yield replace(shown, time=tick / fps, duration=1 / fps)
                tick += 1
        shown = following
    if shown is None or tick is None:
        return
    last = shown.origin + (shown.duration or 1 / fps)
    while start + tick / fps < (last if end is None else min(last, end)):
        yield replace(shown, time=tick / fps, duration=1 / fps)
        tick += 1


def seconds(text: str, field: str) -> Fraction:
    """A time as people write it: 12.5, 12.5s, 1:02.5 or 1:00:02. field: the option, for the message. Raises UsageError."""
    total = Fraction(0)
    try:
        for part in text.strip().removesuffix("s").split(":"):
            if not part or part.lstrip("0123456789.") or part.count(".") > 1:
                raise ValueError(part)
            total = total * 60 + Fraction(part)
    except (ValueError, ZeroDivisionError):
        raise UsageError(
            f"`{text}` is not a time", field=field, remedy="give seconds or H:MM:SS, as in 12.5 or 1:02:03"
        ) from None
    return total
