"""remove.bg's API 1.0, for its clients with nothing changed but the host.

    POST /v1.0/removebg   cuts out a photo
    GET  /v1.0/account    the caller's credits, which do not end here
    POST /v1.0/improve    accepts photos for remove.bg's improvement program and stores nothing

Parameters, errors and results are those of `liftout.adapters.removebg`; docs/remove-bg.md compares them with the original.
"""

from __future__ import annotations

import base64
import dataclasses
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from liftout.adapters import removebg as adapter
from liftout.adapters.removebg import ACCEPTED, ApiError, Parameters, Result
from liftout.adapters.removebg.errors import MISSING_KEY, title
from liftout.cutout import Cutout
from liftout.server import fields, keys
from liftout.server.background import BackgroundPicture
from liftout.server.body import Body
from liftout.server.negotiation import accepted_types
from liftout.server.openapi import key_needed
from liftout.server.openapi import removebg as document
from liftout.server.problems import Problem, unprocessable
from liftout.server.rate import headers as rate_headers
from liftout.server.service import Service

PREFIX = "/v1.0/"
SOURCES = ("image_file", "image_file_b64", "image_url")
BACKGROUNDS = ("bg_color", "bg_image_file", "bg_image_url")
UNLIMITED = 1_000_000
"""Credits and free calls of every account: clients expect numbers, and refuse to work at 0."""

_CODES = {401: "auth_failed", 403: "auth_failed", 413: "file_too_large", 429: "rate_limit_exceeded"}
_IMPROVE_FIELDS = (*SOURCES, "image_filename", "tag")


def router(service: Service) -> APIRouter:
    """The routes, over one service."""
    routes = APIRouter(tags=["remove.bg"])
    settings = service.settings

    @routes.post(
        f"{PREFIX}removebg",
        summary="As remove.bg: cut out a photo",
        response_class=Response,
        responses=document.responses(settings, document.PICTURE),
        openapi_extra={
            "requestBody": document.request_body(),
            "parameters": document.query_parameters(),
            **key_needed(settings),
        },
    )
    async def remove_background(request: Request) -> Response:
        allowance = service.admit(request)
        async with service.open_body(request) as body:
            parameters = _read_parameters(body)
            field, photo = await _photo(service, body)
            background = await _background(service, body)
            with _code_for_field(field, "failed_to_read_image"):
                result, timing = await service.cut(
                    request,
                    photo,
                    settings.run,
                    lambda cutout, _: _render(cutout, parameters, background),
                    field=field,
                    chosen_model=False,
                )
        headers = {**_result_headers(result, parameters), "Server-Timing": timing.header, **rate_headers(allowance)}
        if _wants_json(request):
            return JSONResponse({"data": _as_json(result)}, headers=headers)
        return Response(result.content, media_type=result.mime, headers=headers)

    @routes.head(f"{PREFIX}account", include_in_schema=False)
    @routes.get(
        f"{PREFIX}account",
        summary="As remove.bg: credits and free calls",
        responses=document.responses(settings, document.ACCOUNT, body=False),
        openapi_extra=key_needed(settings),
    )
    async def account(request: Request) -> JSONResponse:
        allowance = service.admit(request)
        return JSONResponse({"data": {"attributes": _account(service, request)}}, headers=rate_headers(allowance))

    @routes.post(
        f"{PREFIX}improve",
        summary="As remove.bg: submit a photo that is cut out badly; nothing is stored",
        responses=document.responses(settings, document.SUBMITTED),
        openapi_extra={"requestBody": document.improve_body(), **key_needed(settings)},
    )
    async def improve(request: Request) -> JSONResponse:
        allowance = service.admit(request)
        if settings.improve == "off":
            raise Problem(400, "the improvement program is off on this server", code="improve_off")
        async with service.open_body(request) as body:
            fields.refuse_unknown([*body.fields, *body.files], _IMPROVE_FIELDS)
            source = _source(body)
            if source == "image_file_b64":
                await body.from_base64(source)
        return JSONResponse({"id": str(uuid.uuid4())}, headers=rate_headers(allowance))

    return routes


