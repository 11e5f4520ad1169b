"""Runs a client where api.remove.bg is a server on this machine, so that nothing of the client needs to be changed.

The client runs in a network namespace of its own, which has a loopback interface and nothing else, and in a mount namespace of
its own, whose /etc/hosts gives api.remove.bg the address 127.0.0.1. There, connections to port 443 go through a Unix socket to a
thread of the test, which speaks TLS with a certificate of an authority of its own and passes the bytes on to the real server.

As a program: network.py SOCKET HOSTS COMMAND..., inside the namespaces.
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
PORT = 443

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
            [*namespaces, sys.executable, __file__, str(self.socket), str(self.hosts), *command],
            cwd=cwd, env=variables, capture_output=True, text=True, timeout=180,
        )  # fmt: skip


@contextlib.contextmanager
def network_to(port: int, folder: Path) -> Iterator[Network]:
    """A network whose api.remove.bg is the server on a port of 127.0.0.1."""
    import trustme

    authority = trustme.CA()
    network = Network(socket=folder / "tls", hosts=folder / "hosts", authority=folder / "authority.pem")
    authority.cert_pem.write_to_path(network.authority)
    network.hosts.write_text(f"127.0.0.1 localhost {HOST}\n", encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(network.socket))
        listening.listen()
        thread = threading.Thread(target=_accept, args=(listening, lambda: _tls_to(context, port)), daemon=True)
        thread.start()
        yield network
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _tls_to(context: ssl.SSLContext, port: int):
    def connect(connection: socket.socket) -> tuple[socket.socket, socket.socket]:
        return context.wrap_socket(connection, server_side=True), socket.create_connection(("127.0.0.1", port))

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


def _inside(path: str, hosts: str, command: list[str]) -> int:
    """Within the namespaces: loopback up, /etc/hosts replaced, port 443 open; then the client."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        interface = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, _GET_FLAGS, interface))[1]
        fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)

    def connect(connection: socket.socket) -> tuple[socket.socket, socket.socket]:
        far = socket.socket(socket.AF_UNIX)
        far.connect(path)
        return connection, far

    with socket.create_server(("127.0.0.1", PORT)) as listening:
        threading.Thread(target=_accept, args=(listening, lambda: connect), daemon=True).start()
        return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(_inside(sys.argv[1], sys.argv[2], sys.argv[3:]))
