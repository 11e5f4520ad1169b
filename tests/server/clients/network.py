"""Runs a client where api.remove.bg, or localhost:7000, is a server of a test, so that nothing of the client needs to be changed.

The client runs in a network namespace of its own, which has a loopback interface and nothing else, and in a mount namespace of
its own, whose /etc/hosts gives api.remove.bg the address 127.0.0.1. There, connections to port 443 (or 7000) go through a Unix
socket to a thread of the test, which passes the bytes on to the real server; for port 443 it speaks TLS with a certificate of an
authority of its own.

As a program: network.py SOCKET HOSTS PORT COMMAND..., inside the namespaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOST = "api.remove.bg"

_SET_FLAGS, _GET_FLAGS, _UP = 0x8914, 0x8913, 1


@functools.cache
def unshare() -> tuple[str, ...] | None:
    """The command that makes the namespaces; None where this system does not allow it."""
    for options in (("--mount", "--net"), ("--user", "--map-root-user", "--mount", "--net")):
        command = ("unshare", *options, "--")
        if (
            shutil.which("unshare")
            and subprocess.run([*command, "true"], capture_output=True, timeout=20).returncode == 0
        ):
            return command
    return None


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where clients run. authority: PEM file of the certificate authority."""

    socket: Path
    hosts: Path
    authority: Path
    port: int

    def run(
        self, command: list[str], *, cwd: Path, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a client; it trusts the authority."""
        trust = dict.fromkeys(
            ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE"), str(self.authority)
        )
        variables = {"PATH": os.environ["PATH"], "HOME": str(cwd), **trust, **(environment or {})}
        namespaces = unshare()
        assert namespaces is not None
        return subprocess.run(
            [*namespaces, sys.executable, __file__, str(self.socket), str(self.hosts), str(self.port), *command],
            cwd=cwd, env=variables, capture_output=True, text=True, timeout=180,
        )  # fmt: skip


@contextlib.contextmanager
def network_to(port: int, folder: Path, *, seen_at: int = 443) -> Iterator[Network]:
    """A network in which port `seen_at` of localhost and api.remove.bg is the server on a port of 127.0.0.1; 443 has TLS."""
    import trustme

    authority = trustme.CA()
    network = Network(socket=folder / "tls", hosts=folder / "hosts", authority=folder / "authority.pem", port=seen_at)
    authority.cert_pem.write_to_path(network.authority)
    network.hosts.write_text(f"127.0.0.1 localhost {HOST}\n", encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(network.socket))
        listening.listen()
        thread = threading.Thread(
            target=_accept, args=(listening, lambda: _to(port, context if seen_at == 443 else None)), daemon=True
        )
        thread.start()
        yield network
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _to(port: int, context: ssl.SSLContext | None):
    def connect(connection: socket.socket) -> tuple[socket.socket, socket.socket]:
        near = context.wrap_socket(connection, server_side=True) if context else connection
        return near, socket.create_connection(("127.0.0.1", port))

    return connect


def _accept(listening: socket.socket, connector) -> None:
    connect = connector()
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, connect), daemon=True).start()


def _serve(connection: socket.socket, connect) -> None:
    with contextlib.suppress(OSError), connection:
        near, far = connect(connection)
        with near, far:
            back = threading.Thread(target=_copy, args=(far, near), daemon=True)
            back.start()
            _copy(near, far)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)


def _inside(path: str, hosts: str, port: int, command: list[str]) -> int:
    """Within the namespaces: loopback up, /etc/hosts replaced, the port open; then the client."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        interface = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, _GET_FLAGS, interface))[1]
        fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)

    def connect(connection: socket.socket) -> tuple[socket.socket, socket.socket]:
        far = socket.socket(socket.AF_UNIX)
        far.connect(path)
        return connection, far

    with socket.create_server(("127.0.0.1", port)) as listening:
        threading.Thread(target=_accept, args=(listening, lambda: connect), daemon=True).start()
        return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(_inside(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
