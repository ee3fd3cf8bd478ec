"""Operations on the network: a cable from the container to a bridge, addresses, routes, ports."""

import errno
import os
import socket
import time
from typing import Any, NamedTuple, cast

from labkit.kernel import messages
from labkit.kernel.network import links, nat
from labkit.kernel.network.netlink import RouteSocket
from labkit.runtime.operations.context import Context

OWN_NAMESPACE = "/proc/thread-self/ns/net"
NAMES_PORT = 53
"""The port of name servers (RFC 1035)."""
_NAMES_TABLE = "labkit-names"
_BACKLOG = 16
_RELAY_BACKLOG = 128
_PATIENCE_S, _PAUSE_S = 5.0, 0.02
KINDS_OF_SOCKET = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class HoldPort(NamedTuple):
    """Bind a port of the host for as long as the container runs, so that no other process can.

    The packets themselves do not pass through this socket: nftables forwards them to the container
    (labkit.networks.firewall).
    """

    protocol: str
    address: str
    port: int

    def call(self) -> str:
        """The call as a C programmer would write it."""
        more = "; listen(socket, 0)" if self.protocol == "tcp" else ""
        return f'bind(socket({self.protocol}), "{self.address}", {self.port}){more}'

    def execute(self, context: Context) -> None:
        """Bind it; EADDRINUSE if another process has it.  The shim keeps the socket open."""
        context.held.append(_bound(self.protocol, self.address, self.port, 0))


def _bound(protocol: str, address: str, port: int, backlog: int) -> socket.socket:
    """A socket at a port of the host; EADDRINUSE if another process has it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    held = socket.socket(family, KINDS_OF_SOCKET[protocol])
    try:
        if family == socket.AF_INET6:
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            # Connections that have just ended do not count; a listening socket does.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((address, port))
        if protocol == "tcp":
            held.listen(backlog)
    except OSError as error:
        held.close()
        where = f"{address}:{port}/{protocol}"
        raise OSError(error.errno, os.strerror(error.errno or 0), where) from None
    return held


class RelayPort(NamedTuple):
    """Publish a port of the machine that the kernel cannot forward: a process passes the data on.

    That is every port of an engine with another network: its holder (labkit.rootless), which is in
    the machine's network, opens the port.  With root it is a port of IPv6 that leads to IPv4, or
    is at the loopback.  The process is labkit.runtime.relay's.
    """

    protocol: str
    address: str
    port: int
    target: str
    target_port: int
    holder: str
    """The path of the holder's socket; empty without a holder."""

    def call(self) -> str:
        """The calls as a C programmer would write them."""
        there = f'bind(socket({self.protocol}), "{self.address}", {self.port})'
        there += ", by the holder" if self.holder else ""
        return f'{there}; fork(); splice(…, "{self.target}:{self.target_port}")'

    def execute(self, context: Context) -> None:
        """Have it opened and start the process, which ends with its life line; OSError."""
        from labkit.runtime import relay  # noqa: PLC0415 few containers need it

        listener = self._opened() if self.holder else _bound(*self[:3], _RELAY_BACKLOG)
        context.held.append(relay.start(listener, (self.target, self.target_port)))

    def _opened(self) -> socket.socket:
        """The port, opened by the holder."""
        with messages.connect(self.holder) as holder:
            messages.send(holder, ("bind", self.protocol, self.address, self.port))
            message = messages.receive(holder)
        (kind, *words), fds = cast("tuple[list[Any], list[int]]", message or (("failed", 0), []))
        if kind != "bound":
            where = f"{self.address}:{self.port}/{self.protocol}"
            raise OSError(words[0], os.strerror(words[0]), where)
        return socket.socket(fileno=fds[0])


