"""The OpenAPI description of /v1/jobs."""

from __future__ import annotations

from typing import Any

from liftout.images import FORMATS
from liftout.options import PromptOptions, ResultOptions, RunOptions
from liftout.server import archive, fields
from liftout.server.openapi.cutouts import IMAGE

_TEXT = {"type": "string"}
_INTEGER = {"type": "integer"}
_PHOTO = {
    "type": "object",
    "required": ["number", "status"],
    "properties": {"number": _INTEGER, "url": _TEXT, "name": _TEXT, "status": _TEXT, "result": _TEXT, "error": _TEXT},
}
_COUNTS = {"type": "object", "properties": dict.fromkeys(("queued", "running", "done", "failed"), _INTEGER)}
JOB: dict[str, Any] = {
    "description": "The job",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["id", "status", "created", "counts", "photos"],
                "properties": {
                    "id": _TEXT,
                    "status": {"type": "string", "enum": ["running", "done"]},
                    "created": _INTEGER,
                    "counts": _COUNTS,
                    "photos": {"type": "array", "items": _PHOTO},
                },
            }
        }
    },
}
PICTURE: dict[str, Any] = {
    "description": "The cutout; with `subjects=each` a zip archive of them",
    "content": {
        mime: {"schema": {"type": "string", "format": "binary"}}
        for mime in (*(kind.mime for kind in FORMATS.values()), archive.MIME)
    },
}


def request_body() -> dict[str, Any]:
    """The body of a new job."""
    options = fields.properties(PromptOptions, ResultOptions, RunOptions, leave_out=fields.OPERATORS)
    schema: dict[str, Any] = {
        "type": "object",
        "required": ["urls"],
        "additionalProperties": False,
        "properties": {
            "urls": {"type": "array", "items": {"type": "string", "format": "uri"}, "minItems": 1, "maxItems": 500},
            "options": {"type": "object", "properties": options, "additionalProperties": False},
            "webhook": {"type": "string", "format": "uri", "description": "Called when all photos are finished."},
        },
    }
    webhook = schema["properties"]["webhook"]
    photos = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
    form = {
        "type": "object",
        "required": [IMAGE],
        "additionalProperties": False,
        "properties": {IMAGE: photos, "webhook": webhook, **options},
    }
    return {
        "required": True,
        "content": {"application/json": {"schema": schema}, "multipart/form-data": {"schema": form}},
    }
