"""GET and POST /api/remove: clients of rembg's server, unchanged.

Parameters are those of rembg 2.0.86, in the query or as form fields. Where rembg answers 500 (bad files, bad parameters)
this answers 4xx, and where rembg ignores a parameter (form fields of POST, mistyped extras) this takes it or says so.

    model    of `GET /v1/models`; rembg's names are translated
    a        alpha matting: edges = refined; af, ab and ae are checked, the matting finds its own thresholds
    om       only the mask
    ppm      smooth the mask: opened, blurred, and cut at one half, as rembg does
    dc, vm   clean edge colours, which cutouts here always have; ViTMatte, which is edges = refined here
    bgc      r,g,b,a behind the subject
    extras   JSON object with further arguments of rembg's `remove`; sam_prompt is points and a box
"""

from __future__ import annotations

import dataclasses

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from liftout.adapters import rembg as adapter
from liftout.adapters.rembg import Arguments
from liftout.options import PromptOptions, RunOptions
from liftout.server import body as bodies
from liftout.server import fields
from liftout.server.openapi import BODY, GUARDED, key_needed, refusals
from liftout.server.openapi import rembg as document
from liftout.server.openapi.rembg import FILE, URL
from liftout.server.problems import Problem, unprocessable
from liftout.server.rate import headers as rate_headers
from liftout.server.service import Service, one_source

PATH = "/api/remove"


def router(service: Service) -> APIRouter:
    """The routes, over one service."""
    routes = APIRouter(tags=["rembg"])
    settings = service.settings
    responses = {200: document.ANSWER, **refusals(settings, *GUARDED, *BODY)}

    @routes.get(
        PATH,
        summary="As rembg: cut out a photo by its URL",
        response_class=Response,
        responses=responses,
        openapi_extra={"parameters": document.query_parameters(url_required=True), **key_needed(settings)},
    )
    async def from_url(request: Request) -> Response:
        return await _remove(service, request)

    @routes.post(
        PATH,
        summary="As rembg: cut out an uploaded photo",
        response_class=Response,
        responses=responses,
        openapi_extra={
            "parameters": document.query_parameters(url_required=False),
            "requestBody": document.request_body(),
            **key_needed(settings),
        },
    )
    async def from_upload(request: Request) -> Response:
        return await _remove(service, request)

    return routes


async def _remove(service: Service, request: Request) -> Response:
    allowance = service.admit(request)
    async with service.open_body(request) as body:
        files = dict(body.files)
        if bodies.RAW_FIELD in files and FILE not in files and bodies.media_type(request) != "multipart/form-data":
            files[FILE] = files.pop(bodies.RAW_FIELD)
        fields.refuse_unknown([*body.fields, *files], [FILE, URL, adapter.EXTRAS, *adapter.PARAMETERS])
        for name in files:
            if name != FILE:
                raise unprocessable(name, f"{name} is a file; the photo is the file named {FILE}")
        with fields.refusing():
            arguments = adapter.parse(body.fields)
        run = _run_options(service, arguments)
        source = one_source(FILE, {FILE: FILE in files, URL: body.fields.get(URL)})
        photo = files[FILE] if source == FILE else await service.fetch(body, field=URL)
        try:
            content, timing = await service.cut(
                request,
                photo,
                run,
                lambda cutout, _: adapter.result(cutout, arguments).png(),
                field=source,
                chosen_model=bool(arguments.model_name),
                asked=adapter.asked(arguments.sam_prompt),
            )
        except Problem as problem:
            if problem.field in fields.names(PromptOptions):
                said = problem.detail.removeprefix(f"{problem.field} ")
                raise unprocessable(
                    adapter.EXTRAS,
                    f"{adapter.EXTRAS} holds {adapter.PROMPT}, which has a mark that does not fit: {said}",
                ) from None
            raise
    headers = {"Server-Timing": timing.header, **rate_headers(allowance)}
    return Response(content, media_type="image/png", headers=headers)


def _run_options(service: Service, arguments: Arguments) -> RunOptions:
    run = service.settings.run
    if arguments.model_name:
        run = dataclasses.replace(run, model=adapter.model_name(arguments.model_name))
    if arguments.edges is not None:
        run = dataclasses.replace(run, edges=arguments.edges)
    return run
