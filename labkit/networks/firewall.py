"""The rules of all networks, as one table of nftables (nft(8)).

The whole text is computed from the networks and ports each time something changes, and replaces
the former table in one transaction.  So no rule stays after its reason is gone, even after a crash.
`labkit.networks.passage` is for the tables of other programs: Docker's, or a firewall's.
"""

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from labkit.errors import LabkitError
from labkit.kernel.network import nft_chains
from labkit.networks import options
from labkit.networks.forwarding import Closed
from labkit.networks.model import Network
from labkit.networks.surroundings import GROUP

ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 users write these for every address

PROGRAM = "nft"
MISSING = f"bridge networks need the program {PROGRAM}: install the package nftables"
OWN_CHAIN = "labkit-forwarded"
"""The chain for forwarded packets; the engines of one machine recognise their tables by it."""


class Forward(NamedTuple):
    """A published port and the destination of its packets."""

    protocol: str
    host_ip: str
    host_port: int
    address: str
    port: int

    @property
    def family(self) -> str:
        """The version of IP, in nft's words."""
        return "ip6" if ":" in self.address else "ip"

    @property
    def is_routed(self) -> bool:
        """Whether it is reached at the container's address, without a port of the host."""
        return not self.host_port

    @property
    def is_local(self) -> bool:
        """Whether it is published at the host's loopback address."""
        return self.host_ip.startswith("127.")


def ruleset(
    table: str,
    networks: Sequence[Network],
    forwards: Iterable[Forward],
    closed: Closed = Closed(),  # noqa: B008 it is immutable
) -> str:
    """The commands that replace the whole table; without networks, those that delete it."""
    replace = f"table inet {table}\ndelete table inet {table}\n"
    if not networks:
        return replace
    every = list(forwards)
    forwards = [forward for forward in every if not forward.is_routed]
    routed = [forward for forward in every if forward.is_routed]
    chains = [
        _chain("guard", "type filter hook prerouting priority raw", _guard(networks, forwards)),
        _chain("own", "type filter hook input priority filter", [*_NEAR, _forged(networks)]),
        _chain("arrive", "type nat hook prerouting priority dstnat", [_TO_PUBLISHED]),
        _chain("send", "type nat hook output priority -100", [_TO_PUBLISHED]),
        _chain("published", "", [_publish(forward) for forward in forwards]),
        _chain("refuse", "type filter hook output priority filter", _refuse(forwards)),
        _chain("leave", "type nat hook postrouting priority srcnat", _leave(networks)),
        _chain("closed", "", _closed(closed)),
        _chain(OWN_CHAIN, "type filter hook forward priority filter", _forward(networks, routed)),
    ]
    return f"{replace}table inet {table} {{\n{''.join(chains)}}}\n"


_TO_PUBLISHED = "fib daddr type local jump published"


def _chain(name: str, hook: str, rules: Iterable[str]) -> str:
    head = f"\t\t{hook}; policy accept;\n" if hook else ""
    return (
        f"\tchain {name} {{\n{head}{''.join(f'{chr(9)}{chr(9)}{r}{chr(10)}' for r in rules)}\t}}\n"
    )


def _names(networks: Iterable[Network]) -> str:
    return ", ".join(f'"{network.bridge}"' for network in networks)


def _guard(networks: Sequence[Network], forwards: Iterable[Forward]) -> list[str]:
    """Only the host may use its loopback addresses: other packets with them are dropped.

    No container may send to a program that listens there (CVE-2020-8558), or use such an address
    as its own.  A port that is published there does not answer neighbours that send packets for
    127.0.0.1 to this host.
    """
    bridges = f"iifname {{ {_names(networks)} }}"
    places = {
        (forward.protocol, forward.host_ip, forward.host_port)
        for forward in forwards
        if forward.is_local
    }
    return [
        f"{bridges} ip daddr 127.0.0.0/8 drop",
        f"{bridges} ip saddr 127.0.0.0/8 drop",
        *(
            f'iifname != "lo" ip daddr {address} {protocol} dport {port} drop'
            for protocol, address, port in sorted(places)
        ),
    ]


_NEAR = ("ip saddr { 0.0.0.0, 169.254.0.0/16 } accept", "ip6 saddr { ::, fe80::/10 } accept")
"""Addresses that are valid on any link, so no route says where they belong."""


def _forged(networks: Iterable[Network]) -> str:
    """Drop what a container sends with the address of a machine outside.

    The kernel could take it for the outside's answer to this host or to another network.  A
    container may still be a router between networks.
    """
    bridges = f"{{ {_names(networks)} }}"
    return f"iifname {bridges} fib saddr oifname != {bridges} drop"


def _closed(closed: Closed) -> list[str]:
    """Drop packets that the kernel forwards only because of labkit, but not for its containers."""
    if not (closed.ipv4 or closed.ipv6):
        return []
    rules = [f'iifname "{bridge}" oifname "{bridge}" return' for bridge in closed.bridges]
    if closed.ipv4:
        links = ", ".join(f'"{name}"' for name in closed.ipv4)
        rules.append(f"meta nfproto ipv4 iifname {{ {links} }} oifgroup != {GROUP} drop")
    if closed.ipv6:
        rules.append(f"meta nfproto ipv6 iifgroup != {GROUP} oifgroup != {GROUP} drop")
    return rules


