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
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from liftout.adapters import rembg as adapter
from liftout.adapters.rembg import Arguments
from liftout.options import RunOptions
from liftout.server import body as bodies
from liftout.server import cutouts, fields
from liftout.server.openapi import BODY, GUARDED, key_needed, refusals
from liftout.server.problems import unprocessable
from liftout.server.rate import headers as rate_headers
from liftout.server.service import Service, one_source

PATH = "/api/remove"
FILE = "file"
URL = "url"


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
        fields.refuse_unknown([*body.fields, *files], [FILE, URL, adapter.EXTRAS, *adapter.PARAMETERS])
        for name in files:
            if name != FILE:
                raise unprocessable(name, f"{name} is a file; the photo is the file named {FILE}")
        with fields.refusing():
            call = adapter.parse(body.fields)
        run = _run_options(service, call)
        source = one_source(FILE, {FILE: FILE in files, URL: body.fields.get(URL)})
        photo = files[FILE] if source == FILE else await service.fetched(body, field=URL)
        content, timing = await _cut(service, request, photo, call, run, source)
    return Response(content, media_type="image/png", headers={"Server-Timing": timing, **rate_headers(allowance)})


async def _cut(
    service: Service, request: Request, photo: bytes, call: Arguments, run: RunOptions, field: str
) -> tuple[bytes, str]:
    content, done = await service.cut(
        request,
        photo,
        run,
        lambda cutout: adapter.result(cutout, call).png(),
        field=field,
        chosen_model=bool(call.model_name),
    )
    return content, cutouts.timing(done)


def _run_options(service: Service, call: Arguments) -> RunOptions:
    run = service.settings.run
    if call.model_name:
        run = dataclasses.replace(run, model=adapter.model_name(call.model_name))
    if call.edges is not None:
        run = dataclasses.replace(run, edges=call.edges)
    return run


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