def answer(problem: Problem) -> JSONResponse:
    """A problem in remove.bg's format: status 400 for parameters and photos, 403 for keys."""
    code, status = problem.code, problem.status
    if status in (413, 422) or (status == 403 and problem.field):
        code = code or (f"invalid_{problem.field}" if problem.field else _CODES.get(status))
        status = 400
    code = code or _CODES.get(status)
    error: dict[str, Any] = {"title": (code and title(code)) or problem.detail, "detail": problem.detail}
    if status == 401:
        status = 403
        if "missing" in problem.detail:
            error["title"] = MISSING_KEY
    if code:
        error["code"] = code
    if problem.field:
        error["field"] = problem.field
    return JSONResponse({"errors": [error]}, status_code=status, headers=problem.headers)


def answer_error(error: ApiError) -> JSONResponse:
    """An error of the API, with status 400."""
    return answer(Problem(400, error.detail, field=error.field, code=error.code))


@contextmanager
def _code_for_field(field: str, code: str) -> Iterator[None]:
    """Give problems about a field a code of the API, unless they have one."""
    try:
        yield
    except Problem as problem:
        if problem.field == field and problem.status in (403, 422):
            problem.code = problem.code or code
        raise


def _source(body: Body) -> str:
    """The field with the photo. Raises ApiError."""
    names = [name for name in SOURCES if body.has(name)]
    if not names:
        raise ApiError("missing_source", f"no photo was sent; send {', '.join(SOURCES[:-1])} or {SOURCES[-1]}")
    if len(names) > 1:
        raise ApiError("multiple_sources", f"{' and '.join(names)} were sent; send one of them", field=names[1])
    return names[0]


async def _photo(service: Service, body: Body) -> tuple[str, bytes]:
    source = _source(body)
    if source == "image_url":
        return source, await _fetch(service, body, source, "failed_image_download")
    with _code_for_field(source, "failed_to_read_image"):
        return source, body.files.get(source) or await body.from_base64(source)


async def _background(service: Service, body: Body) -> BackgroundPicture | None:
    max_pixels = service.settings.limits.max_pixels
    if body.fields.get("bg_image_url"):
        content = await _fetch(service, body, "bg_image_url", "failed_bg_download")
        return BackgroundPicture(field="bg_image_url", content=content, max_pixels=max_pixels)
    if content := body.files.get("bg_image_file", b""):
        return BackgroundPicture(field="bg_image_file", content=content, max_pixels=max_pixels)
    return None


async def _fetch(service: Service, body: Body, field: str, code: str) -> bytes:
    url = body.fields[field]
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ApiError(f"invalid_{field}", f"{field} is not a URL that begins with http:// or https://", field=field)
    with _code_for_field(field, code):
        return await service.fetch(body, field=field)


def _read_parameters(body: Body) -> Parameters:
    own = [field.name for field in dataclasses.fields(Parameters)]
    fields.refuse_unknown([*body.fields, *body.files], [*SOURCES, *BACKGROUNDS, *own, *ACCEPTED])
    for name in body.files:
        if name not in (*SOURCES, *BACKGROUNDS):
            raise unprocessable(name, f"{name} is a file; files are taken as image_file and bg_image_file")
    sources = [name for name in BACKGROUNDS if body.has(name)]
    if len(sources) > 1:
        detail = f"{' and '.join(sources)} were sent; send one of them"
        raise ApiError("multiple_bg_sources", detail, field=sources[1])
    with fields.refusing():
        return adapter.parse(body.fields)


def _wants_json(request: Request) -> bool:
    """Whether the Accept header asks for JSON. A list that ends in `*/*`, as axios and browsers send it, asks for the picture."""
    accepted = accepted_types(request)
    return "application/json" in accepted and "*/*" not in accepted


def _render(cutout: Cutout, parameters: Parameters, background: BackgroundPicture | None) -> Result:
    return adapter.result(cutout, parameters, None if background is None else background.decode())


def _result_headers(result: Result, parameters: Parameters) -> dict[str, str]:
    detected = adapter.detected_type(parameters.type, parameters.type_level)
    headers = {"X-Type": detected} if detected else {}
    headers |= {
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


def _account(service: Service, request: Request) -> dict[str, Any]:
    """Attributes of the caller's account; `liftout` is no part of the original."""
    attributes: dict[str, Any] = {
        "credits": {"total": UNLIMITED, "subscription": 0, "payg": UNLIMITED, "enterprise": 0},
        "api": {"free_calls": UNLIMITED, "sizes": "all"},
    }
    if key := keys.check(service.keys, request):
        rate = str(key.rate) if key.rate else None
        attributes["liftout"] = {"key": key.name, "rate": rate, "requests": service.tally.counted(key.name)}
    return attributes
