"""Putting a container on a network and taking it off, also while it runs.

A running container gets its cable by the same operations as at a start.  A thread of the daemon
executes them after it has entered the container's network namespace: setns(2) moves one thread
only.
"""

import contextlib
from operator import attrgetter

from labkit.containers.given import network_wishes, networking
from labkit.containers.given.etc_files import split_link
from labkit.containers.parts import Parts
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import Container
from labkit.errors import ConflictError, ForbiddenError, LabkitError, NotFoundError
from labkit.kernel import messages, power
from labkit.kernel.network import inside
from labkit.networks import Endpoint, EndpointConfig, Network, Sandbox
from labkit.networks.etc_files import EMBEDDED_DNS
from labkit.networks.model import CONTAINER_MODE, HOST
from labkit.networks.rules import relayed
from labkit.runtime.operations import Context
from labkit.runtime.operations.network import (
    HoldPort,
    KeepHostLinks,
    ListenForNames,
)
from labkit.runtime.plan_network import cable, routes
from labkit.runtime.step import Step

NO_NETWORK = "none"
"""The network without interfaces: a container is on it, or on others."""
_NOT_THE_HOSTS = "container cannot be disconnected from host network or connected to host network"


def connect(parts: Parts, network: Network, entry: Entry, wanted: EndpointConfig) -> None:
    """Put a container on a network; ForbiddenError, InvalidParameterError, ConflictError."""
    network_wishes.check_endpoint(network, wanted)
    container = entry.container
    with entry.lock:
        entry.check_present()
        _check(container, network, is_running=entry.is_running)
        sandbox = entry.sandbox if entry.is_running else None
        if sandbox is not None and network.gives_addresses:
            _plug_in(parts, entry, sandbox, network, wanted)
        container.networks[network.name] = wanted
        parts.records.save(container)
    if sandbox is not None:  # else it is connected at its start
        parts.publish_network("connect", network, container=container.id)


def _check(container: Container, network: Network, *, is_running: bool) -> None:
    mode = container.host_config.network_mode
    if mode.startswith(CONTAINER_MODE) or mode == "host":
        raise ForbiddenError(
            "container sharing network namespace with another container or host cannot be "
            "connected to any other network"
        )
    if network.driver == HOST:
        raise ForbiddenError(_NOT_THE_HOSTS)
    if NO_NETWORK in container.networks or (network.name == NO_NETWORK and container.networks):
        raise ForbiddenError(
            "container cannot be connected to multiple networks with one of the networks in "
            "private (none) mode"
        )
    # Before the start the settings may be changed.
    if is_running and network.name in container.networks:
        raise ForbiddenError(
            f"endpoint with name {container.name} already exists in network {network.name}"
        )


def _plug_in(
    parts: Parts, entry: Entry, sandbox: Sandbox, network: Network, wanted: EndpointConfig
) -> None:
    taken = {endpoint.interface for endpoint in sandbox.endpoints}
    index = next(
        number
        for number in range(len(taken) + 1)
        if networking.interface_name(network, EndpointConfig(), number) not in taken
    )
    endpoint = networking.join(parts, entry.container, network, wanted, index)
    has_route = any(known.gateway for known in sandbox.endpoints)
    interface = networking.interface(endpoint, with_route=not has_route)
    sandbox.endpoints.append(endpoint)
    parts.networks.take_note(sandbox)
    parts.records.write_sandbox(sandbox)
    try:
        _inside(entry, [*cable(interface), *routes(interface)])
        if not network.is_default and not sandbox.asks_labkit:
            _ask_labkit(parts, entry, sandbox)
        if not (sandbox.ports or power.IS_LIMITED):
            _publish(parts, entry, sandbox)
    except LabkitError:
        _unplug(parts, entry, sandbox, endpoint)
        raise
    except OSError as error:
        _unplug(parts, entry, sandbox, endpoint)
        if isinstance(error, FileNotFoundError):  # its first process is gone
            raise ConflictError(f"Container {entry.container.id} is not running") from None
        raise LabkitError(
            f"cannot connect {entry.container.name} to {network.name}: {error}"
        ) from error
    networking.write_hosts(parts, entry.container, sandbox)
    parts.networks.refresh()


