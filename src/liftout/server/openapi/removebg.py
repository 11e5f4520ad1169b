"""The OpenAPI description of POST /v1.0/removebg."""

from __future__ import annotations

from typing import Any

from liftout.adapters.removebg import ACCEPTED, CHANNELS, FORMAT_NAMES, SIZES, TYPES
from liftout.server.openapi import occurs
from liftout.server.settings import Settings


def responses(settings: Settings) -> dict[int | str, dict[str, Any]]:
    """Responses that occur with these settings."""
    errors = {
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
        code: {"description": text, "content": {"application/json": {"schema": errors}}}
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
        if occurs(settings, code)
    }
    picture = {"schema": {"type": "string", "format": "binary"}}
    answers = dict.fromkeys(("image/png", "image/jpeg", "image/webp", "application/zip"), picture)
    in_json = {"schema": {"type": "object", "required": ["data"], "properties": {"data": {"type": "object"}}}}
    return {200: {"description": "The cutout", "content": {**answers, "application/json": in_json}}, **refusals}


def _parameters() -> dict[str, dict[str, Any]]:
    """JSON Schema of the parameters that are text."""
    text = {"type": "string"}
    ignored = {**text, "description": "Accepted without effect."}
    return {
        "image_file_b64": {**text, "description": "The photo in base64."},
        "image_url": {**text, "description": "URL of the photo, if this server fetches."},
        "size": {**text, "enum": list(SIZES), "default": "preview", "description": "Largest result."},
        "type": {**text, "enum": list(TYPES), "default": "auto", "description": "Repeated in X-Type."},
        "format": {
            **text,
            "enum": list(FORMAT_NAMES),
            "default": "auto",
            "description": "auto is png, or jpg where nothing is transparent.",
        },
        "roi": {
            **text,
            "default": "0% 0% 100% 100%",
            "description": "Region that may contain the subject: x1 y1 x2 y2 in px or %.",
        },
        "crop": {"type": "boolean", "default": False, "description": "Crop to the subject."},
        "crop_margin": {
            **text,
            "default": "0",
            "description": "Around the cropped subject: 1, 2 or 4 lengths in px or %.",
        },
        "scale": {**text, "default": "original", "description": "Size of the subject on the canvas, 10% to 100%."},
        "position": {**text, "default": "original", "description": "center, or one or two shares from 0% to 100%."},
        "channels": {**text, "enum": list(CHANNELS), "default": "rgba", "description": "alpha returns the mask."},
        "bg_color": {**text, "description": "Colour behind the subject: 81d4fa, fff, 81d4fa77, green."},
        "bg_image_url": {**text, "description": "URL of a picture behind the subject, if this server fetches."},
        "add_shadow": {"type": "boolean", "default": False, "description": "Add a shadow."},
        **dict.fromkeys(ACCEPTED, ignored),
    }


def query_parameters() -> list[dict[str, Any]]:
    """Parameters of the query."""
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


def request_body() -> dict[str, Any]:
    """Bodies of the route."""
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
