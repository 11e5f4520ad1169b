"""The application: routes, errors, headers and log lines around one `Service`."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from liftout import __version__
from liftout.adapters.removebg import ApiError
from liftout.home import home
from liftout.server import cutouts, fetch, jobs, logs, page, problems, rembg, removebg, status
from liftout.server.hosts import is_allowed
from liftout.server.jobs import JobRunner
from liftout.server.jobstore import JobStore
from liftout.server.openapi import DescribedApplication
from liftout.server.problems import ClientLeft, Problem
from liftout.server.service import Service
from liftout.server.settings import Settings
from liftout.server.shared import Shared
from liftout.server.telemetry import QUIET_PATHS, RequestSpan

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
"""On every answer, unless a route has set its own."""

DISCONNECTED = 499
"""Status in logs and metrics of a request whose client disconnected."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_log = logging.getLogger(logs.NAME)


def create_app(
    settings: Settings | None = None,
    *,
    resolver: fetch.Resolver = fetch.resolve,
    web: Path | None = None,
    shared: Shared | None = None,
) -> FastAPI:
    """The ASGI application.

    resolver: resolves host names to addresses when photos are fetched. web: folder of the page, as `liftout.site` writes
    it; None for a plain landing page. shared: what the processes of the server share, if there are several. The default model is loaded when the application starts, which may raise
    UnknownModel, ModelUnavailable or EngineError. Raises UsageError for invalid settings.
    """
    service = Service(settings or Settings(), resolver=resolver, shared=shared)
    store = JobStore(home() / "jobs") if service.settings.jobs else None
    runner = JobRunner(service, store) if store is not None else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.preload()
        if runner is not None:
            runner.start()
        yield
        if runner is not None:
            await runner.stop()
        await service.close()

    app = DescribedApplication(
        service.settings,
        title="liftout",
        version=__version__,
        summary="Lifts the subject out of any photo",
        description="Errors are problem details (RFC 9457) with `detail` for a person and `field` where one is wrong.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    for router in (cutouts.router(service), rembg.router(service), removebg.router(service), status.router(service)):
        app.include_router(router)
    if store is not None:
        app.include_router(jobs.router(service, store))
    app.include_router(page.router(app, landing=web is None))
    if web is not None:
        app.router.default = page.files(web)
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(ApiError, _answer_api_error)
    app.add_exception_handler(ClientLeft, _answer_disconnected)
    if service.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(service.settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Api-Key"],
            expose_headers=[
                "ETag",
                "Server-Timing",
                "X-Liftout-Cache",
                "X-Liftout-Box",
                "X-Liftout-Model",
                "X-Liftout-Note",
                "X-Request-ID",
            ],
        )
    app.add_middleware(_Outermost, service=service)
    return app


class _Outermost:
    """Request id, security headers, metrics and one log line for every request; answers 500 for unexpected errors."""

    def __init__(self, app: ASGIApp, *, service: Service) -> None:
        self._app = app
        self._service = service
        self._headers = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
        if service.settings.cors_origins:
            self._headers = [
                (name, b"cross-origin" if name == b"cross-origin-resource-policy" else value)
                for name, value in self._headers
            ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._service.telemetry.request(_method(scope), scope["path"], scope["headers"]) as span:
            await self._answer(scope, receive, send, span)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, span: RequestSpan) -> None:
        started = time.perf_counter()
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request"] = request_id
        sent = {"status": 0, "bytes": 0}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent["status"] = message["status"]
                message = self._with_headers(message, request_id)
            elif message["type"] == "http.response.body":
                sent["bytes"] += len(message.get("body", b""))
            await send(message)

        try:
            host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
            if is_allowed(host, self._service.settings.allow_hosts):
                await self._app(scope, receive, send_with_headers)
            else:
                await answer_for(scope["path"], _misdirected(host), request_id)(scope, receive, send_with_headers)
        except asyncio.CancelledError:  # `grace` is over
            if sent["status"] == 0:
                stopping = problems.busy("the server is stopping; try again soon")
                await answer_for(scope["path"], stopping, request_id)(scope, receive, send_with_headers)
        except Exception:  # noqa: BLE001 - every unexpected error is logged and answered with 500
            _log.exception("a request failed", extra={"facts": {"request": request_id, "path": scope["path"]}})
            if sent["status"] == 0:
                unexpected = Problem(500, "the server failed; its log says why")
                await answer_for(scope["path"], unexpected, request_id)(scope, receive, send_with_headers)
        finally:
            self._record(scope, sent, request_id, time.perf_counter() - started, span)

    def _with_headers(self, message: Message, request_id: str) -> Message:
        headers = list(message.get("headers", ()))
        names = {name.lower() for name, _ in headers}
        missing = [(name, value) for name, value in self._headers if name not in names]
        return {**message, "headers": [*headers, *missing, (b"x-request-id", request_id.encode())]}

    def _record(self, scope: Scope, sent: dict[str, int], request_id: str, seconds: float, span: RequestSpan) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = _method(scope)
        state: MutableMapping[str, Any] = scope.get("state", {})
        status_code = DISCONNECTED if state.get("disconnected") else sent["status"] or 500
        self._service.metrics.requests.labels(route, method, str(status_code)).inc()
        self._service.metrics.request_seconds.labels(route).observe(seconds)
        if state.get("disconnected"):
            self._service.metrics.abandoned.inc()
        facts = {
            "status": status_code,
            "seconds": round(seconds, 4),
            "bytes": sent["bytes"],
            "key": state.get("key", ""),
            "request": request_id,
            **({"trace": span.trace} if span.trace else {}),
        }
        span.end(method, route if route != "other" else "", status_code, request_id)
        level = logging.DEBUG if route in QUIET_PATHS else logging.INFO
        _log.log(level, "%s %s", method, route if route != "other" else "(no such route)", extra={"facts": facts})


def _method(scope: Scope) -> str:
    """The method of a request, of the bounded number that metrics and spans may have."""
    return scope["method"] if scope["method"] in _METHODS else "other"


def _misdirected(host: str) -> Problem:
    return Problem(
        421,
        f"this server is not called {host[:80]!r}; its operator can allow the name: liftout serve --allow-host NAME",
    )


def answer_for(path: str, problem: Problem, request_id: str) -> Response:
    """A problem in the format that clients of the path expect."""
    if path.startswith(removebg.PREFIX):
        return removebg.answer(problem)
    return problems.answer(problem, request=request_id)


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101
    if error.status >= 500 and error.__cause__ is not None:
        facts = {"request": request.state.request, "status": error.status}
        _log.warning("%s", " ".join(str(error.__cause__).split()), extra={"facts": facts})
    return answer_for(request.url.path, error, request.state.request)


async def _answer_api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101
    return removebg.answer_error(error)


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    details = {404: "there is nothing at this path", 405: "this path does not support this method"}
    headers = dict(error.headers or {})
    if error.status_code == 405:
        methods = headers.get("Allow", "").split(", ")
        headers["Allow"] = ", ".join(_methods_at(request) or [method for method in _METHODS if method in methods])
    problem = Problem(error.status_code, details.get(error.status_code, str(error.detail)), headers=headers)
    return answer_for(request.url.path, problem, request.state.request)


def _methods_at(request: Request) -> list[str]:
    """Methods that the path of a request supports, over all routes."""
    scope = {name: request.scope[name] for name in ("type", "path", "root_path", "headers")}
    routes = request.app.routes
    return [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]


async def _answer_disconnected(request: Request, _: Exception) -> Response:
    request.state.disconnected = True
    return Response(status_code=DISCONNECTED)
