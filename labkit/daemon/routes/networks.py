"""Networks: list, inspect, create, remove, prune, connect, disconnect."""

import time
from functools import partial

import msgspec

from labkit.containers import Engine
from labkit.daemon import filters
from labkit.daemon.create_body import convert
from labkit.daemon.filters import Filters
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Response, json_response
from labkit.daemon.routes.pruned import publish_prune
from labkit.daemon.shapes import networks as shapes
from labkit.dialect.moments import parse_s, timestamp, unix_s
from labkit.errors import ConflictError, ForbiddenError, InvalidParameterError, NotFoundError
from labkit.networks import EndpointConfig, Network, new_id
from labkit.networks.model import BRIDGE, HOST, NONE, Ipam, docker_name

FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
KINDS = ("builtin", "custom")
PRUNE_FILTERS = ("label", "label!", "until")


class CreateBody(msgspec.Struct, rename=docker_name):
    """The body of a request for a new network."""

    name: str = ""
    driver: str = ""
    scope: str = ""
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    enable_ipv4: bool = msgspec.field(default=True, name="EnableIPv4")
    enable_ipv6: bool = False
    ipam: Ipam = msgspec.field(default_factory=Ipam)
    options: dict[str, str] = msgspec.field(default_factory=dict)
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class _MemberBody(msgspec.Struct, rename=docker_name):
    container: str = ""
    endpoint_config: EndpointConfig = msgspec.field(default_factory=EndpointConfig)
    force: bool = False


def list_networks(engine: Engine, request: Request) -> Answer:
    """`GET /networks?filters=`."""
    asked = filters.parse(request.query.text("filters"), FILTERS)
    shown = [
        shapes.network(engine, network, with_members=False)
        for network in engine.networks.all()
        if _matches(engine, network, asked)
    ]
    return json_response(shown)


def _matches(engine: Engine, network: Network, asked: Filters) -> bool:
    dangling = filters.truth(asked, "dangling")
    for word in asked.get("type", ()):
        if word not in KINDS:
            raise InvalidParameterError(f"invalid filter: 'type'='{word}'")
    kind = "builtin" if _is_builtin(network) else "custom"
    return (
        (dangling is None or dangling == (kind == "custom" and not _users(engine, network)))
        and filters.matches_any(asked, "name", partial(filters.text_matches, text=network.name))
        and filters.matches_any(asked, "id", partial(filters.text_matches, text=network.id))
        and filters.matches_any(asked, "driver", network.driver.__eq__)
        and filters.matches_any(asked, "type", kind.__eq__)
        and filters.matches_any(asked, "scope", "local".__eq__)
        and filters.has_labels(asked, network.labels)
    )


def _is_builtin(network: Network) -> bool:
    return network.is_default or not network.gives_addresses


def _users(engine: Engine, network: Network) -> list[str]:
    """The containers that are on a network, running or not."""
    return [each.id for each in engine.list() if network.name in each.networks]


def inspect(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /networks/{id}`: by name, or by id or its beginning."""
    found = engine.networks.find(ref)
    return json_response(shapes.network(engine, found, with_members=True))


def create(engine: Engine, request: Request) -> Answer:
    """`POST /networks/create`: 201 and the id."""
    body = convert(request.json(), CreateBody, "")
    for field, words in (("ingress", "ingress networks"), ("config_only", "config-only networks")):
        if getattr(body, field):
            raise InvalidParameterError(f"labkit has no {words}")
    if not body.enable_ipv4:
        raise InvalidParameterError("labkit's networks always have IPv4: leave out EnableIPv4")
    if body.driver in (HOST, NONE):
        raise ForbiddenError(f'only one instance of "{body.driver}" network is allowed')
    if not body.name:
        raise InvalidParameterError("network name is required: none was given")
    network = Network(
        name=body.name,
        id=new_id(),
        created=timestamp(time.time_ns()),
        driver=body.driver or BRIDGE,
        enable_ipv6=body.enable_ipv6,
        internal=body.internal,
        attachable=body.attachable,
        ipam=body.ipam,
        options=body.options,
        labels=body.labels,
    )
    engine.networks.create(network)
    return json_response({"Id": network.id, "Warning": network.warning}, 201)


def remove(engine: Engine, request: Request, ref: str) -> Answer:
    """`DELETE /networks/{id}`: 204."""
    engine.networks.remove(engine.networks.find(ref))
    return Response(204)


def prune(engine: Engine, request: Request) -> Answer:
    """`POST /networks/prune?filters=`: remove the users' networks without containers."""
    asked = filters.parse(request.query.text("filters"), PRUNE_FILTERS)
    before_s = min((parse_s(text, time.time()) for text in asked.get("until", [])), default=None)
    deleted = []
    for network in engine.networks.all():
        if _is_builtin(network) or _users(engine, network):
            continue
        if before_s is not None and unix_s(network.created) >= before_s:
            continue
        if not filters.has_labels(asked, network.labels):
            continue
        if not filters.lacks_labels(asked, network.labels):
            continue
        try:
            engine.networks.remove(network)
        except (ConflictError, ForbiddenError, NotFoundError):
            continue  # it is in use by now, or already removed
        deleted.append(network.name)
    publish_prune(engine, "network")
    return json_response({"NetworksDeleted": deleted or None})


def connect(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /networks/{id}/connect`: put a container on a network, also while it runs."""
    body = _member_body(request)
    engine.connect(ref, body.container, body.endpoint_config)
    return Response(200)


def disconnect(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /networks/{id}/disconnect`: take a container off a network."""
    body = _member_body(request)
    engine.disconnect(ref, body.container, force=body.force)
    return Response(200)


def _member_body(request: Request) -> _MemberBody:
    body = convert(request.json(), _MemberBody, "")
    if not body.container:
        raise InvalidParameterError("no container was given: Container is its name or id")
    return body
