"""Prompts: what a user says of the subject. Points to keep, points to drop, a box around it, an alpha to start from.

    asked = Asked.of(keep=["40%,25%", (300, 200)], box="10,10,90%,400")      # what a user wrote; no photo is known yet
    prompts = asked.at((427, 640))                                           # for a photo of 427 rows and 640 columns
    prompts.keep                                                             # ((256.0, 106.75), (300.0, 200.0))

Coordinates are x, y in pixels of the upright photo, from its upper left corner; a box is left, top, right, bottom. In text each
number may be a percentage of the photo's width or height.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.errors import UsageError

UInt8 = npt.NDArray[np.uint8]

MOST_POINTS = 1000
"""Points of one kind in one call."""
_POINT_FORM = "give X,Y in pixels or percent, as in 300,200 or 40%,25%"
_BOX_FORM = "give LEFT,TOP,RIGHT,BOTTOM in pixels or percent, as in 10,20,300,400 or 5%,10%,60%,90%"


@dataclass(frozen=True, eq=False)
class Prompts:
    """Prompts for one photo, in its pixels.

    keep, drop: points (x, y) that belong to the subject, and that do not. box: (left, top, right, bottom) around the subject.
    start: uint8 [H, W], the alpha that the points correct; without it, points and box select.
    False where nothing was said: `if prompts:`.
    """

    keep: tuple[tuple[float, float], ...] = ()
    drop: tuple[tuple[float, float], ...] = ()
    box: tuple[float, float, float, float] | None = None
    start: UInt8 | None = None

    def __bool__(self) -> bool:
        return bool(self.keep or self.drop) or self.box is not None or self.start is not None

    def check(self, size: tuple[int, int]) -> None:
        """Raise UsageError where the prompts do not fit a photo. size: its height and width."""
        for field, points in (("keep", self.keep), ("drop", self.drop)):
            _check_count(points, field)
            for point in points:
                _check_numbers(point, 2, field, _POINT_FORM)
                _check_inside(point, size, field)
        if self.box is not None:
            _check_numbers(self.box, 4, "box", _BOX_FORM)
            _check_inside(self.box, size, "box")
            left, top, right, bottom = self.box
            if left >= right or top >= bottom:
                raise UsageError(
                    f"{_written(self.box)} is empty",
                    field="box",
                    remedy="give LEFT,TOP,RIGHT,BOTTOM with left below right and top below bottom",
                )
        if self.start is not None:
            _check_alpha(self.start)
            if self.start.shape != size:
                height, width = self.start.shape
                raise UsageError(
                    f"is {width}x{height} pixels, the photo is {size[1]}x{size[0]}",
                    field="start",
                    remedy="give an alpha of the upright photo's size",
                )


@dataclass(frozen=True)
class Length:
    """A distance along a side of a photo. percent: whether `value` is in hundredths of that side, else in pixels."""

    value: float
    percent: bool = False

    def along(self, side: int) -> float:
        """In pixels, for a side of so many."""
        return self.value * side / 100 if self.percent else self.value

    def __str__(self) -> str:
        return f"{self.value!r}%" if self.percent else repr(self.value)


@dataclass(frozen=True)
class Point:
    """A point of any photo."""

    x: Length
    y: Length

    def at(self, size: tuple[int, int]) -> tuple[float, float]:
        """(x, y) in pixels. size: height and width of the photo."""
        return self.x.along(size[1]), self.y.along(size[0])

    def __str__(self) -> str:
        return f"{self.x},{self.y}"


@dataclass(frozen=True)
class Box:
    """A box in any photo."""

    left: Length
    top: Length
    right: Length
    bottom: Length

    def at(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) in pixels. size: height and width of the photo."""
        height, width = size
        return self.left.along(width), self.top.along(height), self.right.along(width), self.bottom.along(height)

    def __str__(self) -> str:
        return f"{self.left},{self.top},{self.right},{self.bottom}"


PointInput: TypeAlias = Point | str | Sequence[float]
"""A point as a caller may give it: (300, 200), "300,200", "40%,25%"."""
BoxInput: TypeAlias = Box | str | Sequence[float]
"""A box as a caller may give it: (10, 20, 300, 400), "5%,10%,60%,90%"."""
AlphaInput: TypeAlias = npt.NDArray[Any] | Image.Image
"""An alpha as a caller may give it: uint8 or bool [H, W], or a Pillow image, which is taken as grey."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Prompts as a caller gave them, for a photo whose size is not known yet. False where nothing was said."""

    keep: tuple[Point, ...] = ()
    drop: tuple[Point, ...] = ()
    box: Box | None = None
    start: UInt8 | None = None

    @classmethod
    def of(
        cls,
        keep: Iterable[PointInput] | str = (),
        drop: Iterable[PointInput] | str = (),
        box: BoxInput | None = None,
        start: AlphaInput | None = None,
    ) -> Asked:
        """From what a caller may give; one point alone may be text. Raises UsageError where something has another form."""
        return cls(
            _points(keep, "keep"),
            _points(drop, "drop"),
            None if box is None else _as_box(box),
            None if start is None else _as_alpha(start),
        )

    def __bool__(self) -> bool:
        return bool(self.keep or self.drop) or self.box is not None or self.start is not None

    def described(self) -> dict[str, Any]:
        """What was said but for the start, as JSON that `of` takes: {"keep": ["300.0,200.0"], "box": "5.0%,10.0%,60.0%,90.0%"}.

        It is the same for prompts that mean the same in every photo.
        """
        points = {"keep": [str(point) for point in self.keep], "drop": [str(point) for point in self.drop]}
        box = {} if self.box is None else {"box": str(self.box)}
        return {name: said for name, said in points.items() if said} | box

    def at(self, size: tuple[int, int]) -> Prompts:
        """The prompts for a photo, checked. size: its height and width. Raises UsageError where they do not fit it."""
        prompts = Prompts(
            tuple(point.at(size) for point in self.keep),
            tuple(point.at(size) for point in self.drop),
            None if self.box is None else self.box.at(size),
            self.start,
        )
        prompts.check(size)
        return prompts