class KeepHostLinks(NamedTuple):
    """Open a way to the host's links before this process leaves the host's network."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)"

    def execute(self, context: Context) -> None:
        """Open a netlink socket: it always acts on the namespace that it was made in."""
        context.host_links = RouteSocket()


class LayCable(NamedTuple):
    """Make a cable with one end plugged into a bridge of the host, and one in this namespace."""

    host_name: str
    bridge: str
    name: str
    mac: str
    mtu: int
    isolated: bool = False
    """Whether the bridge passes nothing between this port and its other isolated ones."""

    def call(self) -> str:
        """The request in the notation of `ip`."""
        ends = f"{self.host_name} mtu {self.mtu} master {self.bridge} up type veth peer"
        return f"RTM_NEWLINK {ends} {self.name} address {self.mac} netns self"

    def execute(self, context: Context) -> None:
        """Make it with one message; an old cable of that name is removed first."""
        assert context.host_links is not None  # noqa: S101 the step before has opened it
        veth = links.Veth(self.host_name, self.bridge, self.name, self.mac, self.mtu)
        namespace = os.open(OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            try:
                links.make_veth(context.host_links, veth, namespace)
            except FileExistsError:
                links.delete(context.host_links, self.host_name)
                links.make_veth(context.host_links, veth, namespace)
            links.set_port(context.host_links, self.host_name, isolated=self.isolated)
        finally:
            os.close(namespace)


class ShareLink(NamedTuple):
    """Make a link in this namespace that uses a link of the host beside others."""

    kind: str
    mode: str
    parent: str
    name: str
    mac: str
    mtu: int

    def call(self) -> str:
        """The request in the notation of `ip`."""
        address = f" address {self.mac}" if self.mac else ""
        link = f"{self.name} link {self.parent}{address} mtu {self.mtu} netns self"
        return f"RTM_NEWLINK {link} type {self.kind} mode {self.mode}"

    def execute(self, context: Context) -> None:
        """Make it with one message."""
        assert context.host_links is not None  # noqa: S101 the step before has opened it
        namespace = os.open(OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            links.make_share(context.host_links, links.Share(*self), namespace)
        finally:
            os.close(namespace)


class RemoveLink(NamedTuple):
    """Remove an interface of this namespace."""

    name: str

    def call(self) -> str:
        """The request in the notation of `ip`."""
        return f"RTM_DELLINK {self.name}"

    def execute(self, context: Context) -> None:
        """Remove it."""
        with RouteSocket() as route:
            links.delete(route, self.name)


class SwitchOn(NamedTuple):
    """Switch an interface on."""

    name: str

    def call(self) -> str:
        """The request in the notation of `ip`."""
        return f"RTM_NEWLINK {self.name} up"

    def execute(self, context: Context) -> None:
        """Switch it on; OSError (EADDRINUSE if another macvlan has its hardware address)."""
        deadline = time.monotonic() + _PATIENCE_S
        with RouteSocket() as route:
            while True:
                try:
                    return links.switch_on(route, self.name)
                except OSError as error:
                    # The kernel removes the links of a container a little after its end.
                    if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                        raise
                time.sleep(_PAUSE_S)


class AddAddress(NamedTuple):
    """Give an interface an address, which makes the subnet reachable through it."""

    name: str
    address: str
    prefix: int

    def call(self) -> str:
        """The request in the notation of `ip`."""
        return f"RTM_NEWADDR {self.address}/{self.prefix} dev {self.name}"

    def execute(self, context: Context) -> None:
        """Add it."""
        with RouteSocket() as route:
            links.add_address(route, self.name, self.address, self.prefix)


class AddDefaultRoute(NamedTuple):
    """Send everything that is not for the subnet to the gateway."""

    name: str
    gateway: str

    def call(self) -> str:
        """The request in the notation of `ip`."""
        return f"RTM_NEWROUTE default via {self.gateway} dev {self.name}"

    def execute(self, context: Context) -> None:
        """Add it."""
        with RouteSocket() as route:
            links.add_default_route(route, self.name, self.gateway)


class ListenForNames(NamedTuple):
    """Bind the sockets to which this namespace's processes send queries for names; hand them out.

    The container's own processes never get them.  Queries wait in them until labkitd answers.  The
    sockets have free ports, and a rule of nftables redirects port 53 of the address to them: bound
    to port 53, they would keep a name server in the container from listening on all addresses.
    """

    address: str

    def call(self) -> str:
        """The calls as a C programmer would write them."""
        where = f'"{self.address}", 0'
        return (
            f"bind(socket(udp), {where}); bind(socket(tcp), {where}); listen(…, {_BACKLOG}); "
            f"NFT_MSG_NEWRULE ip daddr {self.address} dport {NAMES_PORT} dnat to these"
        )

    def listen(self) -> list[socket.socket]:
        """Return the sockets, UDP and TCP, in the namespace of the caller."""
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            for bound in (udp, tcp):
                bound.bind((self.address, 0))
            tcp.listen(_BACKLOG)
            ports = {
                socket.IPPROTO_UDP: udp.getsockname()[1],
                socket.IPPROTO_TCP: tcp.getsockname()[1],
            }
            nat.redirect(_NAMES_TABLE, self.address, NAMES_PORT, ports)
        except OSError as error:
            udp.close()
            tcp.close()
            where = f"{self.address}:{NAMES_PORT}"
            raise OSError(error.errno, error.strerror, where) from None
        return [udp, tcp]

    def execute(self, context: Context) -> None:
        """Bind them, and send them to the shim."""
        sockets = self.listen()
        with socket.socket(fileno=context.names_socket) as shim:
            messages.send(shim, "names", [bound.fileno() for bound in sockets])
        for bound in sockets:
            bound.close()
