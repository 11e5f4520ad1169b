"""OpenAPI descriptions: here the errors and keys of a server, in the modules each route's fields and answers."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from liftout.server.settings import Settings

GUARDED = (401, 403, 421, 429)
"""Statuses of paths behind a key or a rate limit."""
BODY = (400, 408, 413, 415, 422, 500, 503)
"""Further statuses of paths that take a photo."""
_MEANINGS = {
    400: "The request is malformed",
    401: "The API key is missing or unknown",
    403: "Not allowed: a page of another site called, or the request has a URL and this server does not fetch",
    404: "There is no such job or photo",
    408: "The request came too slowly",
    412: "If-None-Match names the ETag that the result would have",
    413: "Too many bytes or pixels, or extreme proportions",
    415: "A body of this type is not understood",
    421: "The request was meant for a server of another name",
    422: "A field is wrong; `field` names it",
    429: "Too many requests; see Retry-After",
    500: "The server failed; its log says why",
    503: "Busy; see Retry-After",
}
_SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "field": {"type": "string"},
        "request": {"type": "string"},
    },
}


class DescribedApplication(FastAPI):
    """An application whose document describes how to send a key, if the server has keys."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        super().__init__(**options)
        self._settings = settings

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        document = super().openapi()
        if self._settings.api_key_file:
            document.setdefault("components", {})["securitySchemes"] = _SCHEMES
        return document


def refusals(settings: Settings, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The statuses that occur with these settings, as problem details, for a route's `responses`."""
    content = {"application/problem+json": {"schema": _PROBLEM}}
    return {
        status: {"description": _MEANINGS[status], "content": content}
        for status in sorted(statuses)
        if occurs(settings, status)
    }


def occurs(settings: Settings, status: int) -> bool:
    """Whether a server with these settings can answer with a status."""
    return {401: bool(settings.api_key_file), 429: bool(settings.limits.rate)}.get(status, True)


def key_needed(settings: Settings) -> dict[str, Any]:
    """For `openapi_extra` of a route behind a key: the ways to send it, if the server has keys."""
    return {"security": [{name: []} for name in _SCHEMES]} if settings.api_key_file else {}
