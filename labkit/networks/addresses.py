"""The free and the used addresses of a subnet.  Pure: it knows nothing of the machine.

Nothing of this is on disk.  The used addresses follow from the running containers, each of which
has its addresses in its folder.  So a crash neither loses an address nor assigns one twice.
"""

import heapq
import ipaddress
import re
from collections.abc import Iterable

from labkit.errors import ConflictError, InvalidParameterError

Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


_ZONED = re.compile(r"[0-9a-fA-F:.]+%[a-zA-Z0-9_.-]{1,15}")
"""An IPv6 address with a zone, such as `fe80::1%eth0`.  Python accepts any text as a zone, but
addresses become lines of nftables and of files in /etc."""


def parse_subnet(text: str, *, exact: bool = True) -> Subnet:
    """A subnet in CIDR notation; InvalidParameterError."""
    if "%" in text:
        raise InvalidParameterError(f"invalid subnet {text}: no subnet has a zone")
    try:
        return ipaddress.ip_network(text, strict=exact)
    except ValueError as error:
        raise InvalidParameterError(f"invalid subnet {text}: {error}") from None


def is_part(inner: Subnet, outer: Subnet) -> bool:
    """Whether a subnet is within another; never, if they are of different versions."""
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def parse_address(text: str, *, may_have_zone: bool = False) -> Address:
    """An IP address; InvalidParameterError."""
    try:
        if "%" in text and not (may_have_zone and _ZONED.fullmatch(text)):
            raise ValueError(text)
        return ipaddress.ip_address(text)
    except ValueError:
        raise InvalidParameterError(f"invalid IP address: {text}") from None


class AddressSpace:
    """The addresses of one subnet; the lowest free one is assigned first.  Not thread-safe.

    The subnet's own address, IPv4's broadcast address and the `reserved` ones are never assigned.
    Addresses outside of `ip_range` are assigned only on request.
    """

    def __init__(self, subnet: str, ip_range: str = "", reserved: Iterable[str] = ()) -> None:
        self.subnet = parse_subnet(subnet)
        within = parse_subnet(ip_range, exact=False) if ip_range else self.subnet
        self._taken = {int(parse_address(text)) for text in reserved}
        self._taken.add(int(self.subnet.network_address))
        if self.subnet.version == 4 and self.subnet.prefixlen < 31:
            self._taken.add(int(self.subnet.broadcast_address))
        self._never = frozenset(self._taken)
        self._next = int(within.network_address)
        self._last = int(within.broadcast_address)
        self._first = self._next
        self._returned: list[int] = []
        """A heap of returned addresses below `_next`; some may have been taken since."""

    def take(self, wanted: str = "") -> str:
        """Take the `wanted` address, or the lowest free one.

        InvalidParameterError if the wanted address is not in the subnet, ConflictError if it is in
        use, or if no address is free.
        """
        number = self._check(wanted) if wanted else self._lowest()
        self._taken.add(number)
        return self._text(number)

    def give_back(self, address: str) -> None:
        """Make an address free again."""
        number = int(parse_address(address))
        if number in self._never or number not in self._taken:
            return
        self._taken.remove(number)
        if self._first <= number < self._next:
            heapq.heappush(self._returned, number)

    def take_note(self, address: str) -> None:
        """Record the address of a container that already runs."""
        self._taken.add(int(parse_address(address)))

    def _check(self, wanted: str) -> int:
        address = parse_address(wanted)
        if address not in self.subnet:
            raise InvalidParameterError(
                f"invalid address {wanted}: it is not of the network's subnet {self.subnet}"
            )
        if int(address) in self._taken:
            raise ConflictError(f"Address already in use: {wanted} on {self.subnet}")
        return int(address)

    def _lowest(self) -> int:
        while self._returned:
            number = heapq.heappop(self._returned)
            if number not in self._taken:
                return number
        while self._next <= self._last:
            self._next += 1
            if self._next - 1 not in self._taken:
                return self._next - 1
        raise ConflictError(
            f"no available IPv{self.subnet.version} addresses on {self.subnet}: "
            "remove containers, or make a network with a larger --subnet"
        )

    def _text(self, number: int) -> str:
        return str(type(self.subnet.network_address)(number))
