"""The files that labkit binds into a container's /etc: hostname, hosts, resolv.conf."""

from collections.abc import Iterator
from typing import NamedTuple

from labkit.containers.parts import Parts
from labkit.containers.records.model import Container
from labkit.errors import NotFoundError, StartError
from labkit.kernel import files
from labkit.networks import Endpoint, Sandbox, etc_files, ports
from labkit.networks.etc_files import HOST_GATEWAY
from labkit.networks.model import CONTAINER_MODE, DEFAULT_NETWORK

NAMES = {
    "hostname": "the host name, for programs that read it from a file",
    "hosts": "the names that this container knows without DNS",
    "resolv.conf": "the DNS servers that this container asks",
}
_NOT_TOLD = ("HOME", "PATH")
"""Every container has these variables, so a linked container does not get them."""
_SYSTEMD_STUBS = {"127.0.0.53", "127.0.0.54"}
_SYSTEMD_SERVERS = "/run/systemd/resolve/resolv.conf"


def folder_of(parts: Parts, container: Container) -> str:
    """The folder of the files; a container that shares another's network shares its files too."""
    mode = container.host_config.network_mode
    owner = mode.removeprefix(CONTAINER_MODE) if mode.startswith(CONTAINER_MODE) else container.id
    return parts.records.folder(owner)


def texts(parts: Parts, container: Container, sandbox: Sandbox) -> dict[str, str]:
    """The contents of the files, by name, for a run with this sandbox."""
    return {
        "hostname": f"{container.config.hostname}\n",
        "hosts": _hosts(parts, container, sandbox),
        "resolv.conf": _resolv_conf(container, sandbox),
    }


def _hosts(parts: Parts, container: Container, sandbox: Sandbox) -> str:
    host = container.host_config
    extra = [_resolved(parts, text) for text in host.extra_hosts or []]
    if host.network_mode == "host":
        given = files.text_of("/etc/hosts") or etc_files.LOCALHOST
        return given + etc_files.hosts((), extra).removeprefix(etc_files.LOCALHOST)
    name = own_names(container)
    own = [
        (address, name)
        for endpoint in sandbox.endpoints
        for address in (endpoint.ipv4_address, endpoint.ipv6_address)
        if address
    ]
    return etc_files.hosts(own, extra, _linked(parts, container) if own else ())


def own_names(container: Container) -> str:
    """Its full name and, if that has a domain, the short one, in the form of /etc/hosts."""
    config = container.config
    whole = ".".join(filter(None, (config.hostname, config.domainname)))
    short = whole.partition(".")[0]
    return whole if short == whole else f"{whole} {short}"


def _resolved(parts: Parts, text: str) -> str:
    """Replace `host-gateway` in `--add-host name:host-gateway` by the host's address."""
    name, address = etc_files.split_extra_host(text)
    if address == HOST_GATEWAY:
        address = parts.defaults.host_gateway or parts.networks.default().ipam.config[0].gateway
    return f"{name}={address}"


def check_links(parts: Parts, container: Container) -> None:
    """StartError if a container named by `--link` does not run."""
    for link in _links(parts, container):
        if link.endpoint is None:
            raise StartError(
                f"Cannot link to a non running container: /{link.ref} AS "
                f"/{container.name}/{link.alias}: start {link.ref} on the default network first"
            )


def _linked(parts: Parts, container: Container) -> list[str]:
    """Lines for the containers of `--link`: address, alias, host name, name."""
    return [
        f"{link.endpoint.ipv4_address}\t{' '.join(dict.fromkeys([link.alias, *link.names]))}"
        for link in _links(parts, container)
        if link.endpoint is not None
    ]


def link_environment(parts: Parts, container: Container) -> list[str]:
    """The variables that describe the containers of `--link`: `DB_PORT_5432_TCP_ADDR=…`.

    The variables of the linked containers are among them: `DB_ENV_NAME=value`.
    """
    found = []
    for link in _links(parts, container):
        if link.endpoint is None:
            continue
        name = link.alias.replace("-", "_").upper()
        other = parts.lookup.find(link.ref).container
        address = link.endpoint.ipv4_address
        found.append(f"{name}_NAME=/{container.name}/{link.alias}")
        exposed = sorted(
            ports.parse_exposed(filter(ports.is_known, other.config.exposed_ports or ()))
        )
        for index, (port, protocol) in enumerate(exposed):
            url = f"{protocol}://{address}:{port}"
            begin = f"{name}_PORT_{port}_{protocol.upper()}"
            found += [f"{name}_PORT={url}"] if not index else []
            found += [f"{begin}={url}", f"{begin}_ADDR={address}", f"{begin}_PORT={port}",
                      f"{begin}_PROTO={protocol}"]  # fmt: skip
        own = (word for word in other.config.env or () if word.partition("=")[0] not in _NOT_TOLD)
        found += [f"{name}_ENV_{word}" for word in own if "=" in word]
    return found


class _Link(NamedTuple):
    """One `--link` on the default network."""

    ref: str
    alias: str
    names: tuple[str, ...] = ()
    """The linked container's host name, and its name."""
    endpoint: Endpoint | None = None
    """The linked container's endpoint on the network; None if it has none now."""


def _links(parts: Parts, container: Container) -> Iterator[_Link]:
    """A container's links on the default network, where only files can give their names."""
    if container.host_config.network_mode != DEFAULT_NETWORK or not container.host_config.links:
        return
    members = parts.networks.members(parts.networks.default())
    for ref, alias in map(split_link, container.host_config.links):
        try:
            other = parts.lookup.find(ref).container
        except NotFoundError:
            yield _Link(ref, alias)
            continue
        known = (other.config.hostname, other.name)
        yield _Link(ref, alias, known, members.get(other.id))


def split_link(text: str) -> tuple[str, str]:
    """Split `container:alias`; the alias is the container's name if there is none."""
    ref, colon, alias = text.partition(":")
    return ref.removeprefix("/"), alias.rpartition("/")[2] if colon else ref.removeprefix("/")


def host_resolver() -> etc_files.Resolver:
    """The host's resolv.conf; if that names systemd's stub server, the servers behind it."""
    found = etc_files.parse_resolver(files.text_of("/etc/resolv.conf"))
    if not found.servers or set(found.servers) - _SYSTEMD_STUBS:
        return found
    behind = etc_files.parse_resolver(files.text_of(_SYSTEMD_SERVERS))
    return behind if behind.servers else found


def _resolv_conf(container: Container, sandbox: Sandbox) -> str:
    host = container.host_config
    asked = (host.dns, host.dns_search, host.dns_options)
    if not sandbox.endpoints and not any(asked):
        return files.text_of("/etc/resolv.conf")
    resolver = etc_files.resolver_for(
        host_resolver(),
        servers=host.dns or (),
        search=host.dns_search or (),
        options=host.dns_options or (),
    )
    if sandbox.asks_labkit:
        resolver = etc_files.asks_labkit(resolver)
    return etc_files.resolv_conf(resolver)
