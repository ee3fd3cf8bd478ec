"""The engine itself: whether it runs, its version, and its properties."""

from labkit.containers import Engine
from labkit.containers.records import states
from labkit.daemon.requests import Request
from labkit.daemon.responses import TEXT, Answer, Response, json_response
from labkit.daemon.shapes import system

BUILDER = ("Builder-Version", "2")
"""The builder that Docker's clients use by default: BuildKit."""
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
    """`GET /labkit/states`, labkit's own: the table of states that the engine follows."""
    rows = ("Before", "Event", "After", "Meaning")
    return json_response([dict(zip(rows, arrow, strict=True)) for arrow in states.TRANSITIONS])
