"""rembg's `remove`: its arguments, its parameters over HTTP, and what they mean here.

Follows rembg 2.0.86. `alpha_matting` and `vitmatte` both mean refined edges; the numbers of alpha matting and
`vitmatte_model` are checked and change nothing, because the band that is matted is found from the alpha itself;
`decontaminate` changes nothing, because colours here are always freed of the old background.

`sam_prompt` is a list of marks in pixels of the upright photo, {"type": "point", "data": [x, y], "label": 1} to keep (0 to drop) and
{"type": "rectangle", "data": [left, top, right, bottom]}. It works with every model; the model `sam` is the built-in one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.adapters.parameters import ParameterError, boolean, shown, text, whole
from liftout.compose.smoothing import smoothed
from liftout.cutout import Cutout
from liftout.errors import UsageError
from liftout.images import Photo, encode, format_of
from liftout.images.channels import to_8_bit
from liftout.options import DEFAULT_MODEL, Edges
from liftout.prompts import Asked

Levels = npt.NDArray[Any]
ClothCategory = Literal["upper", "lower", "full", "attire"]

CLOTHES_MODEL = "u2net_cloth_seg"
PARAMETERS = {
    "model": "model_name",
    "a": "alpha_matting",
    "af": "alpha_matting_foreground_threshold",
    "ab": "alpha_matting_background_threshold",
    "ae": "alpha_matting_erode_size",
    "om": "only_mask",
    "ppm": "post_process_mask",
    "dc": "decontaminate",
    "vm": "vitmatte",
    "bgc": "bgcolor",
}
"""Parameters over HTTP, and the argument that each is."""
PROMPT = "sam_prompt"
"""The argument that says what the subject is."""
SAM_FILES = ("sam_model", "sam_quant")
"""Arguments that choose among the files of rembg's model sam, which are not here."""
EXTRAS = "extras"
"""The parameter that holds further arguments, as a JSON object."""

_NUMBERS = ("alpha_matting_foreground_threshold", "alpha_matting_background_threshold", "alpha_matting_erode_size")
_MODELS = {"bria-rmbg": "rmbg-2.0", "birefnet-general-fp16": "birefnet-general", "sam": DEFAULT_MODEL}
"""rembg's names of models that are called otherwise here."""
_MARKS = (
    'give a list of {"type": "point", "data": [x, y], "label": 1 to keep or 0 to drop} and '
    '{"type": "rectangle", "data": [left, top, right, bottom]}'
)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of rembg's `remove`, checked. Raises UsageError that names the argument."""

    model_name: str = ""
    alpha_matting: bool = False
    alpha_matting_foreground_threshold: int = 240
    alpha_matting_background_threshold: int = 10
    alpha_matting_erode_size: int = 10
    only_mask: bool = False
    post_process_mask: bool = False
    decontaminate: bool = False
    vitmatte: bool = False
    vitmatte_model: str | None = None
    bgcolor: Sequence[int] | None = None
    """(r, g, b) or (r, g, b, a), behind the subject."""
    putalpha: bool = False
    """Keep the photo's own colours."""
    sam_prompt: Sequence[Mapping[str, Any]] | None = None
    """Marks that say what the subject is."""

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 0:
                raise UsageError(f"is {value!r}", field=name, remedy="it must be a whole number of 0 or more")
        if self.vitmatte_model is not None and not isinstance(self.vitmatte_model, str):
            raise UsageError(f"is {self.vitmatte_model!r}", field="vitmatte_model", remedy="it must be a name")
        if self.bgcolor is not None:
            _rgba(self.bgcolor)
        asked(self.sam_prompt)

    @property
    def edges(self) -> Edges | None:
        """Which edges they ask for; None where they ask for none."""
        if self.putalpha:
            return "plain"
        return "refined" if self.alpha_matting or self.vitmatte else None

    @property
    def background(self) -> tuple[int, int, int, int] | None:
        """`bgcolor` as (r, g, b, a)."""
        return None if self.bgcolor is None else _rgba(self.bgcolor)


@dataclass(frozen=True, eq=False)
class Result:
    """What `remove` gives: a mask or RGBA, in as many bits as the photo.

    levels: uint8 [H, W] of a mask, uint8 or uint16 [H, W, 4] else. photo: what it was made of. icc: profile of the levels.
    """

    levels: Levels
    photo: Photo
    icc: bytes | None

    def png(self) -> bytes:
        """A PNG file, with what the photo says about itself."""
        photo = self.photo
        return encode(self.levels, format_of("png"), icc=self.icc, exif=photo.exif, xmp=photo.xmp, dpi=photo.dpi)

    def pillow(self) -> Image.Image:
        """A Pillow image of 8 bits, mode L or RGBA."""
        image = Image.fromarray(to_8_bit(self.levels))
        if self.icc:
            image.info["icc_profile"] = self.icc
        return image


def result(cutout: Cutout, arguments: Arguments) -> Result:
    """A cutout as the arguments ask for it."""
    if arguments.post_process_mask:
        cutout = cutout.with_alpha(smoothed(cutout.alpha))
    if arguments.only_mask:
        return Result(cutout.alpha, cutout.photo, icc=None)
    background = arguments.background
    levels = cutout.levels if background is None else cutout.composite(background)
    return Result(levels, cutout.photo, icc=cutout.photo.icc)


