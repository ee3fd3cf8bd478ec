"""Swarm and plugins: labkit has neither, and answers like an engine without any."""

from labkit.containers import Engine
from labkit.daemon.errors import UnavailableError, UnsupportedError
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, json_response
from labkit.daemon.routes.matching import Route
from labkit.errors import NotFoundError

NOT_A_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect '
    "this node to swarm and try again."
)
"""Docker's message, which its clients recognise."""
NOT_A_MEMBER = "This node is not part of a swarm"
NO_SWARM = "labkit has no swarm: it is one engine on one machine"
_KINDS = ("services", "nodes", "tasks", "secrets", "configs")


def refuse(engine: Engine, request: Request, *names: str) -> Answer:
    """Answer every request for a manager of a swarm: 503."""
    raise UnavailableError(NOT_A_MANAGER)


def begin(engine: Engine, request: Request) -> Answer:
    """`POST /swarm/init` and `POST /swarm/join`: 503."""
    raise UnavailableError(NO_SWARM)


def leave(engine: Engine, request: Request) -> Answer:
    """`POST /swarm/leave`: 503."""
    raise UnavailableError(NOT_A_MEMBER)


def list_plugins(engine: Engine, request: Request) -> Answer:
    """`GET /plugins`: an empty list."""
    return json_response([])


def no_new_plugin(engine: Engine, request: Request) -> Answer:
    """Answer every request for a new plugin: 501."""
    raise UnsupportedError("labkit has no plugins: volumes, networks and logs have its own drivers")


def no_plugin(engine: Engine, request: Request, name: str, *names: str) -> Answer:
    """Answer every request about a plugin: 404."""
    raise NotFoundError(f'plugin "{name}" not found')


ROUTES = (
    Route("GET", "/swarm", refuse),
    Route("GET", "/swarm/unlockkey", refuse),
    Route("POST", "/swarm/init", begin),
    Route("POST", "/swarm/join", begin),
    Route("POST", "/swarm/leave", leave),
    Route("POST", "/swarm/update", refuse),
    Route("POST", "/swarm/unlock", refuse),
    *(Route("GET", f"/{kind}", refuse) for kind in _KINDS),
    *(Route("GET", f"/{kind}/{{id}}", refuse) for kind in _KINDS),
    *(Route("POST", f"/{kind}/create", refuse) for kind in ("services", "secrets", "configs")),
    *(Route("POST", f"/{kind}/{{id}}/update", refuse) for kind in _KINDS if kind != "tasks"),
    *(Route("DELETE", f"/{kind}/{{id}}", refuse) for kind in _KINDS if kind != "tasks"),
    *(Route("GET", f"/{kind}/{{id}}/logs", refuse) for kind in ("services", "tasks")),
    Route("PUT", "/volumes/{id}", refuse),
    Route("GET", "/plugins", list_plugins),
    Route("GET", "/plugins/privileges", no_new_plugin),
    Route("POST", "/plugins/pull", no_new_plugin),
    Route("POST", "/plugins/create", no_new_plugin),
    Route("GET", "/plugins/{image}/json", no_plugin),
    *(
        Route("POST", f"/plugins/{{image}}/{verb}", no_plugin)
        for verb in ("enable", "disable", "upgrade", "push", "set")
    ),
    Route("DELETE", "/plugins/{image}", no_plugin),
)
