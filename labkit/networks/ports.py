"""Published ports: ports of the host that lead to ports of containers."""

import ipaddress
import os
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from labkit.dialect.numbers import whole
from labkit.errors import ConflictError, InvalidParameterError
from labkit.kernel import power
from labkit.networks.addresses import parse_address
from labkit.networks.model import EVERY_IPV4, EVERY_IPV6, PublishedPort, Sandbox, docker_name

PROTOCOLS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
LARGEST_PORT = 65535
_EVERY = (EVERY_IPV4, EVERY_IPV6)
_TRIES = 64


class PortBinding(msgspec.Struct, rename=docker_name):
    """An address and port of the host, as in Docker's API: `{"HostIp": "", "HostPort": "8080"}`."""

    host_ip: str = ""
    host_port: str = ""


Bindings = Mapping[str, Sequence[PortBinding] | None]
"""The requested bindings for each port of a container, such as `80/tcp`."""


class PortWish(NamedTuple):
    """A port of a container, and the range of the host's ports to choose from."""

    protocol: str
    container_port: int
    host_ip: str
    first: int
    """0 for any free port."""
    last: int


def parse_port(text: str) -> tuple[int, str]:
    """Split `80/tcp`, or `80`, into number and protocol; InvalidParameterError."""
    number, _, protocol = text.partition("/")
    protocol = (protocol or "tcp").lower()
    if protocol not in PROTOCOLS:
        raise InvalidParameterError(f"invalid port {text}: labkit publishes tcp and udp")
    return _number(number, text), protocol


def _number(text: str, asked: str) -> int:
    number = whole(text, 1, LARGEST_PORT)
    if number is None:
        raise InvalidParameterError(
            f"invalid port {asked[:60]}: it must be a number from 1 to {LARGEST_PORT}"
        )
    return number


def is_known(text: str) -> bool:
    """Whether a port, such as `80/tcp`, has a protocol that can be published."""
    return (text.partition("/")[2] or "tcp") in PROTOCOLS


def parse_exposed(exposed: Iterable[str]) -> list[tuple[int, str]]:
    """The ports that an image or a user exposes; a range (`8000-8010/tcp`) means all of them."""
    found = []
    for text in exposed:
        numbers, _, protocol = text.partition("/")
        first, dash, last = numbers.partition("-")
        begin, kind = parse_port(f"{first}/{protocol}" if protocol else first)
        end = _number(last, text) if dash else begin
        found += [(number, kind) for number in range(begin, end + 1)]
    return found


def wishes(bindings: Bindings, exposed: Iterable[str], *, publish_all: bool) -> list[PortWish]:
    """Every port that a container asks to publish; InvalidParameterError for a bad one."""
    found = []
    for text, places in bindings.items():
        port, protocol = parse_port(text)
        for place in places or [PortBinding()]:
            first, last = _range(place.host_port, text)
            _check_host_ip(place.host_ip)
            found.append(PortWish(protocol, port, place.host_ip, first, last))
    if publish_all:
        bound = {(wish.container_port, wish.protocol) for wish in found}
        # An image may expose ports of protocols that cannot be published.
        known = filter(is_known, exposed)
        found += [
            PortWish(protocol, port, "", 0, 0)
            for port, protocol in parse_exposed(known)
            if (port, protocol) not in bound
        ]
    return found


def _check_host_ip(text: str) -> None:
    address = parse_address(text) if text else None
    if not isinstance(address, ipaddress.IPv6Address):
        return
    if address.ipv4_mapped:
        raise InvalidParameterError(
            f"labkit cannot publish a port at {text}: give a plain address of IPv4 or IPv6"
        )


def relays_ipv6() -> bool:
    """Whether a port without an address leads from IPv6, too, to containers that have only IPv4.

    It does in an engine without root, where a process relays the data, if the kernel has IPv6.
    """
    return power.IS_LIMITED and has_ipv6()


