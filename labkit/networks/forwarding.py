"""Forwarding: the kernel forwards packets between links, but only from and to bridges.

A host that forwards is a router between all of its links.  labkit needs less, and does not make a
router of a host that was none:

- IPv4 has a switch for each link at which packets arrive (`net.ipv4.conf.LINK.forwarding`).  labkit
  turns it on for the links that lead outside, and leaves `ip_forward` alone.  A packet that arrives
  at a link that labkit has opened may only go to one of labkit's bridges (`firewall`).
- IPv6 has one switch for all (`net.ipv6.conf.all.forwarding`).  It sets those of the links too, and
  makes the host ignore routers.  labkit restores the links, so the host keeps its default route.

If a program or an administrator has turned forwarding on, labkit neither turns it on nor restricts
it.  Source: the kernel's Documentation/networking/ip-sysctl.rst.
"""

import contextlib
import os
import socket
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import msgspec

from labkit.kernel import files, sysctls
from labkit.networks.surroundings import Surroundings

_IPV4_ALL = f"{sysctls.NET}/ipv4/conf/all/forwarding"
_IPV6 = f"{sysctls.NET}/ipv6/conf"


class Opened(msgspec.Struct, frozen=True):
    """The switches that labkit has turned on, and turns off at the end."""

    ipv4: dict[str, int] = {}
    """The links that forward IPv4, with their numbers: a new link of the same name is another."""
    ipv6: bool = False


class Closed(NamedTuple):
    """The packets that rules must drop although the kernel would forward them."""

    ipv4: tuple[str, ...] = ()
    """Links whose packets may only go to bridges of labkit's."""
    ipv6: bool = False
    """Whether only packets from and to bridges of labkit's may pass."""
    bridges: tuple[str, ...] = ()
    """Other programs' bridges; packets inside them pass: br_netfilter shows these to rules too."""


class Forwarding:
    """The switches that one engine has turned on.  Not thread-safe."""

    def __init__(self, run: str) -> None:
        """`run` keeps the former state of the host, even if the daemon is killed."""
        self._file = f"{run}/forwarding.json"
        self._opened = Opened()
        with contextlib.suppress(OSError, msgspec.DecodeError), open(self._file, "rb") as file:
            self._opened = msgspec.json.decode(file.read(), type=Opened)

    def plan(self, around: Surroundings, versions: Collection[int]) -> Closed:
        """Decide which switches to open for these versions of IP, and write it down; OSError.

        The caller then sets the rules that drop other packets, and calls `open`.
        """
        ipv4 = self._links_to_open(around.outward) if 4 in versions else {}
        opened = Opened(ipv4, 6 in versions and self._is_ipv6_ours())
        for name in self._opened.ipv4.keys() - ipv4.keys():
            self._close_link(name)
        if self._opened.ipv6 and not opened.ipv6:
            self._close_ipv6()
        if opened != self._opened:
            if opened == Opened():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._file)
            else:
                files.write_atomically(self._file, msgspec.json.encode(opened))
            self._opened = opened
        return Closed(tuple(sorted(ipv4)), opened.ipv6, around.bridges)

    def open(self, bridges: Iterable[str]) -> None:
        """Turn on the switches of the plan, and those of the bridges; OSError."""
        for name in (*bridges, *self._opened.ipv4):
            with contextlib.suppress(FileNotFoundError):  # the link was removed
                sysctls.write(_ipv4(name), "1")
        if self._opened.ipv6 and sysctls.read(f"{_IPV6}/all/forwarding") != "1":
            _forward_ipv6()

    def is_opened(self, number: int) -> bool:
        """Whether labkit has turned on the forwarding of a link."""
        return number in self._opened.ipv4.values()

    def _links_to_open(self, outward: Iterable[str]) -> dict[str, int]:
        """The links that do not forward packets yet, or only because of labkit."""
        if sysctls.read(_IPV4_ALL) == "1":
            return {}
        found = {}
        for name in outward:
            with contextlib.suppress(OSError):  # the link was removed, or has no IPv4
                number = socket.if_nametoindex(name)
                if self._opened.ipv4.get(name) == number or sysctls.read(_ipv4(name)) == "0":
                    found[name] = number
        return found

    def _is_ipv6_ours(self) -> bool:
        """Whether only labkit turns it on: any other program would set `default` too."""
        if sysctls.read(f"{_IPV6}/all/forwarding") != "1":
            return True
        return self._opened.ipv6 and sysctls.read(f"{_IPV6}/default/forwarding") == "0"

    def _close_link(self, name: str) -> None:
        if sysctls.read(_IPV4_ALL) == "1":
            return
        with contextlib.suppress(OSError):
            if socket.if_nametoindex(name) == self._opened.ipv4[name]:
                sysctls.write(_ipv4(name), "0")

    def _close_ipv6(self) -> None:
        if sysctls.read(f"{_IPV6}/default/forwarding") == "0":
            with _ipv6_links_kept("forwarding"):
                sysctls.write(f"{_IPV6}/all/forwarding", "0")


def _ipv4(name: str) -> str:
    return f"{sysctls.NET}/ipv4/conf/{name}/forwarding"


def _forward_ipv6() -> None:
    """Forward IPv6, and still accept routes from routers.

    When a link begins to forward, the kernel drops the routes that routers have announced, unless
    `accept_ra` is 2.
    """
    with _ipv6_links_kept("accept_ra") as before:
        for path in (path for path, value in before.items() if value == "1"):
            with contextlib.suppress(FileNotFoundError):
                sysctls.write(path, "2")
        with _ipv6_links_kept("forwarding"):
            sysctls.write(f"{_IPV6}/all/forwarding", "1")


@contextlib.contextmanager
def _ipv6_links_kept(parameter: str) -> Iterator[dict[str, str]]:
    """Restore a parameter of each link, and its default, after the block."""
    before: dict[str, str] = {}
    for name in os.listdir(_IPV6):
        if name != "all":
            with contextlib.suppress(OSError):
                before[f"{_IPV6}/{name}/{parameter}"] = sysctls.read(f"{_IPV6}/{name}/{parameter}")
    yield before
    for path, value in before.items():
        with contextlib.suppress(FileNotFoundError):
            sysctls.write(path, value)
