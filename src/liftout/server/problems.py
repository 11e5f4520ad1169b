"""Errors as RFC 9457 problem details: status, detail and the field concerned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from liftout.errors import (
    EngineError,
    ImageTooLarge,
    InputError,
    LiftoutError,
    ModelUnavailable,
    OutOfMemory,
    OutputError,
    UnknownModel,
    UsageError,
)

RETRY_SECONDS = 5
"""Default of Retry-After."""
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
"""Names of statuses in RFC 9110 and RFC 6585; those of `http.HTTPStatus` differ from one Python to the next."""


class Problem(Exception):
    """An answer that is an error.

    status: of HTTP. detail: one line for a person. field: the form field, JSON key or query parameter that is wrong.
    code: of remove.bg's API, where it is not clear from the others.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.code = code
        self.headers = dict(headers or {})


class ClientLeft(Exception):
    """The client has closed its connection before the answer."""


def busy(detail: str, seconds: int = RETRY_SECONDS) -> Problem:
    """503 with Retry-After."""
    return Problem(503, detail, headers={"Retry-After": str(seconds)})


def unprocessable(field: str, detail: str) -> Problem:
    """422 about a field."""
    return Problem(422, detail, field=field)


def answer(problem: Problem, *, request: str = "") -> JSONResponse:
    """A problem as application/problem+json. request: the id of the request, for the operator's log."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(problem.status, "Error"),
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.field:
        body["field"] = problem.field
    if request:
        body["request"] = request
    return JSONResponse(
        body, status_code=problem.status, headers=problem.headers, media_type="application/problem+json"
    )


def from_error(error: LiftoutError, *, image_field: str, chosen_model: bool) -> Problem:
    """The problem to answer for an error of the pipeline.

    image_field: the field that held the photo. chosen_model: whether the request named the model, so that a missing model is
    an error of the request (422) and not of the server (503).
    """
    text = str(error)
    if isinstance(error, ImageTooLarge):
        detail = f"{text.partition('; ')[0]}; send a smaller photo"
        return Problem(413, detail, field=image_field, code="resolution_too_high")
    if isinstance(error, InputError):
        return unprocessable(image_field, text)
    if isinstance(error, UnknownModel | ModelUnavailable):
        if chosen_model:
            happened = (
                text.partition("`liftout models")[0] if isinstance(error, UnknownModel) else text.partition("; ")[0]
            )
            return unprocessable("model", f"{happened.rstrip(' ;')}; GET /v1/models lists what this server offers")
        return busy(text, 60)
    if isinstance(error, UsageError | OutputError):
        first_word = text.split(" ", 1)[0].replace("-", "_")
        return Problem(422, text, field=first_word if first_word.isidentifier() else None)
    if isinstance(error, OutOfMemory):
        return busy(text, 30)
    if isinstance(error, EngineError):
        return Problem(500, text)
    return Problem(500, "the server cannot do this; its log says why")
