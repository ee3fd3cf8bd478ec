"""An administrator's settings for addresses: Docker's `default-address-pools`, `bip` and others."""

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from labkit.errors import InvalidParameterError
from labkit.networks import options as known_options
from labkit.networks.addresses import is_part, parse_subnet
from labkit.networks.model import IpamConfig, Network
from labkit.networks.subnets import POOLS, Pool


class Defaults(NamedTuple):
    """The pools for new subnets, and the settings of the default network."""

    pools: Sequence[Pool] = POOLS
    bip: str = ""
    """The address of the default network's bridge (`192.168.5.1/24`)."""
    fixed_cidr: str = ""
    """The range for its containers' addresses."""
    ipv6: bool = False
    fixed_cidr_v6: str = ""
    """Its IPv6 subnet."""
    mtu: int = 0
    icc: bool = True
    """Whether its containers can reach each other."""
    binding: str = ""
    """The host's address for published ports that name none."""

    def bridge(self) -> list[IpamConfig]:
        """The configured subnets of the default network; the others are chosen later."""
        found = []
        if self.bip:
            own = ipaddress.ip_interface(self.bip)
            found.append(IpamConfig(str(own.network), self.fixed_cidr, str(own.ip)))
        elif self.fixed_cidr:
            found.append(IpamConfig(str(parse_subnet(self.fixed_cidr, exact=False))))
        if self.ipv6 and self.fixed_cidr_v6:
            found.append(IpamConfig(str(parse_subnet(self.fixed_cidr_v6))))
        return found

    def describe(self, network: Network) -> bool:
        """Whether the default network has the configured subnets; gateways may differ."""
        said = self.bridge()
        have = {(config.subnet, config.ip_range) for config in network.ipam.config}
        gateways = {config.gateway for config in network.ipam.config}
        return network.enable_ipv6 == self.ipv6 and all(
            (config.subnet, config.ip_range) in have and (config.gateway or "") in {*gateways, ""}
            for config in said
        )

    def options(self) -> dict[str, str]:
        """The options of the default network."""
        said = {
            known_options.MTU: str(self.mtu or ""),
            known_options.ICC: "" if self.icc else "false",
            known_options.BINDING[4]: self.binding,
        }
        return {option: value for option, value in said.items() if value}

    def checked(self) -> "Defaults":
        """Return itself; InvalidParameterError for settings that no network can have."""
        known_options.check(self.options())
        for config in self.bridge():
            parse_subnet(config.subnet)
        if self.bip and self.fixed_cidr:
            within = parse_subnet(self.fixed_cidr, exact=False)
            if not is_part(within, ipaddress.ip_interface(self.bip).network):
                raise InvalidParameterError(
                    f"fixed-cidr {self.fixed_cidr} is not part of the subnet of bip {self.bip}"
                )
        if self.ipv6 and self.fixed_cidr_v6 and parse_subnet(self.fixed_cidr_v6).version != 6:
            raise InvalidParameterError(f"fixed-cidr-v6 {self.fixed_cidr_v6} is not an IPv6 subnet")
        return self


USUAL = Defaults()


def pool(base: str, size: int) -> Pool:
    """One of the pools, for IPv4; InvalidParameterError."""
    found = parse_subnet(base)
    if found.version != 4 or not found.prefixlen <= size <= 30:
        raise InvalidParameterError(
            f"default-address-pools: base {base} and size {size} make no subnets: give an IPv4 "
            "range, and the length of a subnet's prefix, from the range's own to 30"
        )
    return Pool(found, size)


def check_bip(text: str) -> str:
    """Check an address with its prefix length, and return it unchanged; InvalidParameterError."""
    try:
        own = ipaddress.ip_interface(text)
    except ValueError:
        own = None
    if own is None or "/" not in text or own.version != 4 or own.network.prefixlen > 30:
        raise InvalidParameterError(f"bip {text}: give an address such as 192.168.5.1/24")
    if own.ip in (own.network.network_address, own.network.broadcast_address):
        raise InvalidParameterError(f"bip {text}: no container can have this address of its subnet")
    return text
