"""Links, addresses and routes: what `ip link`, `ip address` and `ip route` do (rtnetlink(7)).

These functions take a link by name, not by number.  They look the name up in the network namespace
of the socket, or of the calling thread (if_nametoindex(3)).
"""

import socket
from struct import pack, unpack_from
from typing import NamedTuple

from labkit.kernel.network.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    RTM_DELLINK,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RTM_SETLINK,
    RouteSocket,
    attribute,
    attributes,
    number,
    text,
)

IFF_UP = 0x1
LONGEST_NAME = 15

_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFLA_LINK = 5
_IFLA_MASTER = 10
_IFLA_PROTINFO = 12
_IFLA_LINKINFO = 18
_IFLA_GROUP = 27
_IFLA_NET_NS_FD = 28
_IFLA_INFO_KIND = 1
_IFLA_INFO_DATA = 2
_IFLA_BRPORT_MODE = 4
_IFLA_BRPORT_ISOLATED = 33
_NLA_F_NESTED = 0x8000
_VETH_INFO_PEER = 1
_SHARING_MODE = 1
_IPVLAN_FLAGS = 2
SHARING_MODES = {
    "macvlan": {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8},
    "ipvlan": {"l2": 0, "l3": 1, "l3s": 2},
}
"""The kernel's numbers of the modes (linux/if_link.h)."""
IPVLAN_FLAGS = {"bridge": 0, "private": 1, "vepa": 2}
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_BROADCAST = 4
_IFA_F_NODAD = 0x02
_RTA_DST = 1
_RTA_OIF = 4
_RTA_GATEWAY = 5
_RT_TABLE_MAIN = 254
_RTPROT_BOOT = 3
_RT_SCOPE_UNIVERSE = 0
_RTN_UNICAST = 1
_FAMILIES = {4: socket.AF_INET, 16: socket.AF_INET6}
"""The address family by the length of an address in bytes."""


class Link(NamedTuple):
    """A link of this network namespace."""

    number: int
    name: str
    kind: str
    """`bridge`, `veth`, …; empty for a hardware device."""
    mtu: int
    master: int
    """The number of the bridge it is plugged into; 0 for none."""
    group: int = 0
    """The number by which firewall rules select links of one kind; 0 for none."""


class Route(NamedTuple):
    """A route to some addresses: `destination`/`prefix`; prefix 0 for all of them."""

    destination: str
    prefix: int
    link: int
    """The number of the outgoing link."""


class Veth(NamedTuple):
    """A cable with two ends: one in the namespace of the socket, one elsewhere."""

    host_name: str
    bridge: str
    """The bridge of the near end."""
    name: str
    """The name of the far end."""
    mac: str
    """The hardware address of the far end."""
    mtu: int


class Share(NamedTuple):
    """A link that uses another one, its parent, beside others: a macvlan or an ipvlan."""

    kind: str
    mode: str
    """`bridge`, …; for ipvlan mode and flag, such as `l2 private`."""
    parent: str
    name: str
    mac: str
    """Empty for ipvlan, whose links all have the parent's hardware address."""
    mtu: int


def _link(index: int = 0, flags: int = 0) -> bytes:
    return pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def _mac(value: str) -> bytes:
    return bytes.fromhex(value.replace(":", ""))


def _info(kind: str, data: bytes = b"") -> bytes:
    inner = text(_IFLA_INFO_KIND, kind)
    return attribute(_IFLA_LINKINFO, inner + (attribute(_IFLA_INFO_DATA, data) if data else b""))


def make_bridge(route: RouteSocket, name: str, mac: str, mtu: int, group: int) -> None:
    """Make a bridge, a switch in software, and switch it on.  OSError (EEXIST…)."""
    body = _link(flags=IFF_UP) + text(_IFLA_IFNAME, name) + number(_IFLA_MTU, mtu)
    body += number(_IFLA_GROUP, group)
    body += attribute(_IFLA_ADDRESS, _mac(mac)) + _info("bridge")
    route.ask(RTM_NEWLINK, body, NLM_F_CREATE | NLM_F_EXCL, name)


