"""POST /v1/cutouts: a photo and options in, a picture or JSON out."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from liftout.cutout import Cutout
from liftout.images import FORMATS
from liftout.options import ResultOptions, RunOptions, canvas_size
from liftout.render import Rendered, render
from liftout.server import fields
from liftout.server.body import Body
from liftout.server.openapi import BODY, GUARDED, key_needed, refusals
from liftout.server.picture import Picture
from liftout.server.problems import unprocessable
from liftout.server.rate import headers as rate_headers
from liftout.server.service import Done, Service, one_source

IMAGE = "image"
URL = "url"
ANSWER = "answer"
ANSWERS = ("image", "json", "facts")
_OWN = {
    ANSWER: {
        "type": "string",
        "enum": list(ANSWERS),
        "description": "`image` answers the picture, `json` the picture in base64 with its facts, `facts` JSON without the "
        "picture. By default what the Accept header asks for.",
    }
}
_URL = {"type": "string", "format": "uri", "description": "Address of the photo, where this server fetches."}


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What a caller is told about a cutout."""

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
            200: {"description": "The cutout", "content": _answers()},
            **refusals(service.settings, *GUARDED, *BODY),
        },
        openapi_extra={
            "requestBody": _request_body(),
            "parameters": _parameters(),
            **key_needed(service.settings),
        },
    )
    async def cut_out(request: Request) -> Response:
        allowance = service.admit(request)
        async with service.reading(request) as body:
            result, run, chosen = read_options(service, body)
            behind = _picture_behind(service, body)
            answer = _wanted(request, body)
            kind = _accepted_format(request) if result.format is None and answer == "image" else None
            field, photo = await photo_of(service, body)
            facts, done = await service.cut(
                request,
                photo,
                run,
                lambda cutout: _finished(cutout, result, kind, behind),
                field=field,
                chosen_model=chosen,
            )
        model = service.name_of(run.model)
        headers = {"Server-Timing": timing(done), **rate_headers(allowance)}
        if answer == "image":
            return _picture(facts, model, headers)
        return _json(facts, model, done, headers, with_image=answer == "json")

    return routes


def read_options(service: Service, body: Body) -> tuple[ResultOptions, RunOptions, bool]:
    """Options of a request, and whether it names the model. Raises Problem 422."""
    own = (IMAGE, URL, ANSWER)
    fields.refuse_unknown([*body.fields, *body.files], [*own, *fields.names(ResultOptions, RunOptions)])
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
    source = one_source(IMAGE, {name: body.gives(name) for name in (IMAGE, URL)})
    if source == URL:
        return URL, await service.fetched(body, field=URL)
    return IMAGE, body.files.get(IMAGE) or await body.decoded(IMAGE)


def timing(done: Done) -> str:
    """The Server-Timing header, in milliseconds."""
    return f"wait;dur={done.waited * 1000:.0f}, run;dur={done.ran * 1000:.0f}"


def _picture_behind(service: Service, body: Body) -> Picture | None:
    """The uploaded background, or None. Raises Problem 422 where a colour is given too."""
    for name in fields.pictures():
        if name in body.files:
            if body.fields.get(name):
                raise unprocessable(name, f"{name} is given twice")
            return Picture(field=name, content=body.files[name], max_pixels=service.settings.limits.max_pixels)
    return None


def _finished(cutout: Cutout, result: ResultOptions, kind: str | None, behind: Picture | None) -> _Facts:
    height, width = cutout.size
    rendered = render(cutout, result, format=kind, background=behind.photo() if behind and not result.mask else None)
    return _Facts(
        rendered=rendered,
        width=width,
        height=height,
        box=cutout.box,
        subject=round(float(cutout.alpha.mean()) / 255, 4),
    )


def _picture(facts: _Facts, model: str, headers: dict[str, str]) -> Response:
    kind = facts.rendered.format
    headers["Content-Disposition"] = f'inline; filename="cutout{kind.suffix}"'
    headers["X-Liftout-Model"] = model
    if facts.box is not None:
        headers["X-Liftout-Box"] = ",".join(map(str, facts.box))
    if facts.rendered.note:
        headers["X-Liftout-Note"] = facts.rendered.note.encode("ascii", "replace").decode()
    return Response(facts.rendered.content, media_type=kind.mime, headers=headers)


