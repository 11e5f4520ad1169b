"""`liftout serve`: the socket, the page, and one process or several that serve."""

from __future__ import annotations

import logging
import logging.config
import socket

from liftout.errors import UsageError
from liftout.models.catalog import all_models
from liftout.models.local import presence
from liftout.remedies import UseOption
from liftout.server import logs
from liftout.server.page import written_site
from liftout.server.serving import BACKLOG, end, log_address, prepare, serve
from liftout.server.settings import Settings

_log = logging.getLogger(logs.NAME)


def run(settings: Settings, *, host: str, port: int, trust_proxy: str = "", processes: int = 1) -> int:
    """Serve until SIGTERM or SIGINT. Returns an exit status.

    processes: that serve on one socket. trust_proxy: addresses or networks of trusted proxies, separated by commas; `*` trusts every address. port: 0 chooses a free
    port; the log shows the address. Raises UsageError if the address is in use or not of this machine; UnknownModel,
    ModelUnavailable, EngineError.
    """
    logging.config.dictConfig(logs.configuration(settings.log_format))
    with listen(host, port) as listening, written_site(_added(settings)) as web:
        if processes > 1:
            from liftout.server.processes import supervise

            status = supervise(settings, processes, listening, trust_proxy=trust_proxy, web=web)
            _log.info("stopped")
            return status
        service, server = prepare(settings, trust_proxy=trust_proxy, web=web)
        service.preload()
        log_address(listening, settings)
        status = serve(service, server, listening)
    _log.info("stopped")
    end(service, status)
    return status


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises UsageError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        addresses = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server(addresses[0][4][:2], family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(
            f"cannot listen on {host}, port {port}: {reason}", remedy=(UseOption("host"), UseOption("port"))
        ) from None


def _added(settings: Settings) -> list[str]:
    """Models that the user added, are here, and are offered: the page has them too."""
    return [
        name
        for name, spec in all_models().items()
        if spec.added and presence(spec) not in (None, "damaged") and name in (settings.models or (name,))
    ]
