"""The OpenAPI description of POST /v1/cutouts."""

from __future__ import annotations

from typing import Any

from liftout.images import FORMATS
from liftout.options import PromptOptions, ResultOptions, RunOptions
from liftout.server import archive, fields

IMAGE = "image"
URL = "url"
ANSWER = "answer"
ANSWERS = ("image", "json", "facts")
_OWN = {
    ANSWER: {
        "type": "string",
        "enum": list(ANSWERS),
        "description": "`image` returns the picture, `json` the picture in base64 with its properties, `facts` only the "
        "properties. Default: what the Accept header prefers.",
    }
}
_SIGNED = {
    "expires": {"type": "integer", "description": "Unix time until which a signed URL is valid."},
    "signature": {"type": "string", "description": "HMAC-SHA256 of path and query before it; the last parameter."},
}
_URL = {"type": "string", "format": "uri", "description": "URL of the photo, if this server fetches."}

_BOX = {
    "description": "[left, top, right, bottom] around the subject in the photo's pixels, or null.",
    "anyOf": [{"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4}, {"type": "null"}],
}


def answers() -> dict[str, Any]:
    """Content of the response 200."""
    mimes = [*(kind.mime for kind in FORMATS.values()), archive.MIME]
    kinds: dict[str, Any] = {mime: {"schema": {"type": "string", "format": "binary"}} for mime in mimes}
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
                "box": _BOX,
                "subject": {"type": "number", "description": "Share of the photo that is subject, 0 to 1."},
                "model": {"type": "string"},
                "note": {"type": "string"},
                "subjects": {
                    "description": "With `subjects=each`, in the place of `image`: each subject, the largest first.",
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name", "box", "subject", "bytes"],
                        "properties": {
                            "name": {"type": "string", "description": "Of the picture in the zip archive."},
                            "box": _BOX,
                            "subject": {"type": "number"},
                            "bytes": {"type": "integer"},
                            "image": {"type": "string", "description": "The picture file in base64."},
                        },
                    },
                },
                "seconds": {
                    "type": "object",
                    "properties": {"waited": {"type": "number"}, "ran": {"type": "number"}},
                },
            },
        }
    }
    return kinds


def _options() -> dict[str, Any]:
    return {**fields.properties(PromptOptions, ResultOptions, RunOptions, leave_out=fields.OPERATORS), **_OWN}


def request_body() -> dict[str, Any]:
    """Bodies of the route."""
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
                mime: {"schema": {**picture, "description": "The photo itself; options are query parameters."}}
                for mime in ("image/*", "application/octet-stream")
            },
        },
    }


def query_parameters(*, signed: bool = False) -> list[dict[str, Any]]:
    """Parameters of the query. signed: those of signed URLs too."""
    parameters = {URL: _URL, **_options(), **(_SIGNED if signed else {})}
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": {key: value for key, value in schema.items() if key != "description"},
            "description": schema["description"],
        }
        for name, schema in parameters.items()
    ]