def asked(marks: Any) -> Asked:
    """What marks of `sam_prompt` ask for; nothing where there are none. Raises UsageError."""
    if marks is None:
        return Asked()
    if not isinstance(marks, Sequence) or isinstance(marks, str | bytes):
        raise UsageError(f"is {shown(marks)}", field=PROMPT, remedy=_MARKS)
    found = [_mark(number, mark) for number, mark in enumerate(marks, 1)]
    keep, drop = ([data for kind, data in found if kind == name] for name in ("keep", "drop"))
    boxes = [_corners(data) for kind, data in found if kind == "box"]
    if len(boxes) > 1:
        raise UsageError(f"has {len(boxes)} rectangles", field=PROMPT, remedy="give one, or points")
    with as_marks():
        return Asked.of(keep, drop, boxes[0] if boxes else None)


@contextmanager
def as_marks() -> Iterator[None]:
    """Errors of the block about points and boxes are said of `sam_prompt`, as its caller knows them."""
    try:
        yield
    except UsageError as error:
        if error.field not in ("keep", "drop", "box"):
            raise
        raise UsageError(error.problem, field=PROMPT, remedy=error.remedy) from None


def _mark(number: int, mark: Any) -> tuple[str, list[float]]:
    """(keep, drop or box, numbers) of a mark. number: of the mark, from 1. Raises UsageError."""
    facts = mark if isinstance(mark, Mapping) else {}
    data = facts.get("data")
    values = data.tolist() if isinstance(data, np.ndarray) else data
    if isinstance(values, Sequence) and all(_is_number(value) for value in values):
        match facts.get("type"), len(values), facts.get("label"):
            case "point", 2, 1:
                return "keep", list(values)
            case "point", 2, 0:
                return "drop", list(values)
            case "rectangle", 4, _:
                return "box", list(values)
    raise UsageError(f"has {shown(mark)} as mark {number}", field=PROMPT, remedy=_MARKS)


def _corners(data: list[float]) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of a rectangle from any of its corners to the one across."""
    x, y, other_x, other_y = data
    return min(x, other_x), min(y, other_y), max(x, other_x), max(y, other_y)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def model_name(name: str) -> str:
    """liftout's name of a model that rembg calls `name`; empty is the default model."""
    return _MODELS.get(name, name) or DEFAULT_MODEL


def parse(arguments: Mapping[str, Any]) -> Arguments:
    """Arguments from parameters over HTTP: text of queries and forms, or values of JSON; empty ones do not count.

    Raises ParameterError that names the parameter.
    """
    names = {argument: parameter for parameter, argument in PARAMETERS.items()}
    values = {name: value for name, value in arguments.items() if name in PARAMETERS}
    extras = _extras(arguments.get(EXTRAS))
    marks = extras.pop(PROMPT, None)
    values |= {names[argument]: value for argument, value in extras.items()}
    parsed = {PARAMETERS[name]: _parsed(name, value) for name, value in values.items() if value not in (None, "")}
    try:
        return Arguments(**parsed, sam_prompt=marks)
    except UsageError as error:
        if error.field != PROMPT:
            raise
        raise ParameterError(EXTRAS, f"holds {PROMPT}, which {error.problem}", error.remedy) from None


def _parsed(name: str, value: Any) -> Any:
    if name == "model":
        return text(name, value)
    if name == "bgc":
        return _parsed_colour(value)
    if name == "ae":
        return whole(name, value, 0)
    return whole(name, value, 0, 255) if name in ("af", "ab") else boolean(name, value)


def _parsed_colour(value: Any) -> tuple[int, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) not in (3, 4):
        raise ParameterError("bgc", "must be four levels from 0 to 255, as in 255,255,255,255")
    return tuple(whole("bgc", level, 0, 255) for level in parts)


def _extras(value: Any) -> dict[str, Any]:
    if value is None or value == "":
        return {}
    try:
        extras = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        extras = None
    if not isinstance(extras, dict):
        raise ParameterError(EXTRAS, "is not a JSON object")
    known = [*(argument for argument in PARAMETERS.values() if argument != "model_name"), PROMPT]
    for name in extras:
        if name in SAM_FILES:
            raise ParameterError(
                EXTRAS,
                f"holds {name}, which chooses among the files of SAM",
                "leave it out, the built-in model reads sam_prompt",
            )
        if name not in known:
            raise ParameterError(
                EXTRAS, f"holds {name[:40]!r}, which is not accepted here", f"there are {', '.join(known)}"
            )
    return extras


def _rgba(bgcolor: Sequence[int]) -> tuple[int, int, int, int]:
    levels = tuple(bgcolor)
    if len(levels) not in (3, 4) or not all(
        isinstance(level, int | np.integer) and 0 <= level <= 255 for level in levels
    ):
        raise UsageError(f"is {bgcolor!r}", field="bgcolor", remedy="it must be (r, g, b, a), each from 0 to 255")
    red, green, blue, opacity = (int(level) for level in (*levels, 255)[:4])
    return red, green, blue, opacity
