"""The start and the end of a registry: its address, its guard, its certificate."""

import errno
import os
import secrets
import socket
import ssl
import sys
from functools import partial
from typing import NamedTuple

import psutil

import labkit
from labkit.errors import ConflictError, InvalidParameterError
from labkit.http import tls
from labkit.http.connection import Connection
from labkit.http.end_signals import EndSignals
from labkit.http.server import Server, Service
from labkit.kernel.files import write_atomically
from labkit.log import Log
from labkit.registry.server import certificates, trace
from labkit.registry.server.errors import error_response
from labkit.registry.server.guards import Guard, Open
from labkit.registry.server.routes import Table
from labkit.registry.server.store import Store

BACKLOG = socket.SOMAXCONN
IDLE_S = 120.0
"""How long a connection waits for a client's next request."""
KEY_BYTES = 32
STANDING_HEADERS = (
    "Docker-Distribution-Api-Version: registry/2.0\r\nX-Content-Type-Options: nosniff\r\n"
    f"Server: labkit/{labkit.__version__} (registry)\r\n"
)


class Options(NamedTuple):
    """The options of a registry: the flags of `labkit registry serve`."""

    root: str
    listen: str = "127.0.0.1:5000"
    password_file: str = ""
    use_tokens: bool = False
    certificate: str = ""
    key: str = ""
    self_signed: bool = False
    log_file: str = ""


class Address(NamedTuple):
    """The address to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def serve(options: Options) -> None:
    """Run a registry until SIGINT or SIGTERM.

    Raises:
        InvalidParameterError: an option is invalid, or a file it names cannot be used.
        ConflictError: another process listens on the address.
    """
    end = EndSignals()
    store = Store(options.root)
    context = _tls_context(options)
    listener = listen(parse_address(options.listen))
    address = Address(*listener.getsockname()[:2])
    scheme = "https" if context else "http"
    table = Table(store, _guard(options, scheme, str(address)))
    service = Service(
        name="labkit registry",
        headers=STANDING_HEADERS,
        handle=table.handle,
        error_response=error_response,
        log=Log("labkit registry"),
        observe=trace.on_standard_error(options.log_file).write,
    )
    server = Server(listener, service, partial(_connect, context))
    print(f"labkit registry listens on {scheme}://{address}, keeps its images in {options.root}")
    if not options.password_file and not _is_loopback(address.host):
        print("warning: all who reach this address may push and delete; see --auth")
    sys.stdout.flush()
    server.serve(end)
    server.finish()


def _connect(context: ssl.SSLContext | None, client: socket.socket) -> Connection:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls.connect(client, context, IDLE_S) if context else Connection(client, IDLE_S)


# The address


def parse_address(text: str) -> Address:
    """Parse `127.0.0.1:5000`, `[::1]:5000`, `:5000` for all addresses; InvalidParameterError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidParameterError(f"--listen {text}: ADDRESS:PORT is needed, as 127.0.0.1:5000")
    return Address(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 what ":5000" asks for


def listen(address: Address) -> socket.socket:
    """Listen there; ConflictError, with the port's process, if the port is taken."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InvalidParameterError(f"--listen {address}: {error.strerror or error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise InvalidParameterError(f"cannot listen on {address}: {error.strerror}") from None
        raise ConflictError(
            f"cannot listen on {address}: port {address.port} is in use{holder(address.port)}; "
            "end that process, or choose another port with --listen"
        ) from None
    return listener


def holder(port: int) -> str:
    """Return ` by NAME (pid N)` of the process on a TCP port, if this process may see it."""
    for found in psutil.net_connections("tcp"):
        if found.status == psutil.CONN_LISTEN and found.laddr[1:] == (port,) and found.pid:
            try:
                return f" by {psutil.Process(found.pid).name()} (pid {found.pid})"
            except psutil.NoSuchProcess:
                return ""
    return ""


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"


# Guard and certificate


def _guard(options: Options, scheme: str, host: str) -> Guard:
    if not options.password_file:
        if options.use_tokens:
            raise InvalidParameterError("--token needs --auth FILE: the users who may have tokens")
        return Open()
    # Only a server with passwords waits for bcrypt and jwt.
    from labkit.registry.server.authentication import Basic, Bearer  # noqa: PLC0415
    from labkit.registry.server.passwords import Passwords  # noqa: PLC0415

    passwords = Passwords(options.password_file)
    if not options.use_tokens:
        return Basic(passwords)
    return Bearer(passwords, _signing_key(options.root), scheme, host)


def _signing_key(root: str) -> bytes:
    """Return the key of the registry's tokens, made once, so that they outlive a restart."""
    path = os.path.join(root, "token.key")
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        key = secrets.token_bytes(KEY_BYTES)
        write_atomically(path, key)
        return key


def _tls_context(options: Options) -> ssl.SSLContext | None:
    certificate, key = options.certificate, options.key
    if bool(certificate) != bool(key):
        raise InvalidParameterError("give both --tls-cert and --tls-key")
    if options.self_signed:
        if certificate:
            raise InvalidParameterError(
                "--tls-self-signed makes a certificate and a key: "
                "leave out --tls-cert and --tls-key"
            )
        address = parse_address(options.listen)
        certificate, key = certificates.self_signed(os.path.join(options.root, "tls"), address.host)
    if not certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidParameterError(
            f"the certificate {certificate} and key {key} cannot be used: {error}"
        ) from None
    return context