def _publish(parts: Parts, entry: Entry, sandbox: Sandbox) -> None:
    """Publish the container's ports on the first network that leads outside; the shim holds them.

    It is as if the container had started on that network.  OSError, ConflictError.
    """
    assert entry.shim is not None  # noqa: S101 it runs
    parts.networks.publish(sandbox, networking.port_wishes(entry.container))
    # A relay is a process of the shim, and is made at the start alone.
    others = relayed(sandbox)
    sandbox.ports = [port for port in sandbox.ports if port not in others]
    context = Context((-1, -1, -1), {})
    try:
        for port in filter(attrgetter("host_port"), sandbox.ports):
            HoldPort(port.protocol, port.host_ip, port.host_port).execute(context)
        if sandbox.ports:
            fds = [held.fileno() for held in context.held]
            messages.send(entry.shim, ("hold",), fds)
    except OSError:
        sandbox.ports = []
        raise
    finally:
        for held in context.held:
            held.close()
    parts.records.write_sandbox(sandbox)


def _ask_labkit(parts: Parts, entry: Entry, sandbox: Sandbox) -> None:
    """Let labkit answer the container's DNS queries from its first network that has names.

    It gets the sockets that a start on such a network would have bound.  OSError.
    """
    assert entry.shim is not None  # noqa: S101 it runs
    with inside.network_of(entry.container.state.pid):
        sockets = ListenForNames(EMBEDDED_DNS).listen()
    try:
        messages.send(entry.shim, ("names",), [bound.fileno() for bound in sockets])
    except OSError:
        for bound in sockets:
            bound.close()
        raise
    parts.name_server.serve(entry.container.id, [bound.detach() for bound in sockets])
    networking.set_up_names(entry.container, sandbox)
    parts.records.write_sandbox(sandbox)
    networking.write_resolver(parts, entry.container, sandbox)


def unlink(parts: Parts, name: str) -> None:
    """Remove a link by its name, `/web/db`; NotFoundError."""
    holder, _, alias = name.strip("/").partition("/")
    entry = parts.lookup.find(holder)
    with entry.lock:
        entry.check_present()
        host = entry.container.host_config
        kept = [text for text in host.links or () if split_link(text)[1] != alias]
        if len(kept) == len(host.links or ()):
            raise NotFoundError(f"could not find alias {alias} of container {holder}")
        host.links = kept or None
        parts.records.save(entry.container)
        if entry.is_running and entry.sandbox is not None:
            networking.write_hosts(parts, entry.container, entry.sandbox)


def forget_removed(parts: Parts, name: str, entry: Entry) -> bool:
    """Take a container off a network that no longer exists; False if it was not on it."""
    with entry.lock:
        entry.check_present()
        if name not in entry.container.networks:
            return False
        del entry.container.networks[name]
        parts.records.save(entry.container)
    return True


def disconnect(parts: Parts, network: Network, entry: Entry) -> None:
    """Take a container off a network; ForbiddenError if it is not on it."""
    container = entry.container
    with entry.lock:
        entry.check_present()
        if network.driver == HOST:
            raise ConflictError(_NOT_THE_HOSTS)
        if network.name not in container.networks:
            raise ForbiddenError(
                f"container {container.id} is not connected to network {network.name}"
            )
        sandbox = entry.sandbox if entry.is_running else None
        if sandbox is not None:
            for endpoint in list(sandbox.endpoints):
                if endpoint.network_id == network.id:
                    _unplug(parts, entry, sandbox, endpoint)
            with contextlib.suppress(FileNotFoundError):  # its first process is gone
                _route_elsewhere(entry, sandbox)
            networking.write_hosts(parts, container, sandbox)
            parts.networks.refresh()
        del container.networks[network.name]
        parts.records.save(container)
    if sandbox is not None:
        parts.publish_network("disconnect", network, container=container.id)


def _unplug(parts: Parts, entry: Entry, sandbox: Sandbox, endpoint: Endpoint) -> None:
    networking.unplug(endpoint, entry.container.state.pid)
    sandbox.endpoints.remove(endpoint)
    parts.networks.leave(endpoint)
    parts.records.write_sandbox(sandbox)


def _route_elsewhere(entry: Entry, sandbox: Sandbox) -> None:
    """Give the container a default route again, if its route was removed with the cable."""
    for endpoint in sandbox.endpoints:
        if endpoint.gateway:
            _inside(entry, list(routes(networking.interface(endpoint, with_route=True))))
            return


def _inside(entry: Entry, steps: list[Step]) -> None:
    """Execute steps of a plan in the network namespace of a running container; OSError."""
    context = Context((-1, -1, -1), {})
    KeepHostLinks().execute(context)
    assert context.host_links is not None  # noqa: S101 it has just been opened
    with context.host_links, inside.network_of(entry.container.state.pid):
        for step in steps:
            step.operation.execute(context)
