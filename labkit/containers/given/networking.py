"""A container's networks: checked when it is created, joined when it starts.

At a start its addresses and ports are reserved, and written to its folder before they are used; at
its end they are released.  The container's plan makes the links.
"""

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import replace

import msgspec

from labkit.containers.given import etc_files
from labkit.containers.given.etc_files import split_link
from labkit.containers.parts import Parts
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import Container
from labkit.errors import (
    ConflictError,
    LabkitError,
    NotFoundError,
    StartError,
)
from labkit.kernel import power
from labkit.kernel.network import inside
from labkit.networks import (
    Endpoint,
    EndpointConfig,
    Network,
    Sandbox,
    bridges,
    holders,
    options,
    ports,
)
from labkit.networks.etc_files import EMBEDDED_DNS, is_at_loopback, servers_asked_by_labkit
from labkit.networks.model import BRIDGE, CONTAINER_MODE
from labkit.networks.rules import forwards_to, relayed, way_out
from labkit.paths import HOLDER_SOCKET
from labkit.runtime.launch import StepFailure
from labkit.runtime.operations import Context, HoldPort, RelayPort, RemoveLink
from labkit.runtime.spec import Interface
from labkit.runtime.spec import Network as NetworkSpec
from labkit.runtime.step import Step

PORTS = (HoldPort, RelayPort)
LINK_LOCAL_PREFIX = (16, 64)
"""The lengths of the prefixes of IPv4 (RFC 3927) and IPv6 (RFC 4291)."""


def port_wishes(container: Container) -> list[ports.PortWish]:
    """The ports that a container asks to publish."""
    host = container.host_config
    exposed = container.config.exposed_ports or ()
    return ports.wishes(host.port_bindings, exposed, publish_all=host.publish_all_ports)


def warnings(container: Container) -> list[str]:
    """Warnings about options of the request that have no effect."""
    if container.host_config.network_mode != "host":
        return []
    found = []
    if port_wishes(container):
        found.append("Published ports are discarded when using host network mode")
    if power.IS_LIMITED:
        found.append("The host network is a private one of labkitd, which runs without root")
    return found


# A run of the container


def prepare(parts: Parts, entry: Entry) -> None:
    """Reserve addresses and ports for a container that is about to start; StartError…

    `release` frees them.
    """
    container = entry.container
    check_shared(parts, container)
    etc_files.check_links(parts, container)
    sandbox = Sandbox(container.id)
    try:
        for index, (name, wanted) in enumerate(container.networks.items()):
            network = parts.networks.find(name)
            if network.gives_addresses:
                sandbox.endpoints.append(join(parts, container, network, wanted, index))
        if sandbox.endpoints:
            parts.networks.publish(sandbox, port_wishes(container))
        elif container.host_config.network_mode == "host":
            _check_host_ports(container)
    except NotFoundError:
        for endpoint in sandbox.endpoints:
            parts.networks.leave(endpoint)
        raise
    except LabkitError as error:
        for endpoint in sandbox.endpoints:
            parts.networks.leave(endpoint)
        raise StartError(
            f"driver failed programming external connectivity on container {container.name} "
            f"({container.id[:12]}): {error}"
        ) from error
    except BaseException:
        for endpoint in sandbox.endpoints:
            parts.networks.leave(endpoint)
        raise
    set_up_names(container, sandbox)
    entry.sandbox = sandbox
    parts.records.write_sandbox(sandbox)
    parts.records.write_etc(container.id, etc_files.texts(parts, container, sandbox))


def join(
    parts: Parts, container: Container, network: Network, wanted: EndpointConfig, index: int
) -> Endpoint:
    """Join a container to a network by its `index`-th interface."""
    endpoint = parts.networks.join(
        network,
        wanted,
        interface=interface_name(network, wanted, index),
        names=dns_names(container, network, wanted),
        mac=container.config.mac_address if index == 0 else "",
    )
    endpoint.links = {alias: other for other, alias in map(split_link, wanted.links or ())}
    return endpoint


def interface_name(network: Network, wanted: EndpointConfig, index: int) -> str:
    """Return the name of a container's `index`-th interface: the requested one, or eth0, eth1…"""
    asked = (wanted.driver_opts or {}).get(options.IFNAME)
    return asked or f"{network.options.get(options.PREFIX) or 'eth'}{index}"


