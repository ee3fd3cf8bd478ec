"""BuildKit's two endpoints on the Docker socket: `POST /grpc` and `POST /session`.

Both switch from HTTP/1.1 to HTTP/2.  On the first one the client calls the daemon, on the second
one the daemon calls the client.  The calls are in `labkit.buildkit`, which the first such request
imports.
"""

import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from labkit.build.workroom import CACHE_MOUNTS, KeptCache
from labkit.containers import Engine
from labkit.daemon import filters
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Hijack, json_response
from labkit.daemon.routes import build as classic
from labkit.daemon.routes.build_service import service
from labkit.daemon.routes.pruned import publish_prune
from labkit.errors import InvalidParameterError

if TYPE_CHECKING:
    from labkit.buildkit.kept import KeptContext

BUILDKIT = "2"
"""The value of the parameter `version` that selects BuildKit."""
H2C = "h2c"
SEND_TIME_S = 30
"""How long a client may take to read the data sent to it."""
SESSION_METHODS = "x-docker-expose-session-grpc-method"


def build(engine: Engine, request: Request) -> Answer:
    """`POST /build`: the classic builder, or with `version=2` BuildKit as of 2018 to 2022."""
    if request.query.text("version") != BUILDKIT:
        return classic.build(engine, request)
    from labkit.daemon.routes import build_by_request  # noqa: PLC0415

    return build_by_request.build(engine, request)


def cancel(engine: Engine, request: Request) -> Answer:
    """`POST /build/cancel?id=`: cancel a build of `version=2`."""
    from labkit.daemon.routes import build_by_request  # noqa: PLC0415

    return build_by_request.cancel(engine, request)


def prune(engine: Engine, request: Request) -> Answer:
    """`POST /build/prune`: remove the caches of RUN and the kept contexts that no build uses."""
    filters.parse(request.query.text("filters"), None)
    removed: Sequence[KeptCache | KeptContext] = CACHE_MOUNTS.prune(engine.paths)
    removed = [*removed, *service(engine).kept.prune()]
    size_bytes = sum(cache.size_bytes for cache in removed)
    publish_prune(engine, "builder", size_bytes)
    return json_response(
        {
            "CachesDeleted": [cache.name for cache in removed] or None,
            "SpaceReclaimed": size_bytes,
        }
    )


def grpc(engine: Engine, request: Request) -> Answer:
    """`POST /grpc`: calls from the client."""
    _check_upgrade(request)
    found = service(engine)
    return Hijack(_taking(found.serve), protocol=H2C)


def session(engine: Engine, request: Request) -> Answer:
    """`POST /session`: a client that the daemon can call."""
    _check_upgrade(request)
    found = service(engine)
    headers = {name: [value] for name, value in request.headers.items()}
    methods = request.headers.get(SESSION_METHODS, "")
    headers[SESSION_METHODS] = [method.strip() for method in methods.split(",")]
    found.check_session(headers)
    return Hijack(_taking(lambda link: found.serve_session(link, headers)), protocol=H2C)


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
