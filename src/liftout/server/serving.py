"""One process that serves: uvicorn around the application, and its signals."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import APIRouter

from liftout.server import logs
from liftout.server.application import create_app
from liftout.server.protocol import patient_protocol
from liftout.server.service import Service
from liftout.server.settings import Settings
from liftout.server.shared import Shared

INTERRUPTED = 130
BACKLOG = 512
"""Connections that may wait to be accepted."""

_log = logging.getLogger(logs.NAME)


def prepare(
    settings: Settings,
    *,
    trust_proxy: str = "",
    web: Path | None = None,
    shared: Shared | None = None,
    routes: APIRouter | None = None,
    ready: Callable[[], None] = lambda: None,
) -> tuple[Service, uvicorn.Server]:
    """The service and a server for it that does not run yet.

    web, shared: as for `create_app`. routes: more of them. ready: called when one process of several accepts connections.
    """
    app = create_app(settings, web=web, shared=shared)
    if routes is not None:
        app.include_router(routes)
    service: Service = app.state.service
    config = uvicorn.Config(
        app,
        http=patient_protocol(connections=settings.limits.connections, board=service.board),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trust_proxy),
        forwarded_allow_ips=trust_proxy,
        timeout_keep_alive=10,
        backlog=BACKLOG if shared is None else 1,
        timeout_graceful_shutdown=settings.limits.grace,
    )
    return service, _Server(config, service) if shared is None else _OneOfSeveral(config, service, ready)


def serve(service: Service, server: uvicorn.Server, listening: socket.socket) -> int:
    """Serve until a signal comes. Returns an exit status."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: _reload(service))
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises SIGTERM again when it has stopped
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn raises the signal again when it has stopped
        return INTERRUPTED
    return 0 if server.started else 1


def end(service: Service, status: int) -> None:
    """End the process where threads still run, for which the interpreter would wait."""
    if service.pool.running:
        logging.shutdown()
        os._exit(status)


def log_address(listening: socket.socket, settings: Settings) -> None:
    """Say where the server listens."""
    address, bound = listening.getsockname()[:2]
    host_in_url = f"[{address}]" if ":" in address else address
    _log.info("listening on http://%s:%d with model %s", host_in_url, bound, settings.run.model)


class _Server(uvicorn.Server):
    """uvicorn, which tells the service when it begins to stop."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.stop()
        _log.info("stopping: %d photos running, %d waiting", self._service.pool.running, self._service.pool.waiting)
        await super().shutdown(sockets)


class _OneOfSeveral(_Server):
    """A process that takes connections from a socket that others take from too.

    asyncio accepts as many connections at a time as the backlog has, so that one process would take all of a burst: here one, and
    the backlog of the socket is set again. A terminal sends SIGINT to all processes; the one that started them sends SIGTERM.
    """

    def __init__(self, config: uvicorn.Config, service: Service, ready: Callable[[], None]) -> None:
        super().__init__(config, service)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(BACKLOG)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig != signal.SIGINT:
            super().handle_exit(sig, frame)


def _reload(service: Service) -> None:
    if service.keys is not None:
        service.keys.reload()
