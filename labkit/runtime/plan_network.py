"""The part of the plan that makes the container's network.

A new network namespace has only a loopback interface, which is off.  A cable with two ends connects
it: one end is plugged into a bridge of the host, the other becomes `eth0` inside.  The first
process makes the cable itself, with a netlink socket that it opened before it left the host's
network.  So the cable belongs to the namespace from the start, and the kernel removes it with it.
"""

from collections.abc import Iterator

from labkit.kernel import namespaces
from labkit.runtime import operations as op
from labkit.runtime.spec import Interface, Network
from labkit.runtime.step import Step


def host(network: Network) -> Iterator[Step]:
    """The steps of the shim: published ports."""
    for protocol, address, port in network.ports:
        why = "a published port: held while the container runs, nftables sends its packets on"
        yield Step("network.port", why, op.HoldPort(protocol, address, port))
    for relay in network.relays:
        why = "a published port whose packets the kernel cannot forward: a process passes them on"
        yield Step("network.port", why, op.RelayPort(*relay, network.holder))


_OWN = op.Unshare(namespaces.CLONE_NEWNET)


def namespace(network: Network, own: op.Operation = _OWN) -> Iterator[Step]:
    """The namespace, unless it is the host's; `own` gives the container its own."""
    if network.host:
        return
    if network.joins is not None:
        why = "the interfaces, addresses and ports of another container"
        yield Step(
            "namespace.network", why, op.JoinNamespace(namespaces.CLONE_NEWNET, *network.joins)
        )
        return
    if network.interfaces:
        why = "this way it can still reach the host's links from inside"
        yield Step("network.host_links", why, op.KeepHostLinks())
    yield Step(
        "namespace.network",
        "its own interfaces, addresses, routes and ports",
        own,
    )


def interfaces(network: Network) -> Iterator[Step]:
    """The steps inside the container's own namespace."""
    if network.host or network.joins is not None:
        return
    yield Step(
        "namespace.network.loopback",
        "a new network namespace has one interface, and it is off",
        op.BringUpLoopback(),
    )
    for interface in network.interfaces:
        yield from cable(interface)
    for interface in network.interfaces:
        yield from routes(interface)
    if network.name_server:
        yield names(network.name_server)


def names(address: str) -> Step:
    """The step that binds the sockets for names."""
    why = "queries for names come in here; the daemon gets the sockets, and answers"
    return Step("network.names", why, op.ListenForNames(address))


def cable(interface: Interface) -> Iterator[Step]:
    """The steps that connect the namespace to one network."""
    name, mac, mtu = interface.name, interface.mac, interface.mtu
    if interface.shares[0]:
        yield Step(
            "network.share",
            "no cable: the interface uses a link of the host beside others, without the host",
            op.ShareLink(*interface.shares, interface.bridge, name, mac, mtu),
        )
    else:
        yield Step(
            "network.cable",
            "a cable: one end in a socket of the bridge, as in a switch, the other in here",
            op.LayCable(interface.host_name, interface.bridge, name, mac, mtu, interface.isolated),
        )
    yield Step("network.up", "an interface is off at first", op.SwitchOn(name))
    for address, prefix in interface.addresses:
        why = "its number on the network, and which others are on the same bridge"
        yield Step("network.address", why, op.AddAddress(name, address, prefix))


def routes(interface: Interface) -> Iterator[Step]:
    """The steps that set the default routes."""
    for gateway in interface.gateways:
        why = "everything else goes to the gateway: on a bridge, to the host"
        yield Step("network.route", why, op.AddDefaultRoute(interface.name, gateway))