NOTHING = Asked()
"""What is asked of most photos."""


def parse_point(text: str, field: str = "keep") -> Point:
    """A point from `X,Y`, each in pixels or percent: "300,200", "40%,25%". field: the option. Raises UsageError."""
    x, y = _lengths(text, 2, field, "a point", _POINT_FORM)
    return Point(x, y)


def parse_box(text: str, field: str = "box") -> Box:
    """A box from `LEFT,TOP,RIGHT,BOTTOM`, each in pixels or percent. field: the option. Raises UsageError."""
    left, top, right, bottom = _lengths(text, 4, field, "a box", _BOX_FORM)
    return Box(left, top, right, bottom)


def _lengths(text: str, count: int, field: str, what: str, form: str) -> list[Length]:
    parts = text.split(",")
    try:
        lengths = [_length(part.strip()) for part in parts]
    except ValueError:
        lengths = []
    if len(lengths) != count:
        raise UsageError(f"`{text}` is not {what}", field=field, remedy=form)
    return lengths


def _length(text: str) -> Length:
    if "_" in text:  # which `float` would read
        raise ValueError(text)
    value = float(text.removesuffix("%"))
    if not math.isfinite(value):
        raise ValueError(text)
    return Length(value, text.endswith("%"))


def _points(given: Iterable[PointInput] | str, field: str) -> tuple[Point, ...]:
    if isinstance(given, str):
        return (parse_point(given, field),)
    if not isinstance(given, Iterable):
        raise UsageError(f"is {given!r}", field=field, remedy="give a list of points, as in [(300, 200)]")
    points = list(given)
    _check_count(points, field)
    return tuple(_as_point(point, field) for point in points)


def _as_point(given: PointInput, field: str) -> Point:
    if isinstance(given, Point):
        return given
    if isinstance(given, str):
        return parse_point(given, field)
    x, y = _numbers(given, 2, field, "give a list of points, as in [(300, 200)] or ['40%,25%']")
    return Point(Length(x), Length(y))


def _as_box(given: BoxInput) -> Box:
    if isinstance(given, Box):
        return given
    if isinstance(given, str):
        return parse_box(given)
    return Box(*map(Length, _numbers(given, 4, "box", _BOX_FORM)))


def _as_alpha(given: AlphaInput) -> UInt8:
    if isinstance(given, Image.Image):
        return np.asarray(given.convert("L"))
    alpha = given.astype(np.uint8) * np.uint8(255) if getattr(given, "dtype", None) == np.bool_ else given
    _check_alpha(alpha)
    return alpha


def _check_alpha(alpha: Any) -> None:
    if not isinstance(alpha, np.ndarray) or alpha.dtype != np.uint8 or alpha.ndim != 2:
        found = f"{alpha.dtype} {list(alpha.shape)}" if isinstance(alpha, np.ndarray) else type(alpha).__name__
        raise UsageError(f"is {found}", field="start", remedy="give an alpha, uint8 [height, width]")


def _numbers(given: Any, count: int, field: str, form: str) -> list[float]:
    """`count` finite numbers."""
    values = list(given) if isinstance(given, Iterable) else [given]
    _check_numbers(values, count, field, form)
    return [float(value) for value in values]


def _check_numbers(values: Sequence[Any], count: int, field: str, form: str) -> None:
    real = (int, float, np.integer, np.floating)
    if len(values) != count or not all(
        isinstance(value, real) and not isinstance(value, bool) and math.isfinite(value) for value in values
    ):
        written = ", ".join(str(value) if isinstance(value, real) else repr(value) for value in values)
        raise UsageError(f"has ({written})", field=field, remedy=form)


def _check_count(points: Sequence[Any], field: str) -> None:
    if len(points) > MOST_POINTS:
        raise UsageError(f"has {len(points)} points", field=field, remedy=f"give at most {MOST_POINTS}")


def _check_inside(values: Sequence[float], size: tuple[int, int], field: str) -> None:
    height, width = size
    if any(not 0 <= value <= (height if place % 2 else width) for place, value in enumerate(values)):
        raise UsageError(
            f"{_written(values)} lies outside the photo, which is {width}x{height} pixels",
            field=field,
            remedy=f"x goes from 0 to {width}, y from 0 to {height}",
        )


def _written(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
