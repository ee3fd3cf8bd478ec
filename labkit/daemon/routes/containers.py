"""Containers: create, list, inspect, start, stop, kill, remove.  Each is one call of the engine."""

from labkit.containers import Container, Engine, parse_signal
from labkit.daemon import create_body, filters
from labkit.daemon.errors import UnsupportedError
from labkit.daemon.filters import Filters
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Response, json_response
from labkit.daemon.shapes import containers as shapes
from labkit.errors import InvalidParameterError, NotFoundError

NO_CONTENT = Response(204)
FILTERS = ("ancestor", "exited", "health", "id", "label", "name", "status")
LISTED = ("running", "paused", "restarting")
"""What `docker ps` shows without -a."""
STATUSES = ("created", "dead", "exited", "paused", "removing", "restarting", "running")


def create(engine: Engine, request: Request) -> Answer:
    """`POST /containers/create?name=`: 201 and the id."""
    body = create_body.decode(request.json())
    warnings = create_body.warnings(body)
    container, more = engine.create(
        body.config, body.host_config, name=request.query.text("name"), without=body.without
    )
    return json_response({"Id": container.id, "Warnings": [*warnings, *more]}, 201)


def list_containers(engine: Engine, request: Request) -> Answer:
    """`GET /containers/json?all=&limit=&filters=`: the running ones, or all, the newest first."""
    query = request.query
    if query.flag("size"):
        raise UnsupportedError("labkit does not support size=1 yet")
    asked = filters.parse(query.text("filters"), FILTERS)
    limit = max(query.integer("limit") or 0, 0)  # docker-py sends -1 for no limit
    for status in asked.get("status", []):
        if status not in STATUSES:
            raise InvalidParameterError(f"invalid filter 'status={status}'")
    every = query.flag("all") or limit > 0 or "status" in asked
    ancestors = _ancestors(engine, asked)
    found = [
        container
        for container in engine.list()
        if (every or container.state.status in LISTED) and _matches(container, asked, ancestors)
    ]
    return json_response([shapes.summary(container) for container in found[: limit or None]])


def _ancestors(engine: Engine, asked: Filters) -> set[str]:
    """The ids of the images that the filter `ancestor` names; unknown names match nothing."""
    found = set()
    for reference in asked.get("ancestor", []):
        try:
            found.add(engine.images.resolve(reference).id)
        except NotFoundError:
            continue
    return found


def _matches(container: Container, asked: Filters, ancestors: set[str]) -> bool:
    return (
        ("ancestor" not in asked or container.image_id in ancestors)
        and filters.has_labels(asked, container.config.labels)
        and filters.matches_any(asked, "status", container.state.status.__eq__)
        and filters.matches_any(asked, "health", _health(container).__eq__)
        and filters.matches_any(asked, "exited", lambda code: _has_exited(container, code))
        and filters.matches_any(asked, "id", container.id.startswith)
        and filters.matches_any(asked, "name", lambda text: _is_named(container, text))
    )


def _health(container: Container) -> str:
    health = container.state.health
    return health.status if health else "none"


def _has_exited(container: Container, code: str) -> bool:
    state = container.state
    return state.status == "exited" and code == str(state.exit_code)


def _is_named(container: Container, text: str) -> bool:
    """Whether the name filter means this container; Docker takes it with and without the slash."""
    return filters.text_matches(text, container.name) or filters.text_matches(
        text, f"/{container.name}"
    )


def inspect(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /containers/{id}/json`."""
    return json_response(shapes.inspection(engine, engine.get(ref)))


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
    engine.kill(ref, parse_signal(request.query.text("signal") or "SIGKILL"))
    return NO_CONTENT


def remove(engine: Engine, request: Request, ref: str) -> Answer:
    """`DELETE /containers/{id}?force=&v=`: 204; with `v`, its anonymous volumes go as well."""
    if request.query.flag("link"):
        raise UnsupportedError("labkit has no links between containers")
    engine.remove(ref, force=request.query.flag("force"), volumes=request.query.flag("v"))
    return NO_CONTENT


def steps(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /containers/{id}/steps`, labkit's own: what its last start consisted of."""
    return json_response(engine.steps(ref))
