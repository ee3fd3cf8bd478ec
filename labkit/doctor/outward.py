"""One packet sent like a container's to the outside, to see whether it leaves the machine.

For a moment a cable is attached to a bridge of labkit's.  The packet goes to an address that no
machine has (TEST-NET-1, RFC 5737), and a socket watches the link by which it should leave.
"""

import os
import secrets
import socket
import subprocess
import time
from typing import NamedTuple

from labkit import ownership
from labkit.kernel import namespaces
from labkit.kernel.network import links
from labkit.kernel.network.netlink import RouteSocket
from labkit.networks import bridges
from labkit.networks.surroundings import GROUP

NOWHERE = "192.0.2.1"
DISCARD = 9
WAIT_S = 3.0
"""The kernel may switch a bridge on again only a second after it lost its last cable."""
SMALLEST_SUBNET = 28
"""A smaller subnet may have no free address."""
_EVERY_PROTOCOL = 3  # linux/if_ether.h: also packets that are sent


class Untriable(Exception):  # noqa: N818 it is not an error
    """The test is impossible here; the text says why."""


class Bridge(NamedTuple):
    """A bridge of labkit's, and a free address on it."""

    name: str
    gateway: str
    address: str
    prefix: int


def attempt(root: str) -> None:
    """Send the packet from a network of the engine with this data root.

    The sender has a separate network namespace.  OSError if it does not leave, Untriable.
    """
    found, uplink = bridge(root), _uplink()
    payload = b"labkit doctor " + secrets.token_hex(8).encode()
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_EVERY_PROTOCOL)) as seen,
        RouteSocket() as host,
    ):
        seen.bind((uplink, _EVERY_PROTOCOL))
        namespaces.unshare(namespaces.CLONE_NEWNET)
        _plug_in(host, found)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            deadline = time.monotonic() + WAIT_S
            while time.monotonic() < deadline:
                sending.sendto(payload, (NOWHERE, DISCARD))
                if _sees(seen, payload):
                    return
    raise OSError(f"one from {found.name} did not reach {uplink}")


def _sees(seen: socket.socket, payload: bytes) -> bool:
    seen.settimeout(WAIT_S / 15)
    try:
        while payload not in seen.recv(65536):
            pass
    except TimeoutError:
        return False
    return True


def bridge(root: str) -> Bridge:
    """Return a bridge that the engine with this data root has made; Untriable if none is up."""
    prefix = ownership.link_prefix(root)
    found = [link for link in bridges.with_prefix(prefix) if link.group == GROUP]
    with RouteSocket() as route:
        routes = {r.link: r for r in links.every_route(route) if ":" not in r.destination}
    for link in found:
        near = routes.get(link.number)
        if near is not None and near.prefix <= SMALLEST_SUBNET:
            shown = subprocess.run(
                ["ip", "-4", "-brief", "address", "show", "dev", link.name],
                capture_output=True,
                text=True,
                check=True,
            )
            gateway = shown.stdout.split()[2].partition("/")[0]
            first = int.from_bytes(socket.inet_aton(near.destination), "big")
            last = (first + (1 << 32 - near.prefix) - 2).to_bytes(4, "big")
            return Bridge(link.name, gateway, socket.inet_ntoa(last), near.prefix)
    raise Untriable("no network of labkit is up: start a container first")


def _uplink() -> str:
    with RouteSocket() as route:
        names = {link.number: link.name for link in links.every_link(route)}
        for found in links.every_route(route):
            if not found.prefix and ":" not in found.destination:
                return names[found.link]
    raise Untriable("this machine has no route to the outside")


def _plug_in(host: RouteSocket, bridge: Bridge) -> None:
    with RouteSocket() as here:
        fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        name = f"lkdoc{os.getpid() % 10**9}"
        mac = "02:" + ":".join(f"{octet:02x}" for octet in secrets.token_bytes(5))
        links.make_veth(host, links.Veth(name, bridge.name, "eth0", mac, 1500), fd)
        os.close(fd)
        links.switch_on(here, "eth0")
        links.add_address(here, "eth0", bridge.address, bridge.prefix)
        links.add_default_route(here, "eth0", bridge.gateway)