def _publish(forward: Forward) -> str:
    """Give packets to a port of the host the container's address as their destination."""
    family = forward.family
    address = f"[{forward.address}]" if family == "ip6" else forward.address
    where = "" if forward.host_ip in ANYWHERE else f"{family} daddr {forward.host_ip} "
    every = f"{family} daddr != ::1 " if family == "ip6" else "meta nfproto ipv4 "
    match = f"{where or every}{forward.protocol} dport {forward.host_port}"
    return f"{match} dnat {family} to {address}:{forward.port}"


def _refuse(forwards: Iterable[Forward]) -> list[str]:
    """Refuse connections to published ports at ::1: their answers would not find the way back.

    A client that tries ::1 gets an error at once, and tries 127.0.0.1 next.
    """
    how = {"tcp": "reject with tcp reset", "udp": "reject"}
    return [
        f"ip6 daddr ::1 {forward.protocol} dport {forward.host_port} {how[forward.protocol]}"
        for forward in forwards
        if forward.family == "ip6" and forward.host_ip in ANYWHERE
    ]


def _leave(networks: Iterable[Network]) -> list[str]:
    """Give packets that leave a network the host's address, so that answers come back here."""
    rules = []
    for network in networks:
        name = network.bridge
        # To a published port, from the host's loopback and from the container's network.
        rules.append(f'ip saddr 127.0.0.0/8 oifname "{name}" masquerade')
        for config in network.ipam.config:
            family = "ip6" if ":" in config.subnet else "ip"
            subnet = config.subnet
            version = 6 if family == "ip6" else 4
            if network.gateway_mode(version) == options.ROUTED:
                continue  # its packets keep their addresses
            own = f"{family} saddr {subnet} {family} daddr {subnet}"
            rules.append(f'{own} oifname "{name}" ct status dnat masquerade')
            if network.masquerades and not network.internal:
                source = network.options.get(options.SOURCE[version])
                how = f"snat {family} to {source}" if source else "masquerade"
                rules.append(f'{family} saddr {subnet} oifname != "{name}" {how}')
    return rules


_PING = {4: "ip protocol icmp", 6: "meta l4proto ipv6-icmp"}


def _by_address(networks: Sequence[Network], routed: Iterable[Forward]) -> Iterator[str]:
    """Let packets in that are sent to a container's own address, where the gateway's mode does."""
    for network in networks:
        for version in sorted(network.versions):
            into = f'oifname "{network.bridge}"'
            mode = network.gateway_mode(version)
            if mode == options.ROUTED:
                yield f"{into} {_PING[version]} accept"
            elif mode == options.UNPROTECTED:
                apart = f"iifname != {{ {_names(networks)} }}"
                yield f"{apart} {into} meta nfproto ipv{version} accept"
    for to in routed:
        yield f"{to.family} daddr {to.address} {to.protocol} dport {to.port} accept"


def _forward(networks: Sequence[Network], routed: Iterable[Forward]) -> list[str]:
    """Networks are kept apart; into one comes only what was asked for or is published."""
    rules = []
    for network in networks:
        name = network.bridge
        within = f'iifname "{name}" oifname "{name}"'
        if options.is_on(network.options, options.ICC, default=True):
            rules.append(f"{within} accept")
        else:
            # The bridge forwards nothing between its ports; the host only to published ports.
            rules.append(f"{within} ct state established,related accept")
            rules.append(f"{within} ct status dnat accept")
            rules.append(f"{within} drop")
        if network.internal:
            rules.append(f'iifname "{name}" drop')
            rules.append(f'oifname "{name}" drop')
    into = f"oifname {{ {_names(networks)} }}"
    return [
        "jump closed",
        *rules,
        _forged(networks),
        f"{into} ct state established,related accept",
        f"{into} ct status dnat accept",
        *_by_address(networks, routed),
        f"{into} drop",
    ]


def stands(table: str) -> bool:
    """Whether the table exists: another program may have flushed all rules.  OSError."""
    return ("inet", table, OWN_CHAIN) in nft_chains.filtering(nft_chains.FORWARD)


def trouble() -> str:
    """Return why no bridge network works on this machine; "" if nft is there."""
    return "" if shutil.which(PROGRAM) else MISSING


def require() -> None:
    """Raise LabkitError if no bridge network works."""
    if why := trouble():
        raise LabkitError(why)


def apply(commands: str) -> None:
    """Let nft execute commands, all or none; LabkitError with its message."""
    try:
        done = subprocess.run(
            [PROGRAM, "-f", "-"], input=commands, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise LabkitError(MISSING) from None
    if done.returncode:
        raise LabkitError(f"nft refused labkit's rules: {done.stderr.strip()}")
