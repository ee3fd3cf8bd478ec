"""A container's processes and use of resources: top and stats; and changed limits: update."""

import time
from collections.abc import Iterator

import msgspec

from labkit.containers import Container, Engine
from labkit.containers.inside import stats
from labkit.containers.life.updating import UpdateConfig
from labkit.daemon.create_body import convert, refuse_not_yet
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Stream, json_response
from labkit.errors import NotFoundError
from labkit.http.connection import Connection

INTERVAL_S = 1.0
"""The time between two samples, as in Docker."""


def top(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /containers/{id}/top?ps_args=`: the titles and the rows of ps."""
    found = engine.top(ref, request.query.text("ps_args"))
    return json_response({"Titles": found.titles, "Processes": found.rows})


def update(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/update`: new limits, a new restart policy."""
    body = request.json()
    refuse_not_yet(body)
    return json_response({"Warnings": engine.update(ref, convert(body, UpdateConfig, ""))})


def stats_(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /containers/{id}/stats?stream=&one-shot=`: a sample every second, or one.

    Each sample includes the one before it, from which clients compute the share of CPU time.  A
    single sample waits a second for that, unless `one-shot` is set.
    """
    query = request.query
    container = engine.get(ref)
    if query.flag("stream") or not query.text("stream"):
        return Stream(_samples(engine, container, request.connection))
    before = stats.EMPTY
    if not query.flag("one-shot") and engine.is_running(container.id):
        before = engine.stats(container.id)
        time.sleep(INTERVAL_S)
    return json_response(_shape(container, before, engine.stats(container.id)))


def _samples(engine: Engine, container: Container, client: Connection) -> Iterator[bytes]:
    before = stats.EMPTY
    while not client.client_is_gone():
        try:
            now = engine.stats(container.id)
        except NotFoundError:
            return
        yield msgspec.json.encode(_shape(container, before, now)) + b"\n"
        before = now
        time.sleep(INTERVAL_S)


def _shape(
    container: Container, before: stats.JsonObject, now: stats.JsonObject
) -> stats.JsonObject:
    past = {"preread": before["read"], "precpu_stats": before["cpu_stats"]}
    return {"name": f"/{container.name}", "id": container.id} | now | past
