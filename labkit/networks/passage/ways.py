"""The packets to let through: from and to labkit's bridges, no more than containers need.  Pure.

| packets                                         | why                                     |
|-------------------------------------------------|-----------------------------------------|
| inside a bridge                                 | br_netfilter shows them to firewalls    |
| of known connections, from or to a bridge       | answers                                 |
| to a bridge, with another destination (DNAT)    | published ports                         |
| from a bridge out of a link that leads outside  | connections that containers begin       |

labkit's own table still drops packets that it must: between its networks, and of internal ones.
"""

from collections.abc import Iterable
from typing import NamedTuple

from labkit.networks.model import Network


class Match(NamedTuple):
    """The packets of one rule: the links they enter and leave by, and states; empty for any."""

    come: str
    go: str
    states: tuple[str, ...] = ()

    def as_iptables(self) -> str:
        """The conditions in the form of `iptables -S`."""
        words = []
        if self.come:
            words.append(f"-i {self.come}")
        if self.go:
            words.append(f"-o {self.go}")
        if self.states:
            words.append(f"-m conntrack --ctstate {','.join(self.states)}")
        return " ".join(words)

    def as_nft(self) -> str:
        """The conditions in nft's language."""
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
    """The packets to let through, by version of IP."""

    ipv4: tuple[Match, ...] = ()
    ipv6: tuple[Match, ...] = ()
    bridges: tuple[str, ...] = ()

    def of(self, version: int) -> tuple[Match, ...]:
        """The matches for one version."""
        return self.ipv6 if version == 6 else self.ipv4


def ways(networks: Iterable[Network], outward: Iterable[str]) -> Ways:
    """The ways that networks with a bridge need."""
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
