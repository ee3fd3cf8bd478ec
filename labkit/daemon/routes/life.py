"""Changes to containers between their start and their end; each is one call of the engine."""

from labkit.containers import Engine, parse_signal
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Response
from labkit.daemon.routes.sizes import size
from labkit.errors import InvalidParameterError

NO_CONTENT = Response(204)


def pause(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/pause`."""
    engine.pause(ref)
    return NO_CONTENT


def unpause(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/unpause`."""
    engine.unpause(ref)
    return NO_CONTENT


def restart(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/restart?t=&signal=`: 204 when it runs again."""
    signal = request.query.text("signal")
    engine.restart(ref, request.query.integer("t"), parse_signal(signal) if signal else None)
    return NO_CONTENT


def rename(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/rename?name=`."""
    name = request.query.text("name")
    if not name.removeprefix("/"):
        raise InvalidParameterError("Neither old nor new names may be empty")
    engine.rename(ref, name)
    return NO_CONTENT


def resize(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/resize?h=&w=`: the size of its terminal, in characters."""
    engine.resize(ref, *size(request))
    return Response(200)
