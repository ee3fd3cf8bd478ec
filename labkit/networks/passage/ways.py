"""What is let through: from and to labkit's bridges, and no wider than containers need.  Pure.

| packets                                         | why                                     |
|-------------------------------------------------|-----------------------------------------|
| inside a bridge                                 | br_netfilter shows them to firewalls    |
| of connections that are known, and from or to a bridge | answers                          |
| to a bridge, with another destination (DNAT)    | published ports                         |
| from a bridge out of a link that leads outside  | connections that containers begin       |

What labkit itself keeps apart (its networks, internal ones), its own table drops all the same.
"""

from collections.abc import Iterable
from typing import NamedTuple

from labkit.networks.model import Network


class Match(NamedTuple):
    """The packets of one rule: the links they come and go by, and their state; empty for any."""

    come: str
    go: str
    states: tuple[str, ...] = ()

    def as_iptables(self) -> str:
        """As `iptables -S` shows it."""
        words = []
        if self.come:
            words.append(f"-i {self.come}")
        if self.go:
            words.append(f"-o {self.go}")
        if self.states:
            words.append(f"-m conntrack --ctstate {','.join(self.states)}")
        return " ".join(words)

    def as_nft(self) -> str:
        """As nft is given it."""
        words = []
        if self.come:
            words.append(f'iifname "{self.come}"')
        if self.go:
            words.append(f'oifname "{self.go}"')
        if self.states == _TRANSLATED:
            words.append("ct status dnat")
        elif self.states:
            words.append(f"ct state {','.join(self.states).lower()}")
        return " ".join(words)


_KNOWN, _TRANSLATED = ("RELATED", "ESTABLISHED"), ("DNAT",)


class Ways(NamedTuple):
    """What is to be let through, by version of IP."""

    ipv4: tuple[Match, ...] = ()
    ipv6: tuple[Match, ...] = ()
    bridges: tuple[str, ...] = ()

    def of(self, version: int) -> tuple[Match, ...]:
        """Those of one version."""
        return self.ipv6 if version == 6 else self.ipv4


def ways(networks: Iterable[Network], outward: Iterable[str]) -> Ways:
    """What networks with a link need."""
    networks, outward = list(networks), tuple(outward)
    ipv4, ipv6 = (
        tuple(
            match
            for network in networks
            if version in network.versions
            for match in _matches(network, outward)
        )
        for version in (4, 6)
    )
    return Ways(ipv4, ipv6, tuple(network.bridge for network in networks))


def _matches(network: Network, outward: tuple[str, ...]) -> list[Match]:
    bridge = network.bridge
    inside = Match(bridge, bridge)
    if network.internal:
        return [inside]
    return [
        inside,
        Match(bridge, "", _KNOWN),
        Match("", bridge, _KNOWN),
        Match("", bridge, _TRANSLATED),
        *(Match(bridge, link) for link in outward),
    ]
