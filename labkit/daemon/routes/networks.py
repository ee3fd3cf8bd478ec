"""Networks: the two that need nothing made, none and host."""

import hashlib

from labkit.containers import Engine
from labkit.daemon import filters
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, json_response
from labkit.daemon.shapes.containers import NETWORK_DRIVERS, JsonObject
from labkit.errors import NotFoundError

FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
NEVER = "0001-01-01T00:00:00Z"


def list_networks(engine: Engine, request: Request) -> Answer:
    """`GET /networks?filters=`."""
    asked = filters.parse(request.query.text("filters"), FILTERS)
    shown = [
        _shape(engine, name)
        for name, driver in NETWORK_DRIVERS.items()
        if filters.matches_any(asked, "name", name.__contains__)
        and filters.matches_any(asked, "id", _id(name).startswith)
        and filters.matches_any(asked, "driver", driver.__eq__)
        and filters.matches_any(asked, "type", "builtin".__eq__)
        and filters.matches_any(asked, "scope", "local".__eq__)
        and not asked.get("label")
    ]
    return json_response(shown)


def inspect(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /networks/{id}`: by name, or by id or its beginning."""
    for name in NETWORK_DRIVERS:
        if ref == name or _id(name).startswith(ref):
            return json_response(_shape(engine, name))
    raise NotFoundError(f"network {ref} not found")


def _id(name: str) -> str:
    """An id as long as others have one: these networks are there without having been made."""
    return hashlib.sha256(f"labkit network {name}".encode()).hexdigest()


def _shape(engine: Engine, name: str) -> JsonObject:
    members = {
        container.id: {
            "Name": container.name,
            "EndpointID": "",
            "MacAddress": "",
            "IPv4Address": "",
            "IPv6Address": "",
        }
        for container in engine.list()
        if container.host_config.network_mode == name and container.state.status == "running"
    }
    return {
        "Name": name,
        "Id": _id(name),
        "Created": NEVER,
        "Scope": "local",
        "Driver": NETWORK_DRIVERS[name],
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": None, "Config": []},
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": members,
        "Options": {},
        "Labels": {},
    }