def _json(facts: _Facts, model: str, done: Done, headers: dict[str, str], *, with_image: bool) -> Response:
    kind = facts.rendered.format
    described: dict[str, Any] = {
        "format": kind.name,
        "media_type": kind.mime,
        "bytes": len(facts.rendered.content),
        "width": facts.width,
        "height": facts.height,
        "box": facts.box,
        "subject": facts.subject,
        "model": model,
        "seconds": {"waited": round(done.waited, 4), "ran": round(done.ran, 4)},
    }
    if facts.rendered.note:
        described["note"] = facts.rendered.note
    if with_image:
        described["image"] = base64.b64encode(facts.rendered.content).decode("ascii")
    return JSONResponse(described, headers=headers)


def _wanted(request: Request, body: Body) -> str:
    given = body.fields.get(ANSWER)
    if given:
        return fields.one_of(ANSWER, given, ANSWERS)
    accepted = _accepted(request)
    return "json" if accepted and accepted[0] == "application/json" else "image"


def _accepted_format(request: Request) -> str | None:
    """The format that the Accept header asks for first, where it names one that can be written."""
    by_mime = {kind.mime: kind.name for kind in FORMATS.values()}
    accepted = _accepted(request)
    return by_mime.get(accepted[0]) if accepted else None


def _accepted(request: Request) -> list[str]:
    """Media types of the Accept header, the most wanted first."""
    ranked: list[tuple[float, str]] = []
    for item in request.headers.get("accept", "").split(","):
        kind, *parameters = [part.strip().lower() for part in item.split(";")]
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if kind and weight > 0:
            ranked.append((weight, kind))
    return [kind for _, kind in sorted(ranked, key=lambda entry: -entry[0])]


def _answers() -> dict[str, Any]:
    kinds: dict[str, Any] = {kind.mime: {"schema": {"type": "string", "format": "binary"}} for kind in FORMATS.values()}
    kinds["application/json"] = {
        "schema": {
            "type": "object",
            "required": ["format", "media_type", "bytes", "width", "height", "box", "subject", "model", "seconds"],
            "properties": {
                "image": {"type": "string", "description": "The picture file in base64."},
                "format": {"type": "string"},
                "media_type": {"type": "string"},
                "bytes": {"type": "integer"},
                "width": {"type": "integer", "description": "Of the photo, upright."},
                "height": {"type": "integer"},
                "box": {
                    "description": "[left, top, right, bottom] around the subject in the photo's pixels, or null.",
                    "anyOf": [
                        {"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4},
                        {"type": "null"},
                    ],
                },
                "subject": {"type": "number", "description": "Share of the photo that is subject, 0 to 1."},
                "model": {"type": "string"},
                "note": {"type": "string"},
                "seconds": {
                    "type": "object",
                    "properties": {"waited": {"type": "number"}, "ran": {"type": "number"}},
                },
            },
        }
    }
    return kinds


def _options() -> dict[str, Any]:
    return {**fields.properties(ResultOptions, RunOptions, leave_out=fields.OPERATORS), **_OWN}


def _request_body() -> dict[str, Any]:
    picture = {"type": "string", "format": "binary"}
    options = _options()
    form = {
        **options,
        **{
            name: {"description": options[name]["description"], "anyOf": [{"type": "string"}, picture]}
            for name in fields.pictures()
        },
    }
    text = {
        "type": "object",
        "properties": {IMAGE: {"type": "string", "description": "The photo in base64."}, URL: _URL, **options},
        "additionalProperties": False,
    }
    return {
        "required": False,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {IMAGE: {**picture, "description": "The photo."}, URL: _URL, **form},
                    "additionalProperties": False,
                }
            },
            "application/json": {"schema": text},
            "application/x-www-form-urlencoded": {"schema": text},
            **{
                mime: {"schema": {**picture, "description": "The photo itself; options stand in the query."}}
                for mime in ("image/*", "application/octet-stream")
            },
        },
    }


def _parameters() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": {k: v for k, v in made.items() if k != "description"},
            "description": made["description"],
        }
        for name, made in {URL: _URL, **_options()}.items()
    ]
