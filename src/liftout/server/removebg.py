"""POST /v1.0/removebg: clients of remove.bg, unchanged but for the address.

Parameters, result headers and the shape of errors are those of remove.bg's API 1.0. `type` is taken and repeated in X-Type;
no call costs credits. `size` limits the result as remove.bg does, `preview` (0.25 megapixels) where none is given.

Source: the parameters and headers as client packages for remove.bg describe and record them (remove.bg 1.3.0 on npm,
remove_bg 2.0 on rubygems).
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter
from PIL import Image, ImageColor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from liftout.cutout import Cutout
from liftout.images import FORMATS, encode
from liftout.images.colour import from_srgb
from liftout.server import fields
from liftout.server.body import Body
from liftout.server.cutouts import timing
from liftout.server.openapi import key_needed, occurs
from liftout.server.picture import Picture
from liftout.server.problems import Problem, unprocessable
from liftout.server.rate import headers as rate_headers
from liftout.server.service import Service, one_source

UInt8 = npt.NDArray[np.uint8]

PREFIX = "/v1.0/"
PATH = "/v1.0/removebg"
SOURCES = ("image_file", "image_file_b64", "image_url")
BACKGROUNDS = ("bg_color", "bg_image_file", "bg_image_url")
SIZES = {
    "preview": 0.25e6,
    "small": 0.25e6,
    "regular": 0.25e6,
    "medium": 1.5e6,
    "hd": 4e6,
    "full": 25e6,
    "4k": 25e6,
    "50MP": 50e6,
    "auto": math.inf,
}
"""Largest result in pixels."""
TYPES = ("auto", "person", "product", "car", "animal", "graphic", "transportation", "other")
FORMAT_NAMES = ("auto", "png", "jpg", "webp", "zip")
LARGEST_MARGIN = 500
"""Pixels that crop_margin may add to a side; relative margins end at half the subject."""
ACCEPTED = ("type_level", "semitransparency", "shadow_type", "shadow_opacity")
"""Parameters of remove.bg that are taken and change nothing here."""

_LENGTH = re.compile(r"(-?\d{1,6}(?:\.\d{1,6})?)(px|%)?")
_CODES = {401: "auth_failed", 403: "auth_failed", 429: "rate_limit_exceeded", 413: "file_size_too_large"}


@dataclass(frozen=True)
class Length:
    """A number of pixels, or a share."""

    value: float
    relative: bool

    def of(self, whole: float) -> float:
        """In pixels, where `whole` is what a share is of."""
        return self.value / 100 * whole if self.relative else self.value


@dataclass(frozen=True, kw_only=True)
class Call:
    """remove.bg's parameters, checked."""

    size: str = "preview"
    type: str = "auto"
    format: str = "auto"
    roi: tuple[Length, ...] = (Length(0, True), Length(0, True), Length(100, True), Length(100, True))
    crop: bool = False
    crop_margin: tuple[Length, Length, Length, Length] = (Length(0, False),) * 4
    """Top, right, bottom, left."""
    scale: float | None = None
    """Share of the canvas that the subject fills; None leaves it as it is."""
    position: tuple[float, float] | None = None
    """Shares of the free space left of and above the subject; None leaves it where it is."""
    channels: str = "rgba"
    add_shadow: bool = False
    bg_color: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class _Result:
    content: bytes
    mime: str
    size: tuple[int, int]
    largest: tuple[int, int]
    box: tuple[int, int, int, int] | None
    """Of the subject in the result."""


