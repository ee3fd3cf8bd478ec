"""Flags of `run`, `create` and `network connect` for ports and addresses, in the API's form."""

from labkit.cli.base.errors import UsageError, bad_value
from labkit.dialect.numbers import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Place = tuple[str, str | None]

MOST_PORT = 65535


def port_bindings(given: list[str]) -> "dict[str, list[Place]]":
    """Read the values of `-p`: for each container port the places on the host; UsageError."""
    found: dict[str, list[Place]] = {}
    for text in given:
        for port, place in _read(text):
            found.setdefault(port, []).append(place)
    return found


def _read(text: str) -> "list[tuple[str, Place]]":
    address, host_port, inside = _parts(text)
    inside, _, protocol = inside.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in ("tcp", "udp"):
        raise _invalid(text, f"invalid protocol {protocol}: it must be tcp or udp")
    first, last = _range(inside, text)
    if not host_port:
        return [(f"{port}/{protocol}", (address, None)) for port in range(first, last + 1)]
    host_first, host_last = _range(host_port, text)
    if first == last and host_first != host_last:
        # One of these, the first that is free.
        return [(f"{first}/{protocol}", (address, host_port))]
    if last - first != host_last - host_first:
        raise _invalid(text, "the two ranges of ports have different lengths")
    return [
        (f"{port}/{protocol}", (address, str(host_first + port - first)))
        for port in range(first, last + 1)
    ]


def _parts(text: str) -> tuple[str, str, str]:
    """Return address, port of the host, port of the container; an IPv6 address is in brackets."""
    address, rest = "", text
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]:")
        if not bracket:
            raise _invalid(text, "after an IPv6 address :port must follow")
    words = rest.split(":")
    if len(words) == 3 and not address:
        address, *words = words
    if len(words) > 2:
        raise _invalid(text, "it must be [[address:]host_port:]container_port[/udp]")
    inside = words.pop()
    return address, words[0] if words else "", inside


def _range(text: str, asked: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    words = [first, last if dash else first]
    begin, end = (whole(word, 0) for word in words)
    if begin is None or end is None:
        raise _invalid(asked, f"invalid port {text!r}")
    if not begin <= end <= MOST_PORT:
        raise _invalid(asked, f"invalid port {text!r}: ports are at most {MOST_PORT}")
    return begin, end


def _invalid(text: str, why: str) -> UsageError:
    return bad_value(text, "-p, --publish", why)


def endpoints(network: str, options: "dict[str, Any]") -> "dict[str, Any] | None":
    """Return the settings of the container's network; None without any."""
    wanted = endpoint(
        aliases=options["network_alias"],
        ip=options["ip"],
        ip6=options["ip6"],
        links=options["link"] if network not in ("default", "bridge") else [],
    )
    return {network: wanted} if wanted else None


def endpoint(
    *, aliases: list[str], ip: str, ip6: str, links: list[str], driver_opts: "Any" = None
) -> "dict[str, Any]":
    """Return an EndpointConfig of the API, with the fields that are set."""
    addresses = {"IPv4Address": ip, "IPv6Address": ip6}
    fields = {
        "Aliases": aliases,
        "DriverOpts": driver_opts,
        "IPAMConfig": {name: value for name, value in addresses.items() if value},
        "Links": links,
    }
    return {name: value for name, value in fields.items() if value}
