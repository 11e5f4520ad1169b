"""Errors as RFC 9457 problem details: status, detail and the field concerned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

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
from liftout.remedies import (
    AcceptLicense,
    AddModel,
    ConvertModel,
    CutPhotos,
    InstallExtra,
    ListModels,
    PullModel,
    RaiseLimit,
    Remedy,
    RunBatch,
    Terms,
    UseOption,
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


class HttpTerms(Terms):
    """Options and remedies as a client of the server knows them: what only its operator can do is said to be so."""

    def remedy(self, remedy: Remedy) -> str:
        """See `Terms.remedy`."""
        match remedy:
            case UseOption(name, None | True):
                return f"send {name}"
            case UseOption("engine" | "device" | "precision" | "threads" as name, value):
                return f"the server's operator can set {name} to {value}"
            case UseOption(name, value):
                return f"send {name}={value}"
            case RaiseLimit():
                return "send a smaller photo"
            case InstallExtra(extra):
                return f"the server's operator can install liftout[{extra}]"
            case AcceptLicense() | PullModel() | ConvertModel() | AddModel() | ListModels():
                return "GET /v1/models lists what this server offers"
            case RunBatch() | CutPhotos():
                return "send one photo in each request"
            case _:
                assert_never(remedy)


HTTP = HttpTerms()


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
    detail = error.line(HTTP)
    if isinstance(error, ImageTooLarge):
        detail = f"{error.what(HTTP)}; send a smaller photo"
        return Problem(413, detail, field=image_field, code="resolution_too_high")
    if isinstance(error, InputError):
        return unprocessable(image_field, detail)
    if isinstance(error, UnknownModel):
        return unprocessable("model", detail) if chosen_model else busy(detail, 60)
    if isinstance(error, ModelUnavailable):
        if chosen_model:
            return unprocessable("model", f"{error.what(HTTP)}; {HTTP.remedy(ListModels())}")
        return busy(detail, 60)
    if isinstance(error, UsageError | OutputError):
        return Problem(422, detail, field=error.field or None)
    if isinstance(error, OutOfMemory):
        return busy(detail, 30)
    if isinstance(error, EngineError):
        return Problem(500, detail)
    return Problem(500, "the server cannot do this; its log says why")
