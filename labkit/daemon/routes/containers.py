"""Containers: create, list, inspect, start, stop, kill, remove.  Each is one call of the engine."""

from labkit.containers import Container, Engine, parse_signal
from labkit.daemon import container_filters, create_body, filters
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Response, json_response
from labkit.daemon.shapes import containers as shapes
from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images import platforms
from labkit.images.models import Platform

NO_CONTENT = Response(204)
LISTED = ("running", "paused", "restarting")
"""The states that `docker ps` shows without -a."""


def create(engine: Engine, request: Request) -> Answer:
    """`POST /containers/create?name=&platform=`: 201 and the id."""
    body = create_body.decode(request.json())
    if platform := request.query.text("platform"):
        _check_platform(engine, body.config.image, platform)
    container, warnings = engine.create(
        body.config,
        body.host_config,
        name=request.query.text("name"),
        without=body.without,
        endpoints=body.endpoints,
    )
    return json_response({"Id": container.id, "Warnings": list(warnings)}, 201)


def _check_platform(engine: Engine, reference: str, platform: str) -> None:
    """NotFoundError, which makes a client pull, if the image here is for another platform."""
    wanted = platforms.parse(platform)
    document = engine.images.resolve(reference).document
    found = Platform(document.architecture, document.os)
    if not platforms.runs_on(found, wanted):
        raise NotFoundError(
            f"image with reference {reference} was found but does not match the specified "
            f"platform: wanted {platforms.words(wanted)}, actual: {platforms.words(found)}"
        )


def list_containers(engine: Engine, request: Request) -> Answer:
    """`GET /containers/json?all=&limit=&size=&filters=`: running ones, or all; newest first."""
    query = request.query
    asked = filters.parse(query.text("filters"), container_filters.NAMES)
    passes = container_filters.test_for(engine, asked)
    limit = max(query.integer("limit") or 0, 0)  # docker-py sends -1 for no limit
    every = query.flag("all") or limit > 0 or bool(asked.get("status"))
    found = [
        container
        for container in engine.list()
        if (every or container.state.status in LISTED) and passes(container)
    ]
    return json_response(
        [_summary(engine, container, query.flag("size")) for container in found[: limit or None]]
    )


def _summary(engine: Engine, container: Container, with_size: bool) -> shapes.JsonObject:
    sizes = shapes.sizes(engine, container) if with_size else {}
    return shapes.summary(engine, container) | sizes


def inspect(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /containers/{id}/json?size=`."""
    container = engine.get(ref)
    sizes = shapes.sizes(engine, container) if request.query.flag("size") else {}
    return json_response(shapes.inspection(engine, container) | sizes)


def start(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/start`: 204, or 304 when it runs already."""
    if request.body_bytes().strip() not in (b"", b"{}", b"null"):
        raise InvalidParameterError(
            "starting container with non-empty request body was deprecated since API v1.22 and "
            "removed in v1.24"
        )
    engine.start(ref)
    return NO_CONTENT


def stop(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/stop?t=&signal=`: 204 when it has ended, 304 when it did not run."""
    timeout_s = request.query.integer("t")
    signal = request.query.text("signal")
    engine.stop(ref, timeout_s, parse_signal(signal) if signal else None)
    return NO_CONTENT


def kill(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/kill?signal=`: 204 when the signal is sent."""
    try:
        number = parse_signal(request.query.text("signal") or "SIGKILL")
    except InvalidParameterError as error:
        raise InvalidParameterError(f"cannot kill container: {ref}: {error}") from None
    engine.kill(ref, number)
    return NO_CONTENT


def remove(engine: Engine, request: Request, ref: str) -> Answer:
    """`DELETE /containers/{id}?force=&v=&link=`: 204; `v` removes its anonymous volumes too.

    With `link` only the link of that name is removed: `/web/db` is web's link to db.
    """
    if request.query.flag("link"):
        engine.unlink(ref)
        return NO_CONTENT
    engine.remove(ref, force=request.query.flag("force"), volumes=request.query.flag("v"))
    return NO_CONTENT


def steps(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /containers/{id}/steps`, labkit's own: the steps of its last start."""
    return json_response(engine.steps(ref))