def has_ipv6() -> bool:
    """Whether the kernel has IPv6."""
    return os.path.exists("/proc/net/if_inet6")


def _range(text: str, port: str) -> tuple[int, int]:
    if text in ("", "0"):
        return 0, 0
    first, dash, last = text.partition("-")
    begin = _number(first, f"{text}:{port}")
    end = _number(last, f"{text}:{port}") if dash else begin
    if end < begin:
        raise InvalidParameterError(f"invalid range of ports {text}: it ends before it begins")
    return begin, end


def allocate(
    container_id: str,
    wanted: Iterable[PortWish],
    others: Iterable[Sandbox],
    *,
    with_ipv6: bool,
    binding: Iterable[str] = (EVERY_IPV4, EVERY_IPV6),
    routed: Collection[int] = (),
) -> list[PublishedPort]:
    """Choose a port of the host for each wish; ConflictError names the container that has it.

    `binding` are the host's addresses for wishes that name none (`Network.binding`).  A container
    is reached at its own address, and gets no port of the host, for the versions of IP `routed`.

    Other programs' ports are not checked here, except for ports that labkit chooses: the start of
    the container binds each port, and so finds its holder.  InvalidParameterError for an address
    of IPv6 if the kernel has no IPv6.
    """
    given: list[PublishedPort] = []
    held = [(port, sandbox.container_id) for sandbox in others for port in sandbox.ports]
    for wish in wanted:
        if ":" in wish.host_ip and not has_ipv6():
            raise InvalidParameterError(
                f"cannot publish port {wish.container_port}/{wish.protocol} at {wish.host_ip}: "
                "the kernel has no IPv6: publish it at an address of IPv4"
            )
        places = [wish.host_ip] if wish.host_ip else binding
        # An address that was asked for leads to a container without IPv6 by a relay.
        addresses = [place for place in places if with_ipv6 or wish.host_ip or ":" not in place]
        direct = [place for place in addresses if (6 if ":" in place else 4) in routed]
        addresses = [place for place in addresses if place not in direct]
        every = [*held, *((port, container_id) for port in given)]
        number = _choose(wish, addresses, every) if addresses else 0
        given += [
            PublishedPort(_EVERY[":" in place], 0, wish.protocol, wish.container_port)
            for place in direct
        ]
        given += [
            PublishedPort(address, number, wish.protocol, wish.container_port)
            for address in addresses
        ]
    return given


def _choose(
    wish: PortWish, addresses: Sequence[str], held: Sequence[tuple[PublishedPort, str]]
) -> int:
    holder = ""
    for number in _candidates(wish, addresses[0]):
        wanted = [PublishedPort(a, number, wish.protocol, wish.container_port) for a in addresses]
        found = [who for port, who in held if any(collide(port, each) for each in wanted)]
        if not found:
            return number
        holder = found[0]
    asked = f"{wish.first}-{wish.last}" if wish.last > wish.first else str(wish.first)
    raise ConflictError(
        f"Bind for {addresses[0]}:{asked} failed: port is already allocated: "
        f"it is published by container {holder[:12]}"
    )


def _candidates(wish: PortWish, address: str) -> Iterable[int]:
    if wish.first:
        return range(wish.first, wish.last + 1)
    return (_free_port(wish.protocol, address) for _ in range(_TRIES))


def _free_port(protocol: str, address: str) -> int:
    """A port that no program on the host uses now: the kernel chooses it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, PROTOCOLS[protocol]) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def collide(one: PublishedPort, other: PublishedPort) -> bool:
    """Whether two ports of the host cannot both be published."""
    if not one.host_port:
        return False
    if (one.protocol, one.host_port) != (other.protocol, other.host_port):
        return False
    if (":" in one.host_ip) != (":" in other.host_ip):
        return False
    places = {one.host_ip, other.host_ip}
    return len(places) == 1 or bool(places & {EVERY_IPV4, EVERY_IPV6})