def make_veth(route: RouteSocket, veth: Veth, far_namespace: int) -> None:
    """Make a cable from a bridge, plugged in and switched on, to another namespace.

    One message makes all of it, so no half cable can exist.  The far end is still off: it can only
    be switched on after both ends exist.  OSError (EEXIST, ENODEV…).
    """
    far = _link() + text(_IFLA_IFNAME, veth.name) + number(_IFLA_MTU, veth.mtu)
    far += attribute(_IFLA_ADDRESS, _mac(veth.mac)) + number(_IFLA_NET_NS_FD, far_namespace)
    body = _link(flags=IFF_UP) + text(_IFLA_IFNAME, veth.host_name) + number(_IFLA_MTU, veth.mtu)
    body += number(_IFLA_MASTER, index_of(route, veth.bridge))
    body += _info("veth", attribute(_VETH_INFO_PEER, far))
    route.ask(RTM_NEWLINK, body, NLM_F_CREATE | NLM_F_EXCL, veth.host_name)


def make_share(route: RouteSocket, share: Share, namespace: int) -> None:
    """Make a link upon a parent in the socket's namespace, and move it to another namespace.

    It is off at first.  OSError: ENODEV if there is no parent, EOPNOTSUPP if this kernel has no
    such kind, EBUSY if the parent is shared in another way.
    """
    body = _link() + text(_IFLA_IFNAME, share.name) + number(_IFLA_MTU, share.mtu)
    body += number(_IFLA_LINK, index_of(route, share.parent))
    body += number(_IFLA_NET_NS_FD, namespace)
    if share.mac:
        body += attribute(_IFLA_ADDRESS, _mac(share.mac))
    mode, _, flag = share.mode.partition(" ")
    code = SHARING_MODES[share.kind][mode]
    if share.kind == "macvlan":
        data = number(_SHARING_MODE, code)
    else:
        data = attribute(_SHARING_MODE, pack("=H", code))
        data += attribute(_IPVLAN_FLAGS, pack("=H", IPVLAN_FLAGS[flag or "bridge"]))
    body += _info(share.kind, data)
    route.ask(RTM_NEWLINK, body, NLM_F_CREATE | NLM_F_EXCL, share.parent)


def set_port(route: RouteSocket, name: str, *, isolated: bool = False) -> None:
    """Let a bridge send a packet back through the port where it arrived ("hairpin mode").

    A container reaches itself at its published port this way: if bridged packets pass the firewall
    (br_netfilter), they get their new destination inside the bridge.  The bridge passes nothing
    between `isolated` ports (Linux 4.18).
    """
    body = pack("=BxHiII", socket.AF_BRIDGE, 0, index_of(route, name), 0, 0)
    flags = attribute(_IFLA_BRPORT_MODE, b"\1")
    if isolated:
        flags += attribute(_IFLA_BRPORT_ISOLATED, b"\1")
    body += attribute(_IFLA_PROTINFO | _NLA_F_NESTED, flags)
    route.ask(RTM_SETLINK, body, what=name)


def delete(route: RouteSocket, name: str) -> None:
    """Remove a link; both ends of a cable.  OSError (ENODEV if there is none)."""
    route.ask(RTM_DELLINK, _link() + text(_IFLA_IFNAME, name), what=name)


def index_of(route: RouteSocket, name: str) -> int:
    """Return the number of a link in the namespace of the socket; OSError ENODEV."""
    message = route.get(RTM_GETLINK, _link() + text(_IFLA_IFNAME, name), name)
    (index,) = unpack_from("=i", message, 4)
    return int(index)


