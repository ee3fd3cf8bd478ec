"""What an administrator says of addresses once for all: Docker's `default-address-pools`, `bip`."""

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from labkit.errors import InvalidParameterError
from labkit.networks import options as known_options
from labkit.networks.addresses import parse_subnet
from labkit.networks.model import IpamConfig
from labkit.networks.subnets import POOLS, Pool


class Defaults(NamedTuple):
    """Where subnets come from, and how the default network is."""

    pools: Sequence[Pool] = POOLS
    bip: str = ""
    """The address of its bridge (`192.168.5.1/24`)."""
    fixed_cidr: str = ""
    """Where its addresses come from."""
    ipv6: bool = False
    fixed_cidr_v6: str = ""
    """Its subnet of IPv6."""
    mtu: int = 0
    icc: bool = True
    """Whether its containers reach each other."""
    binding: str = ""
    """The host's address at which ports are published that name none."""

    def bridge(self) -> list[IpamConfig]:
        """The subnets of the default network that are said; the others are to be chosen."""
        found = []
        if self.bip:
            own = ipaddress.ip_interface(self.bip)
            found.append(IpamConfig(str(own.network), self.fixed_cidr, str(own.ip)))
        elif self.fixed_cidr:
            found.append(IpamConfig(str(parse_subnet(self.fixed_cidr, exact=False))))
        if self.ipv6 and self.fixed_cidr_v6:
            found.append(IpamConfig(str(parse_subnet(self.fixed_cidr_v6))))
        return found

    def options(self) -> dict[str, str]:
        """The options of the default network."""
        said = {
            known_options.MTU: str(self.mtu or ""),
            known_options.ICC: "" if self.icc else "false",
            known_options.BINDING[4]: self.binding,
        }
        return {option: value for option, value in said.items() if value}

    def checked(self) -> "Defaults":
        """The same; InvalidParameterError for what no network can have."""
        known_options.check(self.options())
        for config in self.bridge():
            parse_subnet(config.subnet)
        if self.bip and self.fixed_cidr:
            within = parse_subnet(self.fixed_cidr, exact=False)
            if not within.subnet_of(ipaddress.ip_interface(self.bip).network):  # type: ignore[arg-type]
                raise InvalidParameterError(
                    f"fixed-cidr {self.fixed_cidr} is no part of the subnet of bip {self.bip}"
                )
        if self.ipv6 and self.fixed_cidr_v6 and parse_subnet(self.fixed_cidr_v6).version != 6:
            raise InvalidParameterError(f"fixed-cidr-v6 {self.fixed_cidr_v6} is not of IPv6")
        return self


USUAL = Defaults()


def pool(base: str, size: int) -> Pool:
    """One of the pools, of IPv4; InvalidParameterError."""
    found = parse_subnet(base)
    if found.version != 4 or not found.prefixlen <= size <= 30:
        raise InvalidParameterError(
            f"default-address-pools: base {base} and size {size} make no subnets: give a range of "
            "IPv4, and the length of a subnet's prefix, from the range's own to 30"
        )
    return Pool(found, size)


def check_bip(text: str) -> str:
    """The address with the length of its prefix, as it is; InvalidParameterError."""
    try:
        own = ipaddress.ip_interface(text)
    except ValueError:
        own = None
    if own is None or "/" not in text or own.version != 4 or own.network.prefixlen > 30:
        raise InvalidParameterError(f"bip {text}: give an address as 192.168.5.1/24")
    if own.ip in (own.network.network_address, own.network.broadcast_address):
        raise InvalidParameterError(f"bip {text}: no container can have this address of its subnet")
    return text
