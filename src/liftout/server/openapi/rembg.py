"""The OpenAPI description of /api/remove."""

from __future__ import annotations

from typing import Any

FILE = "file"
URL = "url"

ANSWER: dict[str, Any] = {
    "description": "The cutout",
    "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
}
"""The response of both routes."""
_URL_PARAMETER = {
    "name": URL,
    "in": "query",
    "schema": {"type": "string"},
    "description": "URL of the photo, if this server fetches.",
}
_ABOUT: dict[str, tuple[dict[str, Any], str]] = {
    "model": ({"type": "string"}, "Model; `GET /v1/models` lists them."),
    "a": ({"type": "boolean", "default": False}, "Alpha matting: refined edges."),
    "af": (
        {"type": "integer", "minimum": 0, "maximum": 255, "default": 240},
        "Threshold of rembg's matting; checked, without effect.",
    ),
    "ab": (
        {"type": "integer", "minimum": 0, "maximum": 255, "default": 10},
        "Threshold of rembg's matting; checked, without effect.",
    ),
    "ae": ({"type": "integer", "minimum": 0, "default": 10}, "Erosion of rembg's matting; checked, without effect."),
    "om": ({"type": "boolean", "default": False}, "Return only the mask."),
    "ppm": ({"type": "boolean", "default": False}, "Smooth the mask."),
    "dc": ({"type": "boolean", "default": False}, "Clean edge colours, which every cutout of liftout has."),
    "vm": ({"type": "boolean", "default": False}, "Refined edges."),
    "bgc": ({"type": "string", "pattern": r"^\d{1,3},\d{1,3},\d{1,3}(,\d{1,3})?$"}, "Background as r,g,b,a."),
    "extras": (
        {"type": "string", "examples": ['{"sam_prompt": [{"type": "point", "data": [300, 200], "label": 1}]}']},
        "JSON object with arguments of rembg's remove(); sam_prompt says what the subject is.",
    ),
}


def query_parameters(*, url_required: bool) -> list[dict[str, Any]]:
    """Parameters of the query. url_required: whether the photo can come from nowhere but a URL."""
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": text}
        for name, (schema, text) in _ABOUT.items()
    ]
    return [{**_URL_PARAMETER, "required": url_required}, *parameters]


def request_body() -> dict[str, Any]:
    """Bodies of the POST route."""
    properties = {name: {**schema, "description": text} for name, (schema, text) in _ABOUT.items()}
    properties[URL] = {"type": "string", "description": "URL of the photo, if this server fetches."}
    photo = {"type": "string", "format": "binary", "description": "The photo."}
    text_fields = {"schema": {"type": "object", "properties": properties}}
    return {
        "required": False,
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "properties": {FILE: photo, **properties}}},
            "application/json": text_fields,
            "application/x-www-form-urlencoded": text_fields,
            **{mime: {"schema": photo} for mime in ("image/*", "application/octet-stream")},
        },
    }
