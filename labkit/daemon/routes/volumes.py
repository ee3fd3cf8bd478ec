"""Volumes: create, list, inspect, remove, prune."""

from functools import partial

import msgspec

from labkit.containers import Engine
from labkit.containers.given.mounts import LOCAL_DRIVER
from labkit.containers.given.volumes import Volume
from labkit.daemon import filters
from labkit.daemon.create_body import convert
from labkit.daemon.errors import UnavailableError
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Response, json_response
from labkit.daemon.routes.pruned import publish_prune
from labkit.daemon.routes.swarm import NO_SWARM
from labkit.daemon.shapes import mounts as shapes
from labkit.errors import ConflictError, NotFoundError
from labkit.snapshots.comparing import size_bytes

FILTERS = ("dangling", "driver", "label", "name")
PRUNE_FILTERS = ("all", "label", "label!")
ALL_PRUNED_BEFORE = (1, 42)
"""Before this version of the API, prune removed named volumes too."""


class _CreateBody(msgspec.Struct, rename="pascal"):
    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    cluster_volume_spec: dict[str, object] | None = None


def create(engine: Engine, request: Request) -> Answer:
    """`POST /volumes/create`: 201 and the volume, whether it is new or not."""
    body = convert(request.json(), _CreateBody, "")
    if body.cluster_volume_spec is not None:
        raise UnavailableError(NO_SWARM)
    volume = engine.volumes.create(
        body.name, body.labels, driver=body.driver, options=body.driver_opts
    )
    return json_response(shapes.volume(volume), 201)


def list_volumes(engine: Engine, request: Request) -> Answer:
    """`GET /volumes?filters=`: the volumes, sorted by name."""
    asked = filters.parse(request.query.text("filters"), FILTERS)
    dangling = filters.truth(asked, "dangling")
    found = [
        shapes.volume(volume)
        for volume in engine.volumes.list()
        if (dangling is None or dangling == (not volume.users))
        and filters.matches_any(asked, "driver", LOCAL_DRIVER.__eq__)
        and filters.matches_any(asked, "name", partial(filters.text_matches, text=volume.name))
        and filters.has_labels(asked, volume.record.labels)
    ]
    return json_response({"Volumes": found, "Warnings": None})


def inspect(engine: Engine, request: Request, name: str) -> Answer:
    """`GET /volumes/{name}`."""
    return json_response(shapes.volume(engine.volumes.find(name)))


def remove(engine: Engine, request: Request, name: str) -> Answer:
    """`DELETE /volumes/{name}?force=`: 204; with `force` a missing volume is no error."""
    try:
        engine.volumes.remove(name)
    except NotFoundError:
        if not request.query.flag("force"):
            raise
    return Response(204)


def prune(engine: Engine, request: Request) -> Answer:
    """`POST /volumes/prune?filters=`: remove the unused anonymous volumes.

    The filter `all` removes unused named volumes too.
    """
    asked = filters.parse(request.query.text("filters"), PRUNE_FILTERS)
    every = filters.truth(asked, "all") or request.version < ALL_PRUNED_BEFORE
    deleted, reclaimed_bytes = [], 0
    for volume in engine.volumes.list():
        if volume.users or not (every or volume.is_anonymous) or not _may_go(volume, asked):
            continue
        taken_bytes = size_bytes(volume.data)
        try:
            engine.volumes.remove(volume.name)
        except (ConflictError, NotFoundError):
            continue  # it is in use by now, or already removed
        deleted.append(volume.name)
        reclaimed_bytes += taken_bytes
    publish_prune(engine, "volume", reclaimed_bytes)
    return json_response({"VolumesDeleted": deleted, "SpaceReclaimed": reclaimed_bytes})


def _may_go(volume: Volume, asked: filters.Filters) -> bool:
    labels = volume.record.labels
    return filters.has_labels(asked, labels) and filters.lacks_labels(asked, labels)
