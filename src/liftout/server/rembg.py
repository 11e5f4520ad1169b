"""GET and POST /api/remove: clients of rembg's server, unchanged.

Parameters are those of rembg 2.0.86, in the query or as form fields. Where rembg answers 500 (bad files, bad parameters)
this answers 4xx, and where rembg ignores a parameter (form fields of POST, mistyped extras) this takes it or says so.

    model    of `GET /v1/models`; rembg's names are translated
    a        alpha matting: edges = refined; af, ab and ae are checked, the matting finds its own thresholds
    om       only the mask
    ppm      smooth the mask: opened, blurred, and cut at one half, as rembg does
    dc, vm   clean edge colours, which cutouts here always have; ViTMatte, which is edges = refined here
    bgc      r,g,b,a behind the subject
    extras   JSON object with further arguments of rembg's `remove`
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter
from PIL import Image, ImageFilter
from starlette.requests import Request
from starlette.responses import Response

from liftout.cutout import Cutout
from liftout.images import FORMATS, encode
from liftout.images.colour import from_srgb
from liftout.options import ResultOptions, RunOptions
from liftout.render import render
from liftout.server import body as bodies
from liftout.server import cutouts, fields
from liftout.server.openapi import BODY, GUARDED, key_needed, refusals
from liftout.server.problems import unprocessable
from liftout.server.rate import headers as rate_headers
from liftout.server.service import Service, one_source

PATH = "/api/remove"
FILE = "file"
URL = "url"
MODEL_NAMES = {"bria-rmbg": "rmbg-2.0"}
"""rembg's names of models that are called otherwise here."""
_EXTRAS = {
    "alpha_matting": "a",
    "alpha_matting_foreground_threshold": "af",
    "alpha_matting_background_threshold": "ab",
    "alpha_matting_erode_size": "ae",
    "only_mask": "om",
    "post_process_mask": "ppm",
    "decontaminate": "dc",
    "vitmatte": "vm",
    "bgcolor": "bgc",
}
"""Arguments of rembg's `remove`, and the parameter that each is."""


@dataclass(frozen=True, kw_only=True)
class _Call:
    """rembg's parameters, checked."""

    model: str = ""
    a: bool = False
    af: int = 240
    ab: int = 10
    ae: int = 10
    om: bool = False
    ppm: bool = False
    dc: bool = False
    vm: bool = False
    bgc: tuple[int, int, int, int] | None = None


def router(service: Service) -> APIRouter:
    """The routes, over one service."""
    routes = APIRouter(tags=["rembg"])
    settings = service.settings
    ok: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "The cutout",
            "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        },
        **refusals(settings, *GUARDED, *BODY),
    }
    url = {
        "name": URL,
        "in": "query",
        "required": True,
        "schema": {"type": "string"},
        "description": "Address of the photo.",
    }

    @routes.get(
        PATH,
        summary="As rembg: cut out a photo by its address",
        response_class=Response,
        responses=ok,
        openapi_extra={"parameters": [url, *_parameters()], **key_needed(settings)},
    )
    async def from_address(request: Request) -> Response:
        return await _remove(service, request)

    @routes.post(
        PATH,
        summary="As rembg: cut out an uploaded photo",
        response_class=Response,
        responses=ok,
        openapi_extra={
            "parameters": [{**url, "required": False}, *_parameters()],
            "requestBody": _request_body(),
            **key_needed(settings),
        },
    )
    async def from_upload(request: Request) -> Response:
        return await _remove(service, request)

    return routes


async def _remove(service: Service, request: Request) -> Response:
    allowance = service.admit(request)
    async with service.reading(request) as body:
        files = dict(body.files)
        if bodies.RAW_FIELD in files and FILE not in files and bodies.media_type(request) != "multipart/form-data":
            files[FILE] = files.pop(bodies.RAW_FIELD)
        fields.refuse_unknown(
            [*body.fields, *files], [FILE, URL, "extras", *(field.name for field in dataclasses.fields(_Call))]
        )
        for name in files:
            if name != FILE:
                raise unprocessable(name, f"{name} is a file; the photo is the file named {FILE}")
        call = _call(body.fields)
        run = _run_options(service, call)
        source = one_source(FILE, {FILE: FILE in files, URL: body.fields.get(URL)})
        photo = files[FILE] if source == FILE else await service.fetched(body, field=URL)
        content, timing = await _cut(service, request, photo, call, run, source)
    return Response(content, media_type="image/png", headers={"Server-Timing": timing, **rate_headers(allowance)})


async def _cut(
    service: Service, request: Request, photo: bytes, call: _Call, run: RunOptions, field: str
) -> tuple[bytes, str]:
    content, done = await service.cut(
        request, photo, run, lambda cutout: finished(cutout, call), field=field, chosen_model=bool(call.model)
    )
    return content, cutouts.timing(done)


