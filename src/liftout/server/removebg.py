"""POST /v1.0/removebg, for clients of remove.bg with nothing changed but the host.

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
from liftout.adapters.removebg import ACCEPTED, Parameters, Result
from liftout.cutout import Cutout
from liftout.server import fields
from liftout.server.background import BackgroundPicture
from liftout.server.body import Body
from liftout.server.openapi import key_needed
from liftout.server.openapi import removebg as document
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

    @routes.post(
        PATH,
        summary="As remove.bg: cut out a photo",
        response_class=Response,
        responses=document.responses(service.settings),
        openapi_extra={
            "requestBody": document.request_body(),
            "parameters": document.query_parameters(),
            **key_needed(service.settings),
        },
    )
    async def remove_background(request: Request) -> Response:
        allowance = service.admit(request)
        async with service.open_body(request) as body:
            parameters = _read_parameters(body)
            field, photo = await _photo(service, body)
            background = await _background(service, body)
            result, timing = await service.cut(
                request,
                photo,
                service.settings.run,
                lambda cutout: _render(cutout, parameters, background),
                field=field,
                chosen_model=False,
            )
        headers = {**_result_headers(result, parameters), "Server-Timing": timing.header, **rate_headers(allowance)}
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"data": _as_json(result)}, headers=headers)
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
    source = one_source("image_file", {name: body.has(name) for name in SOURCES})
    if source == "image_url":
        return source, await service.fetch(body, field=source)
    return source, body.files.get(source) or await body.from_base64(source)


async def _background(service: Service, body: Body) -> BackgroundPicture | None:
    max_pixels = service.settings.limits.max_pixels
    if body.fields.get("bg_image_url"):
        content = await service.fetch(body, field="bg_image_url")
        return BackgroundPicture(field="bg_image_url", content=content, max_pixels=max_pixels)
    if content := body.files.get("bg_image_file", b""):
        return BackgroundPicture(field="bg_image_file", content=content, max_pixels=max_pixels)
    return None


def _read_parameters(body: Body) -> Parameters:
    own = [field.name for field in dataclasses.fields(Parameters)]
    fields.refuse_unknown([*body.fields, *body.files], [*SOURCES, *BACKGROUNDS, *own, *ACCEPTED])
    for name in body.files:
        if name not in (*SOURCES, *BACKGROUNDS):
            raise unprocessable(name, f"{name} is a file; files are taken as image_file and bg_image_file")
    sources = [name for name in BACKGROUNDS if body.fields.get(name) or body.files.get(name)]
    if len(sources) > 1:
        raise unprocessable(sources[1], f"{' and '.join(sources)} are given; send one of them")
    with fields.refusing():
        return adapter.parse(body.fields)


def _render(cutout: Cutout, parameters: Parameters, background: BackgroundPicture | None) -> Result:
    return adapter.result(cutout, parameters, None if background is None else background.decode())


def _result_headers(result: Result, parameters: Parameters) -> dict[str, str]:
    headers = {
        "X-Type": "other" if parameters.type == "auto" else parameters.type,
        "X-Width": str(result.size[1]),
        "X-Height": str(result.size[0]),
        "X-Max-Width": str(result.largest[1]),
        "X-Max-Height": str(result.largest[0]),
        "X-Credits-Charged": "0",
    }
    return headers | {f"X-{name.replace('_', '-').title()}": str(value) for name, value in _foreground(result).items()}


def _as_json(result: Result) -> dict[str, Any]:
    return {"result_b64": base64.b64encode(result.content).decode("ascii"), **_foreground(result)}


def _foreground(result: Result) -> dict[str, int]:
    left, top, right, bottom = result.box or (0, 0, 0, 0)
    return {
        "foreground_top": top,
        "foreground_left": left,
        "foreground_width": right - left,
        "foreground_height": bottom - top,
    }
