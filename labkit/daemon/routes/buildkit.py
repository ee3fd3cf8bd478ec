"""BuildKit's two doors on the Docker socket: `POST /grpc` and `POST /session`.

Both leave HTTP/1.1 for HTTP/2.  On the first the client calls the daemon, on the second the daemon
calls the client.  What is called is in `labkit.buildkit`, imported with the first such request.
"""

import os
import socket
import struct
import threading
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import labkit
from labkit.containers import Engine
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Hijack
from labkit.daemon.routes.build import Registries
from labkit.errors import InvalidParameterError
from labkit.registry.client import platforms
from labkit.registry.client.credentials import Credentials

if TYPE_CHECKING:
    from labkit.buildkit.service import Service

H2C = "h2c"
SEND_TIME_S = 30
"""How long a client may take to read what was sent."""
SESSION_METHODS = "x-docker-expose-session-grpc-method"

_LOCK = threading.Lock()


def grpc(engine: Engine, request: Request) -> Answer:
    """`POST /grpc`: the client's calls."""
    _check_upgrade(request)
    found = service(engine)
    return Hijack(_taking(found.serve), protocol=H2C)


def session(engine: Engine, request: Request) -> Answer:
    """`POST /session`: a client that can be called."""
    _check_upgrade(request)
    found = service(engine)
    headers = {name: [value] for name, value in request.headers.items()}
    methods = request.headers.get(SESSION_METHODS, "")
    headers[SESSION_METHODS] = [method.strip() for method in methods.split(",")]
    found.check_session(headers)
    return Hijack(_taking(lambda link: found.serve_session(link, headers)), protocol=H2C)


def service(engine: Engine) -> "Service":
    """The service of an engine, made when it is first asked for."""
    with _LOCK:
        return _made(engine)


@cache
def _made(engine: Engine) -> "Service":
    from labkit.buildkit.service import Service  # noqa: PLC0415

    def registries_for(known: Callable[[str], tuple[str, str]]) -> Registries:
        return Registries(engine, lambda domain: Credentials(*known(domain)))

    version = f"v{labkit.__version__}"
    return Service(engine, registries_for, platforms.parse(""), version)


def _check_upgrade(request: Request) -> None:
    if request.upgrade != H2C:
        raise InvalidParameterError(f"{request.path} goes on as HTTP/2: send Upgrade: {H2C}")


def _taking(
    serve: Callable[[socket.socket], None],
) -> Callable[[int, Callable[[], None]], None]:
    def take(fd: int, send_head: Callable[[], None]) -> None:
        send_head()
        with socket.socket(fileno=os.dup(fd)) as link:
            link.settimeout(None)
            limit = struct.pack("ll", SEND_TIME_S, 0)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            serve(link)

    return take