def set_up_names(container: Container, sandbox: Sandbox) -> None:
    """Let labkit answer the DNS queries of a run, if that is the only way to the answers.

    So it is on a network with names, and where each of the host's servers is at its loopback.
    """
    servers, host = container.host_config.dns or (), etc_files.host_resolver()
    has_names = any(endpoint.names for endpoint in sandbox.endpoints)
    is_host_alone = not servers and is_at_loopback(host)
    sandbox.asks_labkit = has_names or (bool(sandbox.endpoints) and is_host_alone)
    sandbox.dns = servers_asked_by_labkit(host, servers)


def rename(parts: Parts, entry: Entry) -> None:
    """Make a running container known by its new name; the caller holds its lock."""
    sandbox, container = entry.sandbox, entry.container
    if sandbox is None or not entry.is_running:
        return
    names = {parts.networks.find(name).id: name for name in container.networks}
    for endpoint in sandbox.endpoints:
        if (name := names.get(endpoint.network_id)) is None:
            continue  # the daemon was killed during the `connect`
        endpoint.names = dns_names(container, parts.networks.find(name), container.networks[name])
    parts.networks.take_note(sandbox)
    parts.records.write_sandbox(sandbox)


def tell_linked(parts: Parts, entry: Entry) -> None:
    """Update the hosts files of linked containers (`--link`): this one may have a new address."""
    for other in parts.lookup.all():
        if other.container.host_config.links and other.is_running and other.sandbox is not None:
            write_hosts(parts, other.container, other.sandbox)


def dns_names(container: Container, network: Network, wanted: EndpointConfig) -> list[str]:
    """The names of a container for others on a network; none on the default network."""
    if network.is_default:
        return []
    known = [container.name, *(wanted.aliases or []), container.id[:12], container.config.hostname]
    return list(dict.fromkeys(known))


def open_ports(parts: Parts, entry: Entry) -> None:
    """Let packets through to a container that runs and holds its ports."""
    if entry.sandbox is not None and entry.sandbox.ports:
        parts.networks.refresh()


def write_hosts(parts: Parts, container: Container, sandbox: Sandbox) -> None:
    """Update a running container's /etc/hosts."""
    _write_etc(parts, container, sandbox, "hosts")


def write_resolver(parts: Parts, container: Container, sandbox: Sandbox) -> None:
    """Update a running container's resolv.conf."""
    _write_etc(parts, container, sandbox, "resolv.conf")


def _write_etc(parts: Parts, container: Container, sandbox: Sandbox, file: str) -> None:
    text = etc_files.texts(parts, container, sandbox)[file]
    parts.records.write_etc(container.id, {file: text})


def release(parts: Parts, container_id: str) -> None:
    """Free the addresses, ports and names of a container that has ended or did not start."""
    parts.name_server.forget(container_id)
    _take_cables(parts, container_id)
    parts.networks.forget(container_id)


def _take_cables(parts: Parts, container_id: str) -> None:
    """Remove the cables of a network that other containers keep alive: its addresses become free.

    In any other case the kernel removes the cables with the network namespace.
    """
    sandbox = parts.networks.sandbox(container_id)
    if sandbox is None:
        return
    for sharer in sharers(parts, container_id):
        for endpoint in sandbox.endpoints:
            unplug(endpoint, sharer.container.state.pid)


def unplug(endpoint: Endpoint, pid: int) -> None:
    """Remove an interface from the network of a process, if both are still there."""
    if endpoint.host_interface:
        bridges.unplug([endpoint.host_interface])
        return
    with contextlib.suppress(OSError), inside.network_of(pid):
        RemoveLink(endpoint.interface).execute(Context((-1, -1, -1), {}))


def sharers(parts: Parts, container_id: str) -> Iterator[Entry]:
    """The running containers that share a container's network."""
    mode = f"{CONTAINER_MODE}{container_id}"
    for entry in parts.lookup.all():
        if entry.container.host_config.network_mode == mode and entry.is_running:
            yield entry


def _check_host_ports(container: Container) -> None:
    """ConflictError if a port that a container of the host's network names is in use."""
    for wish in port_wishes(container):
        if found := holders.holder(wish.protocol, wish.container_port):
            raise ConflictError(
                f"port {wish.container_port}/{wish.protocol} of the host is in use by {found}, and "
                "with --network host the container has no other"
            )


def has_other_port(container: Container, step: Step, failure: StepFailure) -> bool:
    """Whether a start failed at a port that was chosen, so that another can be tried."""
    if not isinstance(step.operation, PORTS) or failure.errno != errno.EADDRINUSE:
        return False
    return any(wish.first != wish.last or not wish.first for wish in port_wishes(container))


