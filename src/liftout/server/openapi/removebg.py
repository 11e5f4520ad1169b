"""The OpenAPI description of remove.bg's API."""

from __future__ import annotations

from typing import Any

from liftout.adapters.removebg import ACCEPTED, CHANNELS, FORMAT_NAMES, SHADOW_TYPES, SIZES, TYPE_LEVELS, TYPES
from liftout.server.openapi import occurs
from liftout.server.settings import Settings

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_ERRORS = {
    "type": "object",
    "required": ["errors"],
    "properties": {
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["title"],
                "properties": {"title": _TEXT, "detail": _TEXT, "code": _TEXT, "field": _TEXT},
            },
        }
    },
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_RESULT = {
    "result_b64": _TEXT,
    **{f"foreground_{name}": {"type": "integer"} for name in ("top", "left", "width", "height")},
}
PICTURE: dict[str, Any] = {
    "description": "The cutout",
    "content": {
        **dict.fromkeys(("image/png", "image/jpeg", "image/webp", "application/zip"), _BINARY),
        "application/json": {"schema": _object(data=_object(**_RESULT))},
    },
}
_CREDITS = _object(total=_NUMBER, subscription=_NUMBER, payg=_NUMBER, enterprise=_NUMBER)
_ATTRIBUTES = _object(credits=_CREDITS, api=_object(free_calls={"type": "integer"}, sizes=_TEXT))
ACCOUNT: dict[str, Any] = {
    "description": "The account",
    "content": {"application/json": {"schema": _object(data=_object(attributes=_ATTRIBUTES))}},
}
SUBMITTED: dict[str, Any] = {
    "description": "Accepted",
    "content": {"application/json": {"schema": _object(id=_TEXT)}},
}
_MEANINGS = {
    400: "A parameter or the photo is wrong; `code` says what",
    403: "The API key is missing or unknown, or a page of another site called",
    408: "The request came too slowly",
    415: "A body of this type is not understood",
    421: "The request was meant for a server of another name",
    429: "Too many requests",
    500: "The server failed; its log says why",
    503: "Busy; see Retry-After",
}
_WITHOUT_BODY = (403, 421, 429)


def responses(settings: Settings, ok: dict[str, Any], *, body: bool = True) -> dict[int | str, dict[str, Any]]:
    """Responses that occur with these settings. ok: that of status 200. body: whether the route takes a body."""
    refusals: dict[int | str, dict[str, Any]] = {
        code: {"description": text, "content": {"application/json": {"schema": _ERRORS}}}
        for code, text in _MEANINGS.items()
        if occurs(settings, code) and (body or code in _WITHOUT_BODY)
    }
    return {200: ok, **refusals}


def _parameters() -> dict[str, dict[str, Any]]:
    """JSON Schema of the parameters that are text."""
    text = {"type": "string"}
    ignored = {**text, "description": "Accepted without effect."}
    return {
        "image_file_b64": {**text, "description": "The photo in base64."},
        "image_url": {**text, "description": "URL of the photo, if this server fetches."},
        "size": {**text, "enum": list(SIZES), "default": "preview", "description": "Largest result."},
        "type": {**text, "enum": list(TYPES), "default": "auto", "description": "Repeated in X-Type."},
        "type_level": {
            **text,
            "enum": list(TYPE_LEVELS),
            "default": "1",
            "description": "Classes of X-Type; none leaves the header out.",
        },
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
        "shadow_type": {
            **text,
            "enum": list(SHADOW_TYPES),
            "default": "auto",
            "description": "auto and drop add a drop shadow; with the others the result has none.",
        },
        "shadow_opacity": {"type": "number", "minimum": 0, "maximum": 100, "default": 50, "description": "Per cent."},
        "semitransparency": {
            "type": "boolean",
            "default": True,
            "description": "false makes semi-transparent regions inside the subject opaque.",
        },
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


def improve_body() -> dict[str, Any]:
    """Bodies of the improvement program."""
    texts: dict[str, Any] = dict.fromkeys(("image_file_b64", "image_url", "image_filename", "tag"), _TEXT)
    form = {"image_file": {"type": "string", "format": "binary"}, **texts}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "properties": form}},
            "application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": texts}},
            "application/json": {"schema": {"type": "object", "properties": texts}},
        },
    }
