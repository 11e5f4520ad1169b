"""POST /v1/cutouts: a photo and options in, a picture or JSON out."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from liftout.cutout import Cutout
from liftout.options import ResultOptions, RunOptions, canvas_size
from liftout.render import Rendered, render
from liftout.server import fields
from liftout.server.background import BackgroundPicture
from liftout.server.body import Body
from liftout.server.negotiation import accepted_types, preferred_format
from liftout.server.openapi import BODY, GUARDED, key_needed, refusals
from liftout.server.openapi import cutouts as document
from liftout.server.openapi.cutouts import ANSWER, ANSWERS, IMAGE, URL
from liftout.server.problems import unprocessable
from liftout.server.rate import headers as rate_headers
from liftout.server.service import Service, Timing, one_source


@dataclass(frozen=True, kw_only=True)
class _Result:
    """A finished picture and what a caller is told about it."""

    rendered: Rendered
    width: int
    height: int
    box: tuple[int, int, int, int] | None
    subject: float


def router(service: Service) -> APIRouter:
    """The route, over one service."""
    routes = APIRouter(tags=["cutouts"])

    @routes.post(
        "/v1/cutouts",
        summary="Cut the subject out of a photo",
        response_class=Response,
        responses={
            200: {"description": "The cutout", "content": document.answers()},
            **refusals(service.settings, *GUARDED, *BODY),
        },
        openapi_extra={
            "requestBody": document.request_body(),
            "parameters": document.query_parameters(),
            **key_needed(service.settings),
        },
    )
    async def cut_out(request: Request) -> Response:
        allowance = service.admit(request)
        async with service.open_body(request) as body:
            options, run, chosen_model = read_options(service, body)
            background = _background_picture(service, body)
            answer = _answer_kind(request, body)
            kind = preferred_format(request) if options.format is None and answer == "image" else None
            field, photo = await photo_of(service, body)
            result, timing = await service.cut(
                request,
                photo,
                run,
                lambda cutout: _render(cutout, options, kind, background),
                field=field,
                chosen_model=chosen_model,
            )
        model = service.name_of(run.model)
        headers = {"Server-Timing": timing.header, **rate_headers(allowance)}
        if answer == "image":
            return _picture(result, model, headers)
        return _json(result, model, timing, headers, with_image=answer == "json")

    return routes


def read_options(service: Service, body: Body) -> tuple[ResultOptions, RunOptions, bool]:
    """Options of a request, and whether it names the model. Raises Problem 422."""
    fields.refuse_unknown([*body.fields, *body.files], [IMAGE, URL, ANSWER, *fields.names(ResultOptions, RunOptions)])
    uploads = [IMAGE, *fields.pictures()]
    for name in body.files:
        if name not in uploads:
            raise unprocessable(name, f"{name} is a file; files are taken as {' and '.join(uploads)}")
    result = fields.read(ResultOptions, body.fields, ResultOptions())
    run = fields.read(RunOptions, body.fields, service.settings.run)
    if result.canvas is not None:
        width, height = canvas_size(result.canvas)
        if width * height > service.settings.limits.max_pixels:
            limit = service.settings.limits.max_pixels / 1e6
            raise unprocessable(
                "canvas", f"canvas {result.canvas} has more than {limit:g} megapixels, the limit of this server"
            )
    return result, run, bool(body.fields.get("model"))


async def photo_of(service: Service, body: Body) -> tuple[str, bytes]:
    """The name of the field with the photo, and the photo: uploaded, in base64, or fetched. Raises Problem."""
    if IMAGE in body.files and body.fields.get(IMAGE):
        raise unprocessable(IMAGE, f"{IMAGE} is given twice")
    source = one_source(IMAGE, {name: body.has(name) for name in (IMAGE, URL)})
    if source == URL:
        return URL, await service.fetch(body, field=URL)
    return IMAGE, body.files.get(IMAGE) or await body.from_base64(IMAGE)


def _background_picture(service: Service, body: Body) -> BackgroundPicture | None:
    """The uploaded background, or None. Raises Problem 422 where a colour is given too."""
    for name in fields.pictures():
        if name in body.files:
            if body.fields.get(name):
                raise unprocessable(name, f"{name} is given twice")
            return BackgroundPicture(
                field=name, content=body.files[name], max_pixels=service.settings.limits.max_pixels
            )
    return None


def _render(cutout: Cutout, options: ResultOptions, kind: str | None, background: BackgroundPicture | None) -> _Result:
    height, width = cutout.size
    picture = background.decode() if background and not options.mask else None
    rendered = render(cutout, options, format=kind, background=picture)
    return _Result(
        rendered=rendered,
        width=width,
        height=height,
        box=cutout.box,
        subject=round(float(cutout.alpha.mean()) / 255, 4),
    )


def _picture(result: _Result, model: str, headers: dict[str, str]) -> Response:
    kind = result.rendered.format
    headers["Content-Disposition"] = f'inline; filename="cutout{kind.suffix}"'
    headers["X-Liftout-Model"] = model
    if result.box is not None:
        headers["X-Liftout-Box"] = ",".join(map(str, result.box))
    if result.rendered.note:
        headers["X-Liftout-Note"] = result.rendered.note.encode("ascii", "replace").decode()
    return Response(result.rendered.content, media_type=kind.mime, headers=headers)


def _json(result: _Result, model: str, timing: Timing, headers: dict[str, str], *, with_image: bool) -> Response:
    kind = result.rendered.format
    content: dict[str, Any] = {
        "format": kind.name,
        "media_type": kind.mime,
        "bytes": len(result.rendered.content),
        "width": result.width,
        "height": result.height,
        "box": result.box,
        "subject": result.subject,
        "model": model,
        "seconds": {"waited": round(timing.waited, 4), "ran": round(timing.ran, 4)},
    }
    if result.rendered.note:
        content["note"] = result.rendered.note
    if with_image:
        content["image"] = base64.b64encode(result.rendered.content).decode("ascii")
    return JSONResponse(content, headers=headers)


def _answer_kind(request: Request, body: Body) -> str:
    answer = body.fields.get(ANSWER)
    if answer:
        return fields.one_of(ANSWER, answer, ANSWERS)
    accepted = accepted_types(request)
    return "json" if accepted and accepted[0] == "application/json" else "image"
