"""POST /v1.0/removebg: clients of remove.bg, unchanged but for the address.

Parameters (`liftout.adapters.removebg`), result headers and the shape of errors are those of remove.bg's API 1.0. `type` is
repeated in X-Type; no call costs credits.

Source: the headers as client packages for remove.bg record them (remove.bg 1.3.0 on npm, remove_bg 2.0 on rubygems).
"""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from liftout.adapters import removebg as adapter
from liftout.adapters.removebg import ACCEPTED, CHANNELS, FORMAT_NAMES, SIZES, TYPES, Parameters, Result
from liftout.cutout import Cutout
from liftout.server import fields
from liftout.server.body import Body
from liftout.server.cutouts import timing
from liftout.server.openapi import key_needed, occurs
from liftout.server.picture import Picture
from liftout.server.problems import Problem, unprocessable
from liftout.server.rate import headers as rate_headers
from liftout.server.service import Service, one_source

PREFIX = "/v1.0/"
PATH = "/v1.0/removebg"
SOURCES = ("image_file", "image_file_b64", "image_url")
BACKGROUNDS = ("bg_color", "bg_image_file", "bg_image_url")

_CODES = {401: "auth_failed", 403: "auth_failed", 429: "rate_limit_exceeded", 413: "file_size_too_large"}


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
                lambda cutout: _finished(cutout, call, behind),
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


def _call(body: Body) -> Parameters:
    own = [field.name for field in dataclasses.fields(Parameters)]
    fields.refuse_unknown([*body.fields, *body.files], [*SOURCES, *BACKGROUNDS, *own, *ACCEPTED])
    for name in body.files:
        if name not in (*SOURCES, *BACKGROUNDS):
            raise unprocessable(name, f"{name} is a file; files are taken as image_file and bg_image_file")
    backgrounds = [name for name in BACKGROUNDS if body.fields.get(name) or body.files.get(name)]
    if len(backgrounds) > 1:
        raise unprocessable(backgrounds[1], f"{' and '.join(backgrounds)} are given; send one of them")
    with fields.refusing():
        return adapter.parse(body.fields)


def _finished(cutout: Cutout, call: Parameters, background: Picture | None) -> Result:
    return adapter.result(cutout, call, None if background is None else background.photo())


def _result_headers(result: Result, call: Parameters) -> dict[str, str]:
    headers = {
        "X-Type": "other" if call.type == "auto" else call.type,
        "X-Width": str(result.size[1]),
        "X-Height": str(result.size[0]),
        "X-Max-Width": str(result.largest[1]),
        "X-Max-Height": str(result.largest[0]),
        "X-Credits-Charged": "0",
    }
    return headers | {f"X-{name.replace('_', '-').title()}": str(value) for name, value in _foreground(result).items()}


def _described(result: Result) -> dict[str, Any]:
    return {"result_b64": base64.b64encode(result.content).decode("ascii"), **_foreground(result)}


def _foreground(result: Result) -> dict[str, int]:
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
        "channels": {**words, "enum": list(CHANNELS), "default": "rgba", "description": "alpha answers the mask."},
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
