"""What an administrator says of addresses once for all: Docker's `default-address-pools`, `bip`."""

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from labkit.errors import InvalidParameterError
from labkit.networks.addresses import parse_subnet
from labkit.networks.model import IpamConfig
from labkit.networks.subnets import POOLS, Pool


class Defaults(NamedTuple):
    """Where subnets come from, and the default network's own address (`192.168.5.1/24`)."""

    pools: Sequence[Pool] = POOLS
    bip: str = ""

    def bridge(self) -> list[IpamConfig]:
        """The subnet of the default network; empty if one is to be chosen."""
        if not self.bip:
            return []
        own = ipaddress.ip_interface(self.bip)
        return [IpamConfig(subnet=str(own.network), gateway=str(own.ip))]


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
