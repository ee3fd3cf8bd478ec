"""The daemon's sockets: its own Unix socket, and those of `hosts` (`-H`).

A client that reaches the API is root of the machine.  So a TCP socket must use TLS with clients
that have a certificate, or listen at the machine's loopback (127.0.0.1, ::1).
"""

import ipaddress
import os
import socket
import ssl
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from labkit.daemon import listener
from labkit.daemon.server import Server
from labkit.daemon.settings import Settings
from labkit.errors import ConflictError, InvalidParameterError
from labkit.http import tls
from labkit.http.connection import Connection
from labkit.paths import Paths

PLAIN_PORT, TLS_PORT = 2375, 2376
"""Docker's ports."""
FIRST_ACTIVATED_FD = 3
"""The first descriptor from systemd (sd_listen_fds(3))."""
Connect = Callable[[socket.socket], Connection]


def open_all(server: Server, paths: Paths, said: Settings) -> list[str]:
    """Listen on all configured sockets; returns their addresses.

    InvalidParameterError, ConflictError.
    """
    own = f"unix://{paths.socket}"
    server.add(listener.listen(paths.socket, said.group))
    context = _context(said) if said.speaks_tls else None
    for host in said.hosts:
        if host != own:
            _open(server, host, said, context)
    return list(dict.fromkeys([own, *said.hosts]))


def _open(server: Server, host: str, said: Settings, context: ssl.SSLContext | None) -> None:
    scheme, _, place = host.partition("://")
    if scheme == "unix":
        server.add(listener.listen(place, said.group))
    elif scheme == "tcp":
        server.add(_listen_tcp(host, context), partial(_connect, context))
    elif scheme == "fd":
        for each in _activated():
            server.add(each)
    else:
        raise InvalidParameterError(
            f"invalid bind address ({host}): use unix://PATH, tcp://HOST:PORT or fd://"
        )


def _connect(context: ssl.SSLContext | None, client: socket.socket) -> Connection:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls.connect(client, context) if context else Connection(client)


def _listen_tcp(host: str, context: ssl.SSLContext | None) -> socket.socket:
    try:
        parts = urlsplit(host)
        name, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidParameterError(f"invalid bind address ({host}): {error}") from None
    if context is None and not _is_loopback(name):
        raise InvalidParameterError(
            f"{host} would make every client that reaches it root of this machine: use --tlsverify "
            "with --tlscacert, --tlscert and --tlskey, or listen at 127.0.0.1"
        )
    address = (name, port or (TLS_PORT if context else PLAIN_PORT))
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=listener.BACKLOG)
    except OSError as error:
        raise ConflictError(f"cannot listen on {host}: {error.strerror or error}") from None


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _context(said: Settings) -> ssl.SSLContext:
    """The TLS context for the settings; InvalidParameterError."""
    if not (said.tlscert and said.tlskey):
        raise InvalidParameterError("TLS needs a certificate and its key: --tlscert, --tlskey")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(said.tlscert, said.tlskey)
        if said.tlsverify:
            if not said.tlscacert:
                raise InvalidParameterError(
                    "--tlsverify needs --tlscacert: the authority that signs clients' certificates"
                )
            context.load_verify_locations(said.tlscacert)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise InvalidParameterError(
            f"the certificates of {said.tlscert}, {said.tlskey} and {said.tlscacert} cannot be "
            f"used: {error}"
        ) from None
    return context


def _activated() -> list[socket.socket]:
    """The sockets that systemd has opened for this process; InvalidParameterError."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise InvalidParameterError(
            "no sockets found via socket activation: make sure the service was started by systemd"
        )
    count = int(os.environ["LISTEN_FDS"])
    return [socket.socket(fileno=FIRST_ACTIVATED_FD + number) for number in range(count)]