def router(service: Service) -> APIRouter:
    """The route, over one service."""
    routes = APIRouter(tags=["remove.bg"])
    shape = {
        "type": "object",
        "required": ["errors"],
        "properties": {
            "errors": {
                "type": "array",
                "items": {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}},
            }
        },
    }
    refusals: dict[int | str, dict[str, Any]] = {
        code: {"description": text, "content": {"application/json": {"schema": shape}}}
        for code, text in {
            400: "A parameter or the photo is wrong",
            403: "Not allowed: the API key is missing or unknown, or a page of another site called",
            408: "The request came too slowly",
            413: "Too many bytes or pixels",
            415: "A body of this type is not understood",
            421: "The request was meant for a server of another name",
            429: "Too many requests",
            500: "The server failed; its log says why",
            503: "Busy; see Retry-After",
        }.items()
        if occurs(service.settings, code)
    }
    picture = {"schema": {"type": "string", "format": "binary"}}
    answers = dict.fromkeys(("image/png", "image/jpeg", "image/webp", "application/zip"), picture)
    in_json = {"schema": {"type": "object", "required": ["data"], "properties": {"data": {"type": "object"}}}}

    @routes.post(
        PATH,
        summary="As remove.bg: cut out a photo",
        response_class=Response,
        responses={200: {"description": "The cutout", "content": {**answers, "application/json": in_json}}, **refusals},
        openapi_extra={
            "requestBody": _request_body(),
            "parameters": _query_parameters(),
            **key_needed(service.settings),
        },
    )
    async def remove_background(request: Request) -> Response:
        allowance = service.admit(request)
        async with service.reading(request) as body:
            call = _call(body)
            field, photo = await _photo(service, body)
            behind = await _background(service, body)
            result, done = await service.cut(
                request,
                photo,
                service.settings.run,
                lambda cutout: finished(cutout, call, behind),
                field=field,
                chosen_model=False,
            )
        headers = {**_result_headers(result, call), "Server-Timing": timing(done), **rate_headers(allowance)}
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"data": _described(result)}, headers=headers)
        return Response(result.content, media_type=result.mime, headers=headers)

    return routes


def answer(problem: Problem) -> JSONResponse:
    """A problem in remove.bg's shape: 400 for whatever is wrong with parameters, 403 for keys."""
    status = {422: 400, 401: 403}.get(problem.status, problem.status)
    error: dict[str, Any] = {"title": problem.detail}
    if problem.status == 403 and problem.field:  # an address, not a key
        status = 400
    code = _CODES.get(problem.status) if status != 400 else "invalid_" + problem.field if problem.field else None
    if code:
        error["code"] = code
    if problem.field:
        error["field"] = problem.field
    return JSONResponse({"errors": [error]}, status_code=status, headers=problem.headers)


def finished(cutout: Cutout, call: Call, background: Picture | None) -> _Result:
    """A cutout as remove.bg's parameters ask for it."""
    largest = _fitted((cutout.size[1], cutout.size[0]), SIZES["50MP"])
    cutout = _inside(cutout, call)
    cutout = _smaller(cutout, SIZES[call.size])
    if call.crop:
        cutout = _cropped(cutout, call)
    if call.scale is not None or call.position is not None:
        cutout = _placed(cutout, call)
    height, width = cutout.size
    content, mime = _encoded(cutout, call, background)
    return _Result(content=content, mime=mime, size=(width, height), largest=largest, box=cutout.box)


def _encoded(cutout: Cutout, call: Call, background: Picture | None) -> tuple[bytes, str]:
    if call.format == "zip":
        return _zipped(cutout), "application/zip"
    if call.channels == "alpha":
        kind = FORMATS["jpeg" if call.format == "jpg" else "webp" if call.format == "webp" else "png"]
        return encode(cutout.alpha, kind), kind.mime
    if call.add_shadow:
        cutout = cutout.shadow()
    if background is not None:
        cutout = _opaque(np.asarray(cutout.over(background.photo())), cutout)
    elif call.bg_color is not None:
        cutout = _over_colour(cutout, call.bg_color)
    opaque = bool(cutout.alpha.min() == 255)
    kind = FORMATS[{"jpg": "jpeg", "auto": "jpeg" if opaque else "png"}.get(call.format, call.format)]
    return cutout.to_bytes(kind.name), kind.mime


