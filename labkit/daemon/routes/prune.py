"""`POST /containers/prune`, and the event at the end of each prune."""

import time

from labkit.containers import Container, Engine
from labkit.daemon import filters
from labkit.daemon.filters import Filters
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, json_response
from labkit.daemon.shapes.containers import written_bytes
from labkit.dialect.moments import parse_s, unix_s
from labkit.errors import ConflictError, NotFoundError

FILTERS = ("label", "label!", "until")
PRUNED = ("created", "dead", "exited")


def prune(engine: Engine, request: Request) -> Answer:
    """`POST /containers/prune?filters=`: the removed containers, and the number of bytes freed."""
    asked = filters.parse(request.query.text("filters"), FILTERS)
    before_s = min((parse_s(text, time.time()) for text in asked.get("until", [])), default=None)
    deleted, reclaimed_bytes = [], 0
    for container in engine.list():
        if not _may_go(container, asked, before_s):
            continue
        taken_bytes = written_bytes(engine, container)
        try:
            engine.remove(container.id)
        except (ConflictError, NotFoundError):
            continue  # it was started or removed in the meantime
        deleted.append(container.id)
        reclaimed_bytes += taken_bytes
    publish_prune(engine, "container", reclaimed_bytes)
    return json_response({"ContainersDeleted": deleted or None, "SpaceReclaimed": reclaimed_bytes})


def _may_go(container: Container, asked: Filters, before_s: float | None) -> bool:
    labels = container.config.labels
    return (
        container.state.status in PRUNED
        and (before_s is None or unix_s(container.created) < before_s)
        and filters.has_labels(asked, labels)
        and filters.lacks_labels(asked, labels)
    )


def publish_prune(engine: Engine, kind: str, reclaimed_bytes: int = 0) -> None:
    """Publish that unused things of a kind were removed."""
    engine.events.publish(kind, "prune", "", {"reclaimed": str(reclaimed_bytes)})
