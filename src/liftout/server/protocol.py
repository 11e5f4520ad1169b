"""Connections: small answers go out at once, connections of clients that are too slow are closed.

uvicorn times out idle connections between requests, but neither a request whose head never ends nor a client that never
reads its answer. This protocol times out both, and refuses connections above a limit.
"""

from __future__ import annotations

import asyncio
import socket

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from liftout.server.shared import Board

HEAD_SECONDS = 15.0
"""Seconds for the head of a request, from the connection or its first byte."""
ANSWER_SECONDS = 30.0
"""Seconds in which a client must read at least `LEAST_READ` bytes of its answer."""

LEAST_READ = 16 * 1024
"""Bytes."""

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"


def patient_protocol(
    *,
    connections: int,
    head_seconds: float = HEAD_SECONDS,
    answer_seconds: float = ANSWER_SECONDS,
    board: Board | None = None,
) -> type[H11Protocol]:
    """A uvicorn protocol class with these limits. board: counts the connections of all processes of the server."""
    open_connections = (board or Board.alone()).number("connections")

    class PatientProtocol(H11Protocol):
        """HTTP/1.1 with time limits."""

        _head_timer: asyncio.TimerHandle | None = None
        _answer_timer: asyncio.TimerHandle | None = None
        _last_check: tuple[object, int, bool] = (None, 0, False)

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            _send_at_once(transport)
            open_connections.own = len(self.connections)
            if open_connections.total > connections:
                transport.write(_FULL)
                transport.close()
                return
            self._start_head_timer()
            self._answer_timer = self.loop.call_later(answer_seconds, self._check_answer)

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self._head_timer, self._answer_timer):
                if timer is not None:
                    timer.cancel()
            super().connection_lost(exc)
            open_connections.own = len(self.connections)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is h11.IDLE:
                if data and self._head_timer is None:
                    self._start_head_timer()
            else:
                self._stop_head_timer()

        def on_response_complete(self) -> None:
            self._stop_head_timer()
            super().on_response_complete()

        def _start_head_timer(self) -> None:
            self._head_timer = self.loop.call_later(head_seconds, self._on_late_head)

        def _stop_head_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _on_late_head(self) -> None:
            self._head_timer = None
            if self.conn.their_state is h11.IDLE:
                self.transport.abort()

        def _check_answer(self) -> None:
            """Close the connection if its answer is not read, or if a body still arrives long after its answer."""
            unsent = self.transport.get_write_buffer_size()
            late = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
            cycle, unsent_before, late_before = self._last_check
            if cycle is self.cycle and (
                (unsent and unsent > unsent_before - LEAST_READ and unsent_before) or (late and late_before)
            ):
                self.transport.abort()
                return
            self._last_check = (self.cycle, unsent, late)
            self._answer_timer = self.loop.call_later(answer_seconds, self._check_answer)

    return PatientProtocol


def _send_at_once(transport: asyncio.Transport) -> None:
    """Turn off Nagle's algorithm: with a client that delays its acknowledgements, each answer in two writes took 40 ms longer.

    asyncio does it only for listening sockets that name their protocol, which those of `socket.create_server` do not.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