def _zipped(cutout: Cutout) -> bytes:
    """color.jpg and alpha.png, as remove.bg packs them."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("color.jpg", encode(cutout.photo.pixels, FORMATS["jpeg"], icc=cutout.photo.icc))
        archive.writestr("alpha.png", encode(cutout.alpha, FORMATS["png"]))
    return stream.getvalue()


def _inside(cutout: Cutout, call: Call) -> Cutout:
    """Nothing outside the region of interest is subject."""
    height, width = cutout.size
    left, top, right, bottom = (
        round(length.of(whole)) for length, whole in zip(call.roi, (width, height, width, height), strict=True)
    )
    left, right = sorted((left, right))
    top, bottom = sorted((top, bottom))
    if (left, top) == (0, 0) and right >= width and bottom >= height:
        return cutout
    alpha = np.zeros_like(cutout.alpha)
    rows, columns = slice(max(0, top), max(0, bottom)), slice(max(0, left), max(0, right))
    alpha[rows, columns] = cutout.alpha[rows, columns]
    return Cutout(cutout.photo, alpha)


def _smaller(cutout: Cutout, pixels: float) -> Cutout:
    """At most so many pixels, with the same shape."""
    height, width = cutout.size
    size = _fitted((width, height), pixels)
    if size == (width, height):
        return cutout
    alpha = np.asarray(Image.fromarray(cutout.alpha).resize(size, Image.Resampling.LANCZOS))
    shrunk = np.asarray(Image.fromarray(cutout.photo.pixels).resize(size, Image.Resampling.LANCZOS))
    return Cutout(dataclasses.replace(cutout.photo, pixels=shrunk, deep=None, alpha=None), alpha)


def _fitted(size: tuple[int, int], pixels: float) -> tuple[int, int]:
    """(width, height) of at most `pixels`, never larger than `size`."""
    width, height = size
    if width * height <= pixels:
        return size
    factor = math.sqrt(pixels / (width * height))
    return max(1, math.floor(width * factor)), max(1, math.floor(height * factor))


def _cropped(cutout: Cutout, call: Call) -> Cutout:
    """The subject with its margins; where they reach beyond the photo, they are transparent."""
    if cutout.box is None:
        return cutout
    left, top, right, bottom = cutout.box
    width, height = right - left, bottom - top
    sides = [
        min(
            round(max(0.0, length.of(whole))),
            LARGEST_MARGIN,
            math.ceil(whole / 2) if length.relative else LARGEST_MARGIN,
        )
        for length, whole in zip(call.crop_margin, (height, width, height, width), strict=True)
    ]
    above, beside, below, before = sides
    rgba = cutout.rgba[top:bottom, left:right]
    padded = np.zeros((height + above + below, width + before + beside, 4), np.uint8)
    source = cutout.rgba[max(0, top - above) : bottom + below, max(0, left - before) : right + beside]
    y, x = max(0, above - top), max(0, before - left)
    padded[y : y + source.shape[0], x : x + source.shape[1]] = source
    padded[above : above + height, before : before + width] = rgba
    return _made_of(padded, cutout)


def _placed(cutout: Cutout, call: Call) -> Cutout:
    """The subject scaled to a share of the canvas and moved to a position on it."""
    if cutout.box is None:
        return cutout
    height, width = cutout.size
    left, top, right, bottom = cutout.box
    subject = Image.fromarray(np.ascontiguousarray(cutout.rgba[top:bottom, left:right]))
    if call.scale is not None:
        factor = min(call.scale * width / subject.width, call.scale * height / subject.height)
        subject = _resized(subject, (max(1, round(subject.width * factor)), max(1, round(subject.height * factor))))
    across, down = call.position or (0.5, 0.5)
    x, y = round(across * (width - subject.width)), round(down * (height - subject.height))
    canvas = Image.new("RGBA", (width, height))
    canvas.paste(subject, (x, y))
    return _made_of(np.asarray(canvas), cutout)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """RGBA resized with its colours weighted by alpha."""
    return image.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")


def _over_colour(cutout: Cutout, colour: tuple[int, int, int, int]) -> Cutout:
    """The subject over a colour that may itself be transparent."""
    if colour[3] == 255:
        return _opaque(np.asarray(cutout.over(colour[:3])), cutout)
    own = from_srgb(np.array([[colour[:3]]], np.uint8), cutout.photo.icc)[0, 0]
    behind = Image.new("RGBA", (cutout.size[1], cutout.size[0]), (*map(int, own), colour[3]))
    return _made_of(np.asarray(Image.alpha_composite(behind, cutout.image)), cutout)


def _opaque(pixels: UInt8, cutout: Cutout) -> Cutout:
    return _made_of(np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]), cutout)


def _made_of(rgba: UInt8, cutout: Cutout) -> Cutout:
    """A cutout out of finished straight-alpha pixels."""
    pixels, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    photo = dataclasses.replace(cutout.photo, pixels=pixels, deep=None, alpha=None)
    return Cutout(photo, alpha, make_rgba=lambda colours, opacity: np.dstack([colours, opacity]))


async def _photo(service: Service, body: Body) -> tuple[str, bytes]:
    source = one_source("image_file", {name: body.gives(name) for name in SOURCES})
    if source == "image_url":
        return source, await service.fetched(body, field=source)
    return source, body.files.get(source) or await body.decoded(source)


async def _background(service: Service, body: Body) -> Picture | None:
    largest = service.settings.limits.max_pixels
    if body.fields.get("bg_image_url"):
        content = await service.fetched(body, field="bg_image_url")
        return Picture(field="bg_image_url", content=content, max_pixels=largest)
    if content := body.files.get("bg_image_file", b""):
        return Picture(field="bg_image_file", content=content, max_pixels=largest)
    return None


def _call(body: Body) -> Call:
    own = tuple(field.name for field in dataclasses.fields(Call))
    fields.refuse_unknown([*body.fields, *body.files], [*SOURCES, *BACKGROUNDS, *own, *ACCEPTED])
    for name in body.files:
        if name not in (*SOURCES, *BACKGROUNDS):
            raise unprocessable(name, f"{name} is a file; files are taken as image_file and bg_image_file")
    given = {name: value for name, value in body.fields.items() if value is not None and value != ""}
    backgrounds = [name for name in BACKGROUNDS if given.get(name) or body.files.get(name)]
    if len(backgrounds) > 1:
        raise unprocessable(backgrounds[1], f"{' and '.join(backgrounds)} are given; send one of them")
    made: dict[str, Any] = {}
    for name, allowed in (("size", SIZES), ("type", TYPES), ("format", FORMAT_NAMES), ("channels", ("rgba", "alpha"))):
        if name in given:
            made[name] = fields.one_of(name, given[name], allowed)
    for name in ("crop", "add_shadow"):
        if name in given:
            made[name] = fields.boolean(name, given[name])
    if "crop_margin" in given:
        made["crop_margin"] = _margins(given["crop_margin"])
    if "roi" in given:
        made["roi"] = _lengths("roi", given["roi"], (4,))
    if "bg_color" in given:
        made["bg_color"] = _colour(given["bg_color"])
    return Call(**made, **_placing(given))


def _placing(given: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    scale, position = str(given.get("scale", "original")), str(given.get("position", "original"))
    if scale != "original":
        (length,) = _lengths("scale", scale, (1,))
        if not length.relative or not 10 <= length.value <= 100:
            raise unprocessable("scale", f"scale is {scale[:40]!r}; it must be original, or from 10% to 100%")
        made["scale"] = length.value / 100
        made["position"] = (0.5, 0.5)
    if position == "center":
        made["position"] = (0.5, 0.5)
    elif position != "original":
        shares = _lengths("position", position, (1, 2))
        if not all(share.relative and 0 <= share.value <= 100 for share in shares):
            raise unprocessable(
                "position", f"position is {position[:40]!r}; it must be original, center, or from 0% to 100%"
            )
        made["position"] = (shares[0].value / 100, shares[-1].value / 100)
    return made


def _margins(value: Any) -> tuple[Length, ...]:
    given = _lengths("crop_margin", value, (1, 2, 4))
    if len(given) == 4:
        return given
    return (given[0], given[-1], given[0], given[-1])


def _lengths(name: str, value: Any, counts: tuple[int, ...]) -> tuple[Length, ...]:
    words = str(value).split()
    found = [_LENGTH.fullmatch(word) for word in words]
    if len(words) not in counts or not all(found):
        wanted = " or ".join(map(str, counts))
        raise unprocessable(name, f"{name} is {str(value)[:40]!r}; it must be {wanted} lengths such as 10px or 10%")
    return tuple(Length(float(match[1]), match[2] == "%") for match in found if match)


def _colour(value: Any) -> tuple[int, int, int, int]:
    text = fields.text("bg_color", value).strip()
    for candidate in (f"#{text}", text):
        with contextlib.suppress(ValueError):
            levels = ImageColor.getrgb(candidate)
            return levels[0], levels[1], levels[2], levels[3] if len(levels) == 4 else 255
    raise unprocessable("bg_color", f"bg_color is {text[:40]!r}; it must be a colour such as 81d4fa, fff or green")


def _result_headers(result: _Result, call: Call) -> dict[str, str]:
    headers = {
        "X-Type": "other" if call.type == "auto" else call.type,
        "X-Width": str(result.size[0]),
        "X-Height": str(result.size[1]),
        "X-Max-Width": str(result.largest[0]),
        "X-Max-Height": str(result.largest[1]),
        "X-Credits-Charged": "0",
    }
    return headers | {f"X-{name.replace('_', '-').title()}": str(value) for name, value in _foreground(result).items()}


def _described(result: _Result) -> dict[str, Any]:
    return {"result_b64": base64.b64encode(result.content).decode("ascii"), **_foreground(result)}


def _foreground(result: _Result) -> dict[str, int]:
    left, top, right, bottom = result.box or (0, 0, 0, 0)
    return {
        "foreground_top": top,
        "foreground_left": left,
        "foreground_width": right - left,
        "foreground_height": bottom - top,
    }


def _parameters() -> dict[str, dict[str, Any]]:
    """JSON Schema of the parameters that are text."""
    words = {"type": "string"}
    taken = {**words, "description": "Taken, and changes nothing here."}
    return {
        "image_file_b64": {**words, "description": "The photo in base64."},
        "image_url": {**words, "description": "Address of the photo, where this server fetches."},
        "size": {**words, "enum": list(SIZES), "default": "preview", "description": "Largest result."},
        "type": {**words, "enum": list(TYPES), "default": "auto", "description": "Taken, and repeated in X-Type."},
        "format": {
            **words,
            "enum": list(FORMAT_NAMES),
            "default": "auto",
            "description": "auto is png, or jpg where nothing is transparent.",
        },
        "roi": {
            **words,
            "default": "0% 0% 100% 100%",
            "description": "Region that may hold the subject: x1 y1 x2 y2 in px or %.",
        },
        "crop": {"type": "boolean", "default": False, "description": "Crop to the subject."},
        "crop_margin": {
            **words,
            "default": "0",
            "description": "Around the cropped subject: 1, 2 or 4 lengths in px or %.",
        },
        "scale": {**words, "default": "original", "description": "Size of the subject on the canvas, 10% to 100%."},
        "position": {**words, "default": "original", "description": "center, or one or two shares from 0% to 100%."},
        "channels": {**words, "enum": ["rgba", "alpha"], "default": "rgba", "description": "alpha answers the mask."},
        "bg_color": {**words, "description": "Colour behind the subject: 81d4fa, fff, 81d4fa77, green."},
        "bg_image_url": {**words, "description": "Address of a picture behind the subject, where this server fetches."},
        "add_shadow": {"type": "boolean", "default": False, "description": "Let the subject cast a shadow."},
        **dict.fromkeys(ACCEPTED, taken),
    }


def _query_parameters() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": {key: value for key, value in schema.items() if key != "description"},
            "description": schema["description"],
        }
        for name, schema in _parameters().items()
    ]


def _request_body() -> dict[str, Any]:
    common = _parameters()
    photo = {"type": "string", "format": "binary"}
    files = {
        "image_file": {**photo, "description": "The photo."},
        "bg_image_file": {**photo, "description": "A picture behind the subject."},
    }
    return {
        "required": False,
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "properties": {**files, **common}}},
            "application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": common}},
            "application/json": {"schema": {"type": "object", "properties": common}},
        },
    }
