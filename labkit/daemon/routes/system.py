"""The engine itself: is it there, what is it, what does it have."""

from labkit.containers import Engine
from labkit.containers.records import states
from labkit.daemon.requests import Request
from labkit.daemon.responses import TEXT, Answer, Response, json_response
from labkit.daemon.shapes import system

BUILDER = ("Builder-Version", "2")
"""Which of Docker's two builders clients speak to unless their user says: BuildKit."""
NEVER_CACHED = (("Cache-Control", "no-cache, no-store, must-revalidate"), ("Pragma", "no-cache"))


def ping(engine: Engine, request: Request) -> Answer:
    """`GET /_ping`: OK.  Clients read the API's version from the headers."""
    return Response(200, b"OK", TEXT, (*NEVER_CACHED, BUILDER))


def version(engine: Engine, request: Request) -> Answer:
    """`GET /version`."""
    return json_response(system.version())


def info(engine: Engine, request: Request) -> Answer:
    """`GET /info`."""
    return json_response(system.info(engine))


def life(engine: Engine, request: Request) -> Answer:
    """`GET /labkit/states`, labkit's own: the table of a container's life that the engine obeys."""
    rows = ("Before", "Event", "After", "Meaning")
    return json_response([dict(zip(rows, arrow, strict=True)) for arrow in states.TRANSITIONS])
