"""What a caller may ask for, once: the command line, HTTP and the page are made from these fields.

`ResultOptions` say how one cutout becomes a file; `RunOptions` say how the network runs; `PromptOptions` say what the subject is; `VideoOptions`
are for clips. Each field carries its help text and limits as metadata (`about`), so that adding an option is adding a field here and its effect in `liftout.render`.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

from liftout.errors import UsageError

DEFAULT_MODEL = "pocket"
"""The model that ships inside the package and the default of every command."""
DEFAULT_MAX_PIXELS = 200_000_000
LONGEST_SIDE = 65_535
"""Of a photo or a canvas, in pixels; JPEG holds no more."""
CANVAS_DPI = 300
"""Pixels per inch of a canvas whose size is given in millimetres."""
LARGEST_RATIO = 200
"""Of a photo's longer side to its shorter one. Panoramas stay below; what lies above is no photo, and the resamplers' weights for
it fill the memory."""

Edges = Literal["auto", "plain", "refined"]
Subjects = Literal["all", "each", "largest"] | int
Position = Literal["center", "top", "bottom", "left", "right", "top-left", "top-right", "bottom-left", "bottom-right"]
Metadata = Literal["keep", "no-location", "none"]
FormatName = Literal["png", "webp", "avif", "tiff", "jpeg"]
EngineName = Literal["auto", "onnxruntime", "openvino", "torch"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]


@dataclass(frozen=True, kw_only=True)
class About:
    """What people are told about an option, and which values it takes."""

    help: str
    metavar: str = ""
    low: float | None = None
    high: float | None = None
    short: str = ""
    """One-letter form on the command line."""


_T = TypeVar("_T")
_MILLIMETRES = "mm"
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)


def _option(
    default: _T, text: str, *, metavar: str = "", low: float | None = None, high: float | None = None, short: str = ""
) -> _T:
    about = About(help=text, metavar=metavar, low=low, high=high, short=short)
    return dataclasses.field(default=default, metadata={"about": about})


@dataclass(frozen=True, kw_only=True)
class ResultOptions:
    """How a cutout becomes a picture file."""

    mask: bool = _option(False, "Write the alpha as a greyscale image instead of the cutout.")
    background: str | None = _option(
        None,
        "Put the subject over a colour (white, #1e90ff), an image file, the blurred photo (blur), or a gradient (linear:white:#ccc, linear:white:#ccc:45, radial:white:#ccc).",
        metavar="COLOR|IMAGE|blur[:RADIUS]|linear[:FROM:TO]|radial[:FROM:TO]",
    )
    crop: bool = _option(False, "Crop to the subject.")
    margin: int = _option(0, "Space around the subject, in pixels, when cropping and on a canvas.", metavar="PX", low=0)
    canvas: str | None = _option(
        None,
        "Place the subject on a canvas of this size in pixels, or in millimetres at 300 dpi (35x45mm); a larger subject is scaled down.",
        metavar="WIDTHxHEIGHT[mm]",
    )
    position: str = _option(
        "center",
        "Position on the canvas: center, top, bottom, left, right, top-left, ..., or the shares of the free space that are left of the subject and above it (30%,80%).",
        metavar="POSITION|X%,Y%",
    )
    enlarge: bool = _option(False, "Scale a small subject up to fill the canvas.")
    subject_size: int = _option(
        100, "Percent of the canvas within the margins that the subject may take.", metavar="PERCENT", low=1, high=100
    )
    shadow: bool = _option(False, "Add a soft shadow.")
    contact_shadow: bool = _option(False, "Add a flat shadow where the subject stands on the ground.")
    subjects: Subjects = _option(
        "all",
        "Keep all subjects, only the largest, or the N largest; each makes a picture of each, the largest first.",
        metavar="all|each|largest|N",
        low=1,
    )
    fill_holes: bool = _option(False, "Fill holes inside the subject.")
    threshold: int | None = _option(
        None, "Make a hard edge: opaque at this alpha and above, transparent below.", metavar="ALPHA", low=1, high=255
    )
    feather: int = _option(0, "Blur the edge by this radius.", metavar="PX", low=0, high=1000)
    format: FormatName | None = _option(
        None, "File format of the result; by default from the name of the output, else png."
    )
    metadata: Metadata = _option("keep", "Metadata of the photo (EXIF, XMP): keep all, drop the location, or drop all.")
    quality: int | None = _option(None, "Quality of webp, avif and jpeg files.", metavar="N", low=1, high=100)

    def __post_init__(self) -> None:
        check(self)
        if self.canvas is not None:
            canvas_size(self.canvas)
        canvas_position(self.position)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Which model runs, where and how."""

    model: str = _option(
        DEFAULT_MODEL, "Name of the model; `liftout models list` shows all.", metavar="MODEL", short="m"
    )
    edges: Edges = _option(
        "auto",
        "auto follows the edges in the photo; refined also solves for hair and fur (needs `pip install 'liftout[matting]'`); plain keeps the alpha of the network and the colours of the photo.",
    )
    engine: EngineName = _option("auto", "Software that runs the network.")
    device: str = _option("auto", "Device that runs the network: auto, cpu, cuda, ...", metavar="DEVICE")
    precision: Precision = _option("auto", "Number format that the network computes in.")
    threads: int | None = _option(None, "Threads of the network; by default one per core.", metavar="N", low=1)
    max_pixels: int = _option(DEFAULT_MAX_PIXELS, "Refuse photos with more pixels than this.", metavar="N", low=1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class PromptOptions:
    """What the subject of a photo is, as text; `liftout.prompts.Asked` reads it."""

    keep: tuple[str, ...] = _option(
        (),
        "Cut out what is at this point, in pixels of the upright photo or in percent (40%,25%); may be repeated.",
        metavar="X,Y",
    )
    drop: tuple[str, ...] = _option(
        (), "Leave out what is at this point, in pixels or percent; may be repeated.", metavar="X,Y"
    )
    box: str | None = _option(
        None, "Cut out what is in this box, in pixels or percent.", metavar="LEFT,TOP,RIGHT,BOTTOM"
    )


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """Which part of a clip is cut out, how steadily, and how it is written; beside the options of results and runs."""

    steady: float = _option(
        1.0,
        "How far alphas are corrected by those of the frames around, 0 (not at all) to 1.",
        metavar="0..1",
        low=0.0,
        high=1.0,
    )
    fill: bool = _option(
        False, "Write the subject's own colours without alpha; with a second film of --mask, what editors ask for."
    )
    start: str | None = _option(None, "Begin at this time: seconds or H:MM:SS.", metavar="TIME")
    end: str | None = _option(None, "End before this time.", metavar="TIME")
    fps: float | None = _option(
        None, "Frames a second; by default every frame at its own time.", metavar="N", low=0.01, high=1000.0
    )
    size: str | None = _option(
        None, "Scale frames; a side that is left out follows from the other, as in 1280x.", metavar="WIDTHxHEIGHT"
    )
    bitrate: str | None = _option(
        None, "Bits a second of the film, as in 4M or 800k, in place of a quality.", metavar="N"
    )
    keep: tuple[str, ...] = _option(
        (),
        "Cut out what is at this point at this time (12.5s:300,200; by default at the beginning), in pixels or percent, and follow it; may be repeated.",
        metavar="[TIME:]X,Y",
    )
    drop: tuple[str, ...] = _option(
        (), "Leave out what is at this point at this time, and from then on; may be repeated.", metavar="[TIME:]X,Y"
    )
    box: tuple[str, ...] = _option(
        (),
        "Cut out what is in this box at this time, and follow it; may be repeated.",
        metavar="[TIME:]LEFT,TOP,RIGHT,BOTTOM",
    )

    def __post_init__(self) -> None:
        check(self)


def about(field: dataclasses.Field[Any]) -> About:
    """The description of an option's field."""
    return cast("About", field.metadata["about"])


def choices(options: type[Any], name: str) -> tuple[str, ...] | None:
    """The words that a field may be, or None where any of its type may be given. Where its `kind` is a number, it may be one too."""
    words = [part for part in _parts(options, name) if typing.get_origin(part) is Literal]
    return typing.get_args(words[0]) if words else None


def kind(options: type[Any], name: str) -> Any:
    """A field's type without `None`; of a field that is a word or a number, the number's."""
    parts = _parts(options, name)
    return next((part for part in parts if typing.get_origin(part) is not Literal), parts[0])


def any_of(words: tuple[str, ...], *, number: bool) -> str:
    """What a value must be, for messages: one of the words, or a number where that will do too."""
    return f"one of {', '.join(words)}" + (", or a whole number" if number else "")


def _parts(options: type[Any], name: str) -> list[Any]:
    """The alternatives of a field's type, without `None`."""
    hint = typing.get_type_hints(options)[name]
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    return [part for part in (typing.get_args(hint) if union else (hint,)) if part is not type(None)]


def canvas_size(text: str) -> tuple[int, int]:
    """(width, height) of a canvas in pixels, from `WIDTHxHEIGHT` or `WIDTHxHEIGHTmm`. Raises UsageError."""
    printed = is_in_millimetres(text)
    width, height = _sides(
        text[: -len(_MILLIMETRES)] if printed else text,
        UsageError(
            f"`{text}` is not a size",
            field="canvas",
            remedy="give WIDTHxHEIGHT in pixels, as in 1200x1200, or in millimetres, as in 35x45mm",
        ),
    )
    if printed:
        width, height = _pixels_of(width), _pixels_of(height)
    check_canvas(width, height)
    return width, height


def frame_size(text: str, field: str) -> tuple[int, int]:
    """(width, height) in pixels, from `WIDTHxHEIGHT`. field: the option. Raises UsageError."""
    problem = UsageError(f"`{text}` is not a size", field=field, remedy="give WIDTHxHEIGHT in pixels, as in 1200x1200")
    width, height = _sides(text, problem)
    check_canvas(width, height, field)
    return width, height


def _sides(text: str, problem: UsageError) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not all(side.isascii() and side.isdigit() and len(side) < 10 for side in (width, height)):
        raise problem
    return int(width), int(height)


def is_in_millimetres(canvas: str) -> bool:
    """Whether the size of a canvas is that of a print, with 300 pixels per inch."""
    return canvas.lower().endswith(_MILLIMETRES)


def _pixels_of(millimetres: int) -> int:
    return (millimetres * CANVAS_DPI * 20 + 254) // 508  # an inch has 25.4 mm


def canvas_position(text: str) -> Position | tuple[float, float]:
    """One of the words, or the shares of `X%,Y%`, each 0..1. Raises UsageError."""
    if text in typing.get_args(Position):
        return cast("Position", text)
    shares = [part.strip().removesuffix("%") for part in text.split(",")]
    if len(shares) == 2 and text.count("%") == 2 and all(_NUMBER.fullmatch(share) for share in shares):
        across, down = (float(share) / 100 for share in shares)
        if across <= 1 and down <= 1:
            return across, down
    raise UsageError(
        f"is {text!r}",
        field="position",
        remedy=f"it must be one of {', '.join(typing.get_args(Position))}, or two shares of 0% to 100%, as in 30%,80%",
    )


def check_canvas(width: int, height: int, field: str = "canvas") -> None:
    """Raise UsageError where a canvas is larger than any format, or this machine's memory, should hold. field: the option."""
    if not (1 <= width <= LONGEST_SIDE and 1 <= height <= LONGEST_SIDE):
        raise UsageError(
            f"is {width}x{height}", field=field, remedy=f"each side must be from 1 to {LONGEST_SIDE} pixels"
        )
    if width * height > DEFAULT_MAX_PIXELS:
        raise UsageError(
            f"is {width}x{height}",
            field=field,
            remedy=f"it may have up to {DEFAULT_MAX_PIXELS // 1_000_000} megapixels",
        )


def check(options: ResultOptions | RunOptions | VideoOptions) -> None:
    """Raise UsageError where a value is outside its limits or of the wrong type."""
    for field in dataclasses.fields(options):
        value, described = getattr(options, field.name), about(field)
        if value is None and field.default is None:
            continue
        words, expected_type = choices(type(options), field.name), kind(type(options), field.name)
        if words is not None and isinstance(value, str) and value in words:
            continue
        if not _is_a(value, expected_type):
            number = expected_type is int
            must = any_of(words, number=number) if words else f"of type {expected_type.__name__}"
            raise UsageError(f"is {value!r}", field=field.name, remedy=f"it must be {must}")
        low, high = described.low, described.high
        if (low is not None and value < low) or (high is not None and value > high):
            limits = f"from {low} to {high}" if high is not None else f"at least {low}"
            raise UsageError(f"is {value}", field=field.name, remedy=f"it must be {limits}")


def _is_a(value: object, expected: Any) -> bool:
    """Whether a value is of a type: whole numbers are floats too, and no number is a bool. False for a type of words."""
    if typing.get_origin(expected) is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if expected in (int, float):
        return isinstance(value, (int, float) if expected is float else int) and not isinstance(value, bool)
    return isinstance(expected, type) and isinstance(value, expected)
