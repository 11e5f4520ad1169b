"""/label: photos that wait for masks, and masks that come back, for `liftout tune label`.

Every request carries the token that the command prints within the page's address: other users of the machine do not know it, and a page
of another host can neither read nor send the header. A request names a photo by its key in a table, never by a path.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from liftout.errors import InputError, OutputError
from liftout.server.problems import HTTP, Problem

HEADER = "X-Liftout-Label"
MOST_BYTES = 200_000_000
"""Of a mask."""
_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".bmp": "image/bmp"}

_T = TypeVar("_T")


class Waiting(Protocol):
    """A photo that has no mask yet."""

    id: str
    name: str
    doubt: float | None


class Desk(Protocol):
    """What is served: `liftout.tuning.labels.Desk`."""

    @property
    def count(self) -> int:
        """Photos in all."""

    def waiting(self) -> Sequence[Waiting]:
        """Photos without a mask, in the order in which they are shown."""

    def read(self, key: str) -> tuple[bytes, str]:
        """A photo and the suffix of its format."""

    def save(self, key: str, content: bytes) -> Path:
        """Write a mask."""


def new_token() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(16)


def router(desk: Desk, token: str, model: str) -> APIRouter:
    """The routes. model: whose answer the page shows first."""
    routes = APIRouter(include_in_schema=False)

    def check(request: Request) -> None:
        given = request.headers.get(HEADER, "")
        if not hmac.compare_digest(given.encode("latin-1", "replace"), token.encode()):
            raise Problem(403, "this page is old: open the address that `liftout tune label` has printed")

    @routes.get("/label/photos")
    async def photos(request: Request) -> Response:
        check(request)
        waiting = [{"id": item.id, "name": item.name, "doubt": item.doubt} for item in desk.waiting()]
        return JSONResponse({"count": desk.count, "model": model, "waiting": waiting})

    @routes.get("/label/photos/{key}")
    async def photo(request: Request, key: str) -> Response:
        check(request)
        content, suffix = await _called(desk.read, key)
        return Response(content, media_type=_TYPES.get(suffix, f"image/{suffix.removeprefix('.')}"))

    @routes.put("/label/photos/{key}/mask")
    async def mask(request: Request, key: str) -> Response:
        check(request)
        saved = await _called(desk.save, key, await _body(request))
        return JSONResponse({"saved": saved.name}, status_code=201)

    return routes


async def _called(work: Callable[..., _T], *arguments: object) -> _T:
    """Do work of the desk in a thread; its errors as problems."""
    try:
        return await asyncio.to_thread(work, *arguments)
    except KeyError:
        raise Problem(404, "there is no such photo") from None
    except InputError as error:
        raise Problem(422, error.line(HTTP)) from None
    except OutputError as error:
        raise Problem(507, error.line(HTTP)) from None


async def _body(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_BYTES:
            raise Problem(413, "the mask is too large")
    return bytes(content)