def finished(cutout: Cutout, call: _Call) -> bytes:
    """PNG bytes of a cutout, as rembg's parameters ask for them."""
    if call.ppm:
        cutout = Cutout(cutout.photo, smoothed(cutout.alpha))
    if call.om:
        return render(cutout, ResultOptions(mask=True, format="png")).content
    if call.bgc is None:
        return cutout.to_bytes("png")
    if call.bgc[3] == 255:
        return render(
            cutout, ResultOptions(background="#{:02x}{:02x}{:02x}".format(*call.bgc[:3]), format="png")
        ).content
    red, green, blue = map(int, from_srgb(np.array([[call.bgc[:3]]], np.uint8), cutout.photo.icc)[0, 0])
    behind = Image.new("RGBA", cutout.image.size, (red, green, blue, call.bgc[3]))
    blended = np.asarray(Image.alpha_composite(behind, cutout.image))
    return encode(blended, FORMATS["png"], icc=cutout.photo.icc)


def smoothed(alpha: Any) -> Any:
    """Alpha with specks gone and edges round and hard: opening, blur, one half. uint8 [H, W]."""
    image = Image.fromarray(alpha).filter(ImageFilter.MinFilter(3)).filter(ImageFilter.MaxFilter(3))
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(2)))
    return np.where(blurred < 127, 0, 255).astype(np.uint8)


def _run_options(service: Service, call: _Call) -> RunOptions:
    run = service.settings.run
    if call.model:
        run = dataclasses.replace(run, model=MODEL_NAMES.get(call.model, call.model))
    if call.a or call.vm:
        run = dataclasses.replace(run, edges="refined")
    return run


def _call(given: Mapping[str, Any]) -> _Call:
    values = {name: value for name, value in given.items() if name not in (FILE, URL, "extras")}
    for name, value in _extras(given.get("extras")).items():
        values[_EXTRAS[name]] = value
    held = {name: value for name, value in values.items() if value is not None and value != ""}
    made: dict[str, Any] = {}
    for name, value in held.items():
        if name == "model":
            made[name] = fields.text(name, value)
        elif name == "bgc":
            made[name] = _colour(value)
        elif name == "ae":
            made[name] = fields.whole(name, value, 0)
        elif name in ("af", "ab"):
            made[name] = fields.whole(name, value, 0, 255)
        else:
            made[name] = fields.boolean(name, value)
    return _Call(**made)


def _extras(value: Any) -> dict[str, Any]:
    if value is None or value == "":
        return {}
    try:
        extras = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        extras = None
    if not isinstance(extras, dict):
        raise unprocessable("extras", "extras is not a JSON object")
    for name in extras:
        if name not in _EXTRAS:
            raise unprocessable("extras", f"extras: {name[:40]!r} is not taken here; there are {', '.join(_EXTRAS)}")
    return extras


def _colour(value: Any) -> tuple[int, int, int, int]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) not in (3, 4):
        raise unprocessable("bgc", "bgc must be four levels from 0 to 255, as in 255,255,255,255")
    levels = [fields.whole("bgc", part, 0, 255) for part in parts]
    red, green, blue, alpha = levels if len(levels) == 4 else [*levels, 255]
    return red, green, blue, alpha


_ABOUT: dict[str, tuple[dict[str, Any], str]] = {
    "model": ({"type": "string"}, "Model; `GET /v1/models` lists them."),
    "a": ({"type": "boolean", "default": False}, "Alpha matting: refined edges."),
    "af": (
        {"type": "integer", "minimum": 0, "maximum": 255, "default": 240},
        "Threshold of rembg's matting; checked only.",
    ),
    "ab": (
        {"type": "integer", "minimum": 0, "maximum": 255, "default": 10},
        "Threshold of rembg's matting; checked only.",
    ),
    "ae": ({"type": "integer", "minimum": 0, "default": 10}, "Erosion of rembg's matting; checked only."),
    "om": ({"type": "boolean", "default": False}, "Answer only the mask."),
    "ppm": ({"type": "boolean", "default": False}, "Smooth the mask."),
    "dc": ({"type": "boolean", "default": False}, "Clean edge colours; cutouts here always have them."),
    "vm": ({"type": "boolean", "default": False}, "Refined edges."),
    "bgc": ({"type": "string", "pattern": r"^\d{1,3},\d{1,3},\d{1,3}(,\d{1,3})?$"}, "Background as r,g,b,a."),
    "extras": ({"type": "string"}, "JSON object with arguments of rembg's remove()."),
}


def _parameters() -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": text}
        for name, (schema, text) in _ABOUT.items()
    ]


def _request_body() -> dict[str, Any]:
    properties = {name: {**schema, "description": text} for name, (schema, text) in _ABOUT.items()}
    properties[URL] = {"type": "string", "description": "Address of the photo."}
    photo = {"type": "string", "format": "binary", "description": "The photo."}
    fields_alone = {"schema": {"type": "object", "properties": properties}}
    return {
        "required": False,
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "properties": {FILE: photo, **properties}}},
            "application/json": fields_alone,
            "application/x-www-form-urlencoded": fields_alone,
            **{mime: {"schema": photo} for mime in ("image/*", "application/octet-stream")},
        },
    }