def switch_on(route: RouteSocket, name: str, group: int | None = None) -> None:
    """Switch a link on, and add it to a group; OSError."""
    body = pack("=BxHiII", socket.AF_UNSPEC, 0, 0, IFF_UP, IFF_UP) + text(_IFLA_IFNAME, name)
    if group is not None:
        body += number(_IFLA_GROUP, group)
    route.ask(RTM_NEWLINK, body, what=name)


def add_address(route: RouteSocket, name: str, address: str, prefix: int) -> None:
    """Add an address to a link; an existing one stays.  OSError."""
    packed = _packed(address)
    # Without duplicate address detection an IPv6 address can be used at once.
    index = index_of(route, name)
    body = pack("=BBBBi", _FAMILIES[len(packed)], prefix, _IFA_F_NODAD, 0, index)
    body += attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
    if len(packed) == 4:
        broadcast = int.from_bytes(packed, "big") | ((1 << 32 - prefix) - 1)
        body += attribute(_IFA_BROADCAST, broadcast.to_bytes(4, "big"))
    route.ask(RTM_NEWADDR, body, NLM_F_CREATE | NLM_F_REPLACE, f"{address}/{prefix}")


def add_default_route(route: RouteSocket, name: str, gateway: str) -> None:
    """Route all packets without another route through `gateway`; OSError (ENETUNREACH…)."""
    route.ask(RTM_NEWROUTE, _default(route, name, gateway), NLM_F_CREATE | NLM_F_REPLACE, gateway)


def _default(route: RouteSocket, name: str, gateway: str) -> bytes:
    packed = _packed(gateway)
    kind = (_RT_TABLE_MAIN, _RTPROT_BOOT, _RT_SCOPE_UNIVERSE, _RTN_UNICAST)
    body = pack("=BBBBBBBBI", _FAMILIES[len(packed)], 0, 0, 0, *kind, 0)
    return body + attribute(_RTA_GATEWAY, packed) + number(_RTA_OIF, index_of(route, name))


def every_link(route: RouteSocket) -> list[Link]:
    """Return the links of the socket's namespace."""
    return [_read_link(body) for body in route.dump(RTM_GETLINK, _link())]


def _read_link(body: bytes) -> Link:
    (index,) = unpack_from("=i", body, 4)
    found = attributes(body[16:])
    kind = attributes(found.get(_IFLA_LINKINFO, b"")).get(_IFLA_INFO_KIND, b"")
    name = found[_IFLA_IFNAME].rstrip(b"\0").decode()
    (mtu,) = unpack_from("=I", found[_IFLA_MTU])
    (master,) = unpack_from("=I", found.get(_IFLA_MASTER, bytes(4)))
    (group,) = unpack_from("=I", found.get(_IFLA_GROUP, bytes(4)))
    return Link(index, name, kind.rstrip(b"\0").decode(), mtu, master, group)


def every_route(route: RouteSocket) -> list[Route]:
    """Return the routes of the main table, of IPv4 and IPv6."""
    found = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for body in route.dump(RTM_GETROUTE, pack("=B11x", family)):
            prefix, table = unpack_from("=xBxxB", body)
            inside = attributes(body[12:])
            if table != _RT_TABLE_MAIN or _RTA_OIF not in inside:
                continue
            packed = inside.get(_RTA_DST, bytes(4 if family == socket.AF_INET else 16))
            (link,) = unpack_from("=I", inside[_RTA_OIF])
            found.append(Route(socket.inet_ntop(family, packed), prefix, link))
    return found


def every_address(route: RouteSocket) -> list[Route]:
    """Return the addresses of the namespace's links, each as a route to itself."""
    found = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for body in route.dump(RTM_GETADDR, pack("=B7x", family)):
            (link,) = unpack_from("=4xI", body)
            inside = attributes(body[8:])
            packed = inside.get(_IFA_LOCAL) or inside[_IFA_ADDRESS]
            found.append(Route(socket.inet_ntop(family, packed), 8 * len(packed), link))
    return found


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
