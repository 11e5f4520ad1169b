"""Status of the server: models, health, readiness, metrics."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from liftout.server.openapi import GUARDED, key_needed, refusals
from liftout.server.service import Service


def router(service: Service) -> APIRouter:
    """The routes, over one service."""
    routes = APIRouter(tags=["status"])

    settings = service.settings
    guarded: dict[str, Any] = {"responses": refusals(settings, *GUARDED), "openapi_extra": key_needed(settings)}
    misdirected = refusals(settings, 421)

    @routes.head("/v1/models", include_in_schema=False)
    @routes.get("/v1/models", summary="Models that a request may name", **guarded)
    async def models(request: Request) -> JSONResponse:
        service.admit(request)
        loaded = [service.name_of(model) for model in service.loaded.names()]
        offered = await asyncio.to_thread(service.offered)
        return JSONResponse(
            {
                "default": service.default_model,
                "models": [
                    {
                        "name": spec.name,
                        "summary": spec.summary,
                        "size": list(spec.input.size),
                        "license": spec.license.weights,
                        "commercial": spec.license.commercial,
                        "loaded": spec.name in loaded,
                    }
                    for spec in offered
                ],
            }
        )

    @routes.head("/healthz", include_in_schema=False)
    @routes.get("/healthz", summary="Whether the process answers", responses=misdirected)
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @routes.head("/readyz", include_in_schema=False)
    @routes.get(
        "/readyz",
        summary="Whether photos are taken",
        responses={**misdirected, 503: {"description": "Stopping, or the default model is not loaded"}},
    )
    async def ready() -> JSONResponse:
        facts: dict[str, Any] = {
            "status": "ready",
            "running": service.board.number("running").total,
            "waiting": service.board.number("waiting").total,
        }
        if service.stopping or not service.ready:
            facts["status"] = "stopping" if service.stopping else "loading"
            return JSONResponse(facts, status_code=503, headers={"Retry-After": "5"})
        return JSONResponse(facts)

    @routes.head("/metrics", include_in_schema=False)
    @routes.get("/metrics", summary="Metrics for Prometheus", response_class=Response, **guarded)
    async def metrics(request: Request) -> Response:
        service.admit(request)
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return routes
