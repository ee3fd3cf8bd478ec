"""The links of networks: each has a bridge, a switch in software to which containers connect."""

import contextlib
import errno
import hashlib
import ipaddress
import os
import re
import secrets
from collections.abc import Iterable

from labkit.errors import ConflictError, LabkitError
from labkit.kernel import sysctls
from labkit.kernel.network import links
from labkit.kernel.network.links import LONGEST_NAME
from labkit.kernel.network.netlink import RouteSocket
from labkit.networks import firewall, options
from labkit.networks.addresses import parse_subnet
from labkit.networks.model import BRIDGE, Network
from labkit.networks.surroundings import GROUP

ROOM_FOR_MAC = 0x02  # locally administered (IEEE 802): no manufacturer uses it
OF_CONTAINERS = 0x42  # the second byte that Docker uses
USUAL_MTU = 1500


def random_mac() -> str:
    """A random hardware address that no device has."""
    octets = [ROOM_FOR_MAC, *secrets.token_bytes(5)]
    return ":".join(f"{octet:02x}" for octet in octets)


def mac_of(address: str) -> str:
    """The hardware address of the container with this IP address.

    A neighbour remembers the hardware address of an IP address for half a minute (arp(7)).  It is
    still right after a restart, or when another container gets the IP address.
    """
    packed = ipaddress.ip_address(address).packed
    if len(packed) > 4:
        packed = hashlib.sha256(packed).digest()
    octets = [ROOM_FOR_MAC, OF_CONTAINERS, *packed[:4]]
    return ":".join(f"{octet:02x}" for octet in octets)


def uplink_mtu() -> int:
    """The largest packet, in bytes, of the links with a default route."""
    with RouteSocket() as route:
        uplinks = {found.link for found in links.every_route(route) if not found.prefix}
        sizes = [link.mtu for link in links.every_link(route) if link.number in uplinks]
    return min(sizes, default=USUAL_MTU)


def mtu_of(network: Network) -> int:
    """Return the size of the largest packet on a network, in bytes; OSError if it has no parent."""
    if mtu := network.options.get(options.MTU):
        return int(mtu)
    if not network.parent:
        return uplink_mtu()
    with RouteSocket() as route:
        links.index_of(route, network.parent)
        return next(link.mtu for link in _all(route) if link.name == network.parent)


def exists(name: str) -> bool:
    """Whether there is a link with this name."""
    with RouteSocket() as route:
        try:
            links.index_of(route, name)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            return False
    return True


def ensure(network: Network, mtu: int) -> None:
    """Make a network's bridge, or check and repair the one that exists.

    OSError, ConflictError; LabkitError without nft, for no rule would guard it, or without IPv6.

    A macvlan without a parent leads nowhere: its containers have cables to a bridge, which has no
    address.
    """
    if network.parent:
        return
    firewall.require()
    name = network.bridge
    with RouteSocket() as route:
        try:
            links.make_bridge(route, name, random_mac(), mtu, GROUP)
        except FileExistsError:
            if not any(link.name == name and link.kind == "bridge" for link in _all(route)):
                raise ConflictError(
                    f"there already is a link {name}, and it is not a bridge: remove or rename it"
                ) from None
            links.switch_on(route, name, GROUP)
        _set_switches(network)
        for config in network.ipam.config if network.driver == BRIDGE else ():
            subnet = parse_subnet(config.subnet)
            if config.gateway and network.gateway_mode(subnet.version) != options.ISOLATED:
                links.add_address(route, name, config.gateway, subnet.prefixlen)


def _all(route: RouteSocket) -> list[links.Link]:
    return links.every_link(route)


def _set_switches(network: Network) -> None:
    """Set the kernel's parameters of a bridge; `forwarding` sets those of the host."""
    ipv4, ipv6 = (f"{sysctls.NET}/ipv{version}/conf/{network.bridge}" for version in (4, 6))
    # A published port is reachable at 127.0.0.1 too: its packets get a container's address and
    # leave through the bridge.  The kernel allows that only with this; `firewall` blocks the
    # opposite direction.
    sysctls.write(f"{ipv4}/route_localnet", "1")
    if os.path.exists(f"{ipv6}/accept_ra"):
        # The host must not accept a container as its router: it could get all packets.
        sysctls.write(f"{ipv6}/accept_ra", "0")
    if 6 not in network.versions:
        return
    if not os.path.exists(ipv6):
        raise LabkitError(
            f"network {network.name} has IPv6, which the kernel of this machine has not "
            f"(ipv6.disable=1): leave out --ipv6"
        )
    # A host may have switched IPv6 off for each new link.
    sysctls.write(f"{ipv6}/disable_ipv6", "0")


def unplug(names: Iterable[str]) -> None:
    """Remove links; those that do not exist are skipped."""
    with RouteSocket() as route:
        for name in filter(None, names):
            with contextlib.suppress(OSError):
                links.delete(route, name)


def cable_digits(prefix: str) -> int:
    """The number of hexadecimal digits in a cable's name after the prefix and `v`."""
    return min(LONGEST_NAME - len(prefix) - 1, 8)


def is_of(prefix: str, name: str) -> bool:
    """Whether a link belongs to the engine with this prefix; another's prefix may begin with it."""
    end = name.removeprefix(prefix) if name.startswith(prefix) else ""
    cable = f"v[0-9a-f]{{{cable_digits(prefix)}}}"
    return re.fullmatch(f"[0-9]+|{cable}", end) is not None


def with_prefix(prefix: str) -> list[links.Link]:
    """The links of the engine with this prefix."""
    with RouteSocket() as route:
        return [link for link in links.every_link(route) if is_of(prefix, link.name)]
