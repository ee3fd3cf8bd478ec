"""The texts of a container's /etc/hosts and /etc/resolv.conf, as Docker writes them.  Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from labkit.errors import InvalidParameterError
from labkit.networks.addresses import parse_address

LOCALHOST = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)
HOST_GATEWAY = "host-gateway"
"""In `--add-host` it means the host's address on the default network."""
EMBEDDED_DNS = "127.0.0.11"
"""The address of labkit's DNS server in a container on a user's network (labkit.networks.names)."""
USUAL_SERVERS = ("8.8.8.8", "8.8.4.4")
"""The DNS servers for a container that cannot reach any of the host's own servers."""


def hosts(
    own: Iterable[tuple[str, str]], extra: Iterable[str] = (), linked: Iterable[str] = ()
) -> str:
    """The text of /etc/hosts.

    `own` are the container's addresses, each with its names; `extra` are `name:address` or
    `name=address` (`--add-host`), `linked` complete lines.
    """
    added = [_extra_line(text) for text in extra]
    mine = [f"{address}\t{names}\n" for address, names in own]
    return LOCALHOST + "".join([*added, *(f"{line}\n" for line in linked), *mine])


def _extra_line(text: str) -> str:
    name, address = split_extra_host(text)
    return f"{address}\t{name}\n"


def split_extra_host(text: str) -> tuple[str, str]:
    """Split `name:address` or `name=address`; an IPv6 address may be in brackets."""
    name, equals, address = text.partition("=")
    if not equals:
        name, _, address = text.partition(":")
    return name, address.removeprefix("[").removesuffix("]")


def check_extra_host(text: str) -> None:
    """InvalidParameterError, in Docker's words, for an entry that /etc/hosts cannot have."""
    name, address = split_extra_host(text)
    if not name or not address or not name.isprintable() or " " in name:
        raise InvalidParameterError(
            f'bad format for add-host: "{text}": use name:address, or name:{HOST_GATEWAY}'
        )
    if address != HOST_GATEWAY:
        try:
            parse_address(address, may_have_zone=True)
        except InvalidParameterError:
            raise InvalidParameterError(f'invalid IP address in add-host: "{address}"') from None


class Resolver(NamedTuple):
    """The content of a resolv.conf (resolv.conf(5))."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse_resolver(text: str) -> Resolver:
    """Read a resolv.conf."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = tuple(words[1:])
        elif words[0] == "options":
            options += words[1:]
    return Resolver(tuple(servers), search, tuple(options))


def resolver_for(
    host: Resolver,
    *,
    servers: Sequence[str],
    search: Sequence[str],
    options: Sequence[str],
) -> Resolver:
    """A container's resolver: the values asked for, and the host's for the others.

    Servers at the host's loopback are left out: the container has another loopback.  The search
    domain `.` is written as it is: without a line, a program would take its host's domain.
    """
    found = tuple(servers) or tuple(s for s in host.servers if not is_loopback(s))
    domains = tuple(search) or host.search
    return Resolver(found or USUAL_SERVERS, domains, tuple(options) or host.options)


def servers_asked_by_labkit(host: Resolver, servers: Sequence[str]) -> list[str]:
    """The servers that labkit asks for a container; it asks from the host, where loopback works."""
    return [*(servers or host.servers or USUAL_SERVERS)]


def asks_labkit(resolver: Resolver) -> Resolver:
    """The same resolver with labkit's server; a name without a dot is asked for unchanged too."""
    options = resolver.options
    if not any(option.startswith("ndots:") for option in options):
        options = (*options, "ndots:0")
    return Resolver((EMBEDDED_DNS,), resolver.search, options)


def is_loopback(server: str) -> bool:
    """Whether an address belongs to the machine itself."""
    return server.startswith("127.") or server == "::1"


def is_at_loopback(host: Resolver) -> bool:
    """Whether a host has a name server (dnsmasq, systemd's stub) that no container reaches."""
    return bool(host.servers) and all(map(is_loopback, host.servers))


def resolv_conf(resolver: Resolver) -> str:
    """The text of /etc/resolv.conf."""
    lines = [f"nameserver {server}" for server in resolver.servers]
    if resolver.search:
        lines.append(f"search {' '.join(resolver.search)}")
    if resolver.options:
        lines.append(f"options {' '.join(resolver.options)}")
    return "".join(f"{line}\n" for line in lines)
