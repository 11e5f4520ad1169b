"""Prompts at times of a clip: `12.5s:300,200` is the point (300, 200) of the frame that is shown after 12.5 seconds.

Times count from the beginning of the clip, as players show them, also where only a part of it is cut out. What states no time is said at
the first frame that is cut out.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

from liftout.errors import UsageError
from liftout.options import VideoOptions
from liftout.prompts import Asked, Box, Point, parse_box, parse_point
from liftout.video.pace import seconds


@dataclass(frozen=True)
class Said:
    """What was said of the subject at one time, in seconds of the source."""

    time: Fraction
    asked: Asked


@dataclass
class _Marks:
    keep: list[Point]
    drop: list[Point]
    box: Box | None = None


def read_prompts(
    options: VideoOptions, *, size: tuple[int, int], start: Fraction, end: Fraction | None
) -> tuple[Said, ...]:
    """The prompts of a clip's options, by time.

    size: [height, width] of the frames. start, end: of the part that is cut out, in seconds of the source.
    Raises UsageError where one has another form, lies outside the frame or that part, or a time has two boxes.
    """
    found: defaultdict[Fraction, _Marks] = defaultdict(lambda: _Marks([], []))
    for field in ("keep", "drop"):
        for text in getattr(options, field):
            time, point = _apart(text, field, start, end)
            getattr(found[time], field).append(parse_point(point, field))
    for text in options.box:
        time, box = _apart(text, "box", start, end)
        if found[time].box is not None:
            raise UsageError("two are given for one time", field="box", remedy="give one, or points to keep")
        found[time].box = parse_box(box, "box")
    said = tuple(
        Said(time, Asked(tuple(marks.keep), tuple(marks.drop), marks.box)) for time, marks in sorted(found.items())
    )
    for one in said:
        one.asked.at(size)
    return said


def _apart(text: str, field: str, start: Fraction, end: Fraction | None) -> tuple[Fraction, str]:
    """Time and place of `[TIME:]PLACE`."""
    stated, colon, place = text.rpartition(":")
    if not colon:
        return start, place
    time = seconds(stated, field)
    if time < start or (end is not None and time >= end):
        raise UsageError(
            f"`{text}` lies outside the part that is cut out", field=field, remedy="give a time from start to end"
        )
    return time, place
