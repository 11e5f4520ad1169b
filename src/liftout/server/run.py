"""Run the application: signals, sockets, log lines."""

from __future__ import annotations

import logging
import logging.config
import os
import signal
import socket
from pathlib import Path

import uvicorn

from liftout.errors import UsageError
from liftout.models.catalog import all_models
from liftout.models.local import presence
from liftout.remedies import UseOption
from liftout.server import logs
from liftout.server.application import create_app
from liftout.server.page import written_site
from liftout.server.protocol import patient_protocol
from liftout.server.service import Service
from liftout.server.settings import Settings

INTERRUPTED = 130

_log = logging.getLogger(logs.NAME)


def run(settings: Settings, *, host: str, port: int, trust_proxy: str = "") -> int:
    """Serve until SIGTERM or SIGINT. Returns an exit status.

    trust_proxy: addresses or networks of trusted proxies, separated by commas; `*` trusts every address. port: 0 chooses a free
    port; the log shows the address. Raises UsageError if the address is in use or not of this machine; UnknownModel,
    ModelUnavailable, EngineError.
    """
    logging.config.dictConfig(logs.configuration(settings.log_format))
    with listen(host, port) as listening, written_site(_added(settings)) as web:
        service, server = prepare(settings, trust_proxy=trust_proxy, web=web)
        service.preload()
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, lambda *_: _reload(service))
        signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises SIGTERM again when it has stopped
        address, bound = listening.getsockname()[:2]
        host_in_url = f"[{address}]" if ":" in address else address
        _log.info("listening on http://%s:%d with model %s", host_in_url, bound, settings.run.model)
        interrupted = False
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:  # uvicorn raises the signal again when it has stopped
            interrupted = True
    _log.info("stopped")
    status = INTERRUPTED if interrupted else 0 if server.started else 1
    if service.pool.running:  # the interpreter would wait for these threads
        logging.shutdown()
        os._exit(status)
    return status


def _added(settings: Settings) -> list[str]:
    """Models that the user added, are here, and are offered: the page has them too."""
    return [
        name
        for name, spec in all_models().items()
        if spec.added and presence(spec) not in (None, "damaged") and name in (settings.models or (name,))
    ]


def prepare(settings: Settings, *, trust_proxy: str = "", web: Path | None = None) -> tuple[Service, uvicorn.Server]:
    """The service and a server for it that does not run yet. web: as for `create_app`."""
    app = create_app(settings, web=web)
    service: Service = app.state.service
    config = uvicorn.Config(
        app,
        http=patient_protocol(connections=settings.limits.connections),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trust_proxy),
        forwarded_allow_ips=trust_proxy,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=settings.limits.grace,
    )
    return service, _Server(config, service)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises UsageError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        addresses = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server(addresses[0][4][:2], family=family, backlog=512)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(
            f"cannot listen on {host}, port {port}: {reason}", remedy=(UseOption("host"), UseOption("port"))
        ) from None


class _Server(uvicorn.Server):
    """uvicorn, which tells the service when it begins to stop."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.stop()
        _log.info("stopping: %d photos running, %d waiting", self._service.pool.running, self._service.pool.waiting)
        await super().shutdown(sockets)


def _reload(service: Service) -> None:
    if service.keys is not None:
        service.keys.reload()