def explain_port(step: Step, failure: StepFailure) -> str:
    """The message for a start that failed at a port; empty if it failed elsewhere."""
    wanted = step.operation
    if not isinstance(wanted, PORTS):
        return ""
    if failure.errno == errno.EACCES:
        return (
            f"Bind for {wanted.address}:{wanted.port} failed: users may not open a port this low: "
            f"sudo sysctl net.ipv4.ip_unprivileged_port_start={wanted.port} allows it"
        )
    if failure.errno != errno.EADDRINUSE:
        return ""
    found = holders.holder(wanted.protocol, wanted.port)
    by = f" by {found}" if found else ""
    place = f"{wanted.address}:{wanted.port}"
    return f"Bind for {place} failed: port is already allocated: it is in use{by}"


# The plan


def plan_part(parts: Parts, container: Container, sandbox: Sandbox) -> NetworkSpec:
    """The network's part of the plan."""
    mode = container.host_config.network_mode
    if mode == "host":
        return NetworkSpec(host=True)
    if mode.startswith(CONTAINER_MODE):
        return NetworkSpec(joins=_shared(parts, mode.removeprefix(CONTAINER_MODE)))
    first = way_out(sandbox)
    interfaces = [
        interface(endpoint, with_route=endpoint is first) for endpoint in sandbox.endpoints
    ]
    server = EMBEDDED_DNS if sandbox.asks_labkit else ""
    network = NetworkSpec(interfaces=tuple(interfaces), name_server=server)
    if power.IS_LIMITED:
        holder = f"{parts.paths.run}/{HOLDER_SOCKET}"
        return replace(network, relays=tuple(forwards_to([sandbox], by_relay=True)), holder=holder)
    others = relayed(sandbox)
    held = tuple(
        (port.protocol, port.host_ip, port.host_port)
        for port in sandbox.ports
        if port.host_port and port not in others
    )
    by_relay = forwards_to([msgspec.structs.replace(sandbox, ports=others)], by_relay=True)
    return replace(network, ports=held, relays=tuple(by_relay))


def _shared(parts: Parts, container_id: str) -> tuple[int, int]:
    """The process whose network is shared; it need not exist before the start."""
    other = parts.lookup.find(container_id)
    with other.lock:
        return other.container.state.pid, other.start_time


def check_shared(parts: Parts, container: Container) -> None:
    """StartError if the container whose network would be shared does not run."""
    mode = container.host_config.network_mode
    if not mode.startswith(CONTAINER_MODE):
        return
    other = parts.lookup.find(mode.removeprefix(CONTAINER_MODE))
    if not other.is_running:
        raise StartError(
            f"cannot join network of a non running container: {other.container.id}: "
            f"start {other.container.name} first"
        )


def interface(endpoint: Endpoint, *, with_route: bool) -> Interface:
    """An endpoint in the form of the plan."""
    addresses = [(endpoint.ipv4_address, endpoint.ipv4_prefix)]
    if endpoint.ipv6_address:
        addresses.append((endpoint.ipv6_address, endpoint.ipv6_prefix))
    addresses += [(text, LINK_LOCAL_PREFIX[":" in text]) for text in endpoint.link_local]
    gateways = (endpoint.gateway, endpoint.ipv6_gateway) if with_route else ()
    return Interface(
        name=endpoint.interface,
        host_name=endpoint.host_interface,
        bridge=endpoint.bridge,
        mac=endpoint.mac,
        mtu=endpoint.mtu,
        isolated=endpoint.isolated,
        shares=("", "") if endpoint.driver == BRIDGE else (endpoint.driver, endpoint.mode),
        addresses=tuple(addresses),
        gateways=tuple(filter(None, gateways)),
    )


def draft(parts: Parts, container: Container) -> Sandbox:
    """A sandbox like the container's, with nothing reserved: it shows which steps a start has."""
    sandbox = Sandbox(container.id)
    for index, (name, wanted) in enumerate(container.networks.items()):
        network = parts.networks.find(name)
        if network.gives_addresses:
            own_name = interface_name(network, wanted, index)
            names = dns_names(container, network, wanted)
            endpoint = Endpoint(network.link, network.id, own_name, "", "", "?", 0, names)
            endpoint.gateway = "" if network.internal else "?"
            endpoint.driver = network.driver if network.parent else BRIDGE
            sandbox.endpoints.append(endpoint)
    set_up_names(container, sandbox)
    return sandbox
