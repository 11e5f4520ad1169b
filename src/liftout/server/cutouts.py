"""POST and GET /v1/cutouts: a photo and options in, a picture or JSON out."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from liftout.cutout import Cutout
from liftout.options import PromptOptions, ResultOptions, RunOptions, canvas_size
from liftout.prompts import Asked
from liftout.render import render, render_each
from liftout.server import archive, fields
from liftout.server.background import BackgroundPicture
from liftout.server.body import Body
from liftout.server.negotiation import accepted_types, preferred_format
from liftout.server.openapi import BODY, GUARDED, key_needed, refusals
from liftout.server.openapi import cutouts as document
from liftout.server.openapi.cutouts import ANSWER, ANSWERS, IMAGE, URL
from liftout.server.problems import Problem, unprocessable
from liftout.server.rate import headers as rate_headers
from liftout.server.results import Layer, Result, result_key
from liftout.server.service import Service, Timing, one_source
from liftout.server.signing import EXPIRES, SIGNATURE, seconds_left

PATH = "/v1/cutouts"
OPTIONS = fields.names(PromptOptions, ResultOptions, RunOptions)
"""Fields of a request that say how its photo is cut out."""


def router(service: Service) -> APIRouter:
    """The routes, over one service."""
    routes = APIRouter(tags=["cutouts"])
    settings = service.settings
    ok: dict[int | str, dict[str, Any]] = {200: {"description": "The cutout", "content": document.answers()}}

    @routes.post(
        PATH,
        summary="Cut the subject out of a photo",
        response_class=Response,
        responses={**ok, **refusals(settings, *GUARDED, *BODY, 412)},
        openapi_extra={
            "requestBody": document.request_body(),
            "parameters": document.query_parameters(),
            **key_needed(settings),
        },
    )
    async def cut_out(request: Request) -> Response:
        allowance = service.admit(request)
        return await _answer(service, request, rate_headers(allowance))

    @routes.head(PATH, include_in_schema=False)
    @routes.get(
        PATH,
        summary="Cut the subject out of a photo at a URL",
        description="For `img` tags: without a key if the URL is signed (`--sign-key`).",
        response_class=Response,
        responses={**ok, 304: {"description": "Not modified"}, **refusals(settings, *GUARDED, *BODY)},
        openapi_extra={"parameters": document.query_parameters(signed=True), **key_needed(settings)},
    )
    async def cut_out_url(request: Request) -> Response:
        seconds = seconds_left(request, service.sign_key)
        allowance = service.admit(request) if seconds is None else service.admit_signed(request)
        headers = {"Cache-Control": "no-cache" if seconds is None else f"private, max-age={min(seconds, 86_400)}"}
        if seconds is not None:
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return await _answer(service, request, {**headers, **rate_headers(allowance)})

    return routes


async def _answer(service: Service, request: Request, headers: dict[str, str]) -> Response:
    """The response to a request that was admitted. Raises Problem, ClientLeft."""
    async with service.open_body(request) as body:
        options, run, asked, chosen_model = read_options(service, body)
        background = _background_picture(service, body)
        answer = _answer_kind(request, body)
        kind = preferred_format(request) if options.format is None and answer == "image" else None
        field, photo = await photo_of(service, body)
        model = await asyncio.to_thread(service.model_identity, run, field=field, chosen_model=chosen_model)
        files = (photo, background.content) if background else (photo,)
        key = await asyncio.to_thread(result_key, model, run, options, asked, kind=kind, files=files)
        headers = {**headers, "ETag": f'W/"{key[:32]}-{answer}"'}
        if _matches(request, headers["ETag"]):
            if request.method in ("GET", "HEAD"):
                return Response(status_code=304, headers=headers)
            raise Problem(412, "the cutout has the ETag of If-None-Match")
        stored = await asyncio.to_thread(service.results.get, key) if service.results else None
        if stored is not None:
            result, timing = stored, Timing(waited=0, ran=0)
        else:
            result, timing = await service.cut(
                request,
                photo,
                run,
                lambda cutout, subjects: render_result(cutout, subjects, options, kind, background),
                field=field,
                chosen_model=chosen_model,
                asked=asked,
            )
            if service.results:
                await asyncio.to_thread(service.results.put, key, result)
    if service.results:
        headers["X-Liftout-Cache"] = "miss" if stored is None else "hit"
        service.metrics.cached.labels(headers["X-Liftout-Cache"]).inc()
    headers["Server-Timing"] = timing.header
    name = service.name_of(run.model)
    if answer == "image":
        return _picture(result, name, headers)
    return _json(result, name, timing, headers, with_image=answer == "json")


def _matches(request: Request, etag: str) -> bool:
    """Whether If-None-Match names an ETag."""
    tags = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    return "*" in tags or etag in tags or etag.removeprefix("W/") in tags


def read_options(service: Service, body: Body) -> tuple[ResultOptions, RunOptions, Asked, bool]:
    """Options and prompts of a request, and whether it names the model. Raises Problem 422."""
    fields.refuse_unknown([*body.fields, *body.files], [IMAGE, URL, ANSWER, EXPIRES, SIGNATURE, *OPTIONS])
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
    return result, run, fields.read_prompts(body.fields), bool(body.fields.get("model"))


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


def render_result(
    cutout: Cutout,
    subjects: Iterable[Cutout],
    options: ResultOptions,
    kind: str | None,
    background: BackgroundPicture | None,
) -> Result:
    """The finished picture. subjects: of the cutout, where each is to have its own. kind: the format where the options name none."""
    height, width = cutout.size
    picture = background.decode() if background and not options.mask else None
    facts: dict[str, Any] = {"width": width, "height": height, "box": cutout.box, "subject": _share(cutout)}
    if options.subjects != "each":
        return Result(rendered=render(cutout, options, format=kind, background=picture), **facts)
    layers, files = [], []
    rendering = render_each(cutout, options, format=kind, background=picture, subjects=subjects)
    for number, (part, rendered) in enumerate(rendering, 1):
        name = f"cutout-{number}{rendered.format.suffix}"
        layers.append(Layer(name=name, box=part.box, subject=_share(part)))
        files.append((name, rendered.content))
    return Result(rendered=replace(rendered, content=archive.zipped(files)), layers=tuple(layers), **facts)


def _share(cutout: Cutout) -> float:
    return round(float(cutout.alpha.mean()) / 255, 4)


def _picture(result: Result, model: str, headers: dict[str, str]) -> Response:
    name = "cutouts.zip" if result.layers else f"cutout{result.rendered.format.suffix}"
    headers["Content-Disposition"] = f'inline; filename="{name}"'
    headers["X-Liftout-Model"] = model
    if result.box is not None:
        headers["X-Liftout-Box"] = ",".join(map(str, result.box))
    if result.rendered.note:
        headers["X-Liftout-Note"] = result.rendered.note.encode("ascii", "replace").decode()
    return Response(result.rendered.content, media_type=result.mime, headers=headers)


def _json(result: Result, model: str, timing: Timing, headers: dict[str, str], *, with_image: bool) -> Response:
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
    if result.layers:
        content["subjects"] = [_layer(result, layer, with_image=with_image) for layer in result.layers]
        content["bytes"] = sum(layer["bytes"] for layer in content["subjects"])
    elif with_image:
        content["image"] = _base64(result.rendered.content)
    return JSONResponse(content, headers=headers)


def _layer(result: Result, layer: Layer, *, with_image: bool) -> dict[str, Any]:
    picture = archive.unzipped(result.rendered.content, layer.name)
    facts = {**vars(layer), "bytes": len(picture)}
    return {**facts, "image": _base64(picture)} if with_image else facts


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _answer_kind(request: Request, body: Body) -> str:
    answer = body.fields.get(ANSWER)
    if answer:
        return fields.one_of(ANSWER, answer, ANSWERS)
    accepted = accepted_types(request)
    return "json" if accepted and accepted[0] == "application/json" else "image"
