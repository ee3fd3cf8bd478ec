"""The networks that a new container asks for: checked, and by the networks' names."""

import ipaddress
import re
from collections.abc import Mapping

from labkit.containers.given.etc_files import split_link
from labkit.containers.parts import Parts
from labkit.containers.records.model import ContainerConfig, HostConfig
from labkit.errors import InvalidParameterError, NotFoundError
from labkit.networks import EndpointConfig, Network, options, ports
from labkit.networks.addresses import parse_address
from labkit.networks.model import CONTAINER_MODE, DEFAULT_NETWORK, EndpointIpam

_OWN_NETWORK_ONLY = {
    "hostname": "hostname and the network mode",
    "port_bindings": "port publishing and the container type network mode",
    "publish_all_ports": "port publishing and the container type network mode",
    "dns": "dns and the network mode",
    "extra_hosts": "custom host-to-IP mapping and the network mode",
    "links": "container type network can't be used with links. "
    "This would result in undefined behavior",
    "mac_address": "mac-address and the network mode",
    "exposed_ports": "port exposing and the container type network mode",
}
"""Options that a container cannot have if it shares another container's network, in Docker's words:
programs match them."""


def settle(
    parts: Parts, config: ContainerConfig, host: HostConfig, asked: Mapping[str, EndpointConfig]
) -> dict[str, EndpointConfig]:
    """Check what a new container asks of networks; return the settings by network name.

    The first network is that of its network mode, which becomes a network's name.  NotFoundError,
    InvalidParameterError.
    """
    if config.network_disabled:
        host.network_mode, asked = "none", {}
    ports.wishes(host.port_bindings, config.exposed_ports or (), publish_all=False)
    check_mac(config.mac_address)
    for server in host.dns or ():
        parse_address(server, may_have_zone=True)
    aliases = (alias for _, alias in map(split_link, host.links or ()))
    _check_words(*(host.dns_search or ()), *(host.dns_options or ()), *aliases)
    if host.network_mode == CONTAINER_MODE:
        raise InvalidParameterError(
            "invalid network mode: invalid container format container:<name|id>"
        )
    if host.network_mode.startswith(CONTAINER_MODE):
        _settle_shared(parts, config, host, asked)
        return {}
    try:
        mode = parts.networks.find(host.network_mode or DEFAULT_NETWORK)
    except NotFoundError:
        # The network may exist at the start, as in Docker.
        return {host.network_mode: EndpointConfig(), **asked}
    if mode.is_default:
        for ref, _ in map(split_link, host.links or ()):
            parts.lookup.find(ref)
    wanted = {mode.name: EndpointConfig()}
    for ref, endpoint in asked.items():
        network = parts.networks.find(ref)
        if not mode.gives_addresses and network is not mode:
            raise InvalidParameterError(
                f"container cannot be connected to multiple networks with one of the networks in "
                f"{mode.name} mode"
            )
        check_endpoint(network, endpoint)
        wanted[network.name] = endpoint
    host.network_mode = mode.name
    return wanted


def _check_words(*words: str) -> None:
    """InvalidParameterError for a text that would become several words or lines in /etc."""
    for word in words:
        if not word.isprintable() or " " in word:
            raise InvalidParameterError(f"invalid name or option {word!r}: it has blanks in it")


def _settle_shared(
    parts: Parts, config: ContainerConfig, host: HostConfig, asked: Mapping[str, EndpointConfig]
) -> None:
    for field, words in _OWN_NETWORK_ONLY.items():
        if getattr(host, field, None) or getattr(config, field, None):
            raise InvalidParameterError(f"conflicting options: {words}")
    for endpoint in asked.values():
        for wanted, words in ((endpoint.aliases, "network aliases"), (endpoint.links, "links")):
            if wanted:
                raise InvalidParameterError(
                    f"conflicting options: {words} and the container type network mode"
                )
    try:
        other = parts.lookup.find(host.network_mode.removeprefix(CONTAINER_MODE)).container
    except NotFoundError:
        return  # the container may exist at the start, as in Docker
    host.network_mode = f"{CONTAINER_MODE}{other.id}"
    config.hostname, config.domainname = other.config.hostname, other.config.domainname


def check_endpoint(network: Network, wanted: EndpointConfig) -> None:
    """InvalidParameterError if a network cannot do what a container asks of it."""
    wish = wanted.ipam_config or EndpointIpam()
    check_mac(wanted.mac_address)
    options.check_name(options.IFNAME, (wanted.driver_opts or {}).get(options.IFNAME, ""))
    for text in wish.link_local_ips or ():
        if not parse_address(text).is_link_local:
            raise InvalidParameterError(
                f"invalid link local IP address: {text}: it must be in 169.254.0.0/16 or fe80::/10"
            )
    if wanted.aliases and network.is_default:
        raise InvalidParameterError(
            "network-scoped alias is supported only for containers in user defined networks"
        )
    if not (wish.ipv4_address or wish.ipv6_address):
        return
    if not network.gives_addresses or network.is_default:
        raise InvalidParameterError(
            "user specified IP address is supported on user defined networks only"
        )
    if (wish.ipv4_address and network.chosen) or (wish.ipv6_address and 6 not in network.versions):
        raise InvalidParameterError(
            "user specified IP address is supported only when connecting to networks with user "
            "configured subnets"
        )
    subnets = [ipaddress.ip_network(part.subnet) for part in network.ipam.config]
    for text in filter(None, (wish.ipv4_address, wish.ipv6_address)):
        address = parse_address(text)
        if not any(address in subnet for subnet in subnets):
            raise InvalidParameterError(
                f"no configured subnet or ip-range contain the IP address {text}"
            )


def check_mac(text: str) -> None:
    """InvalidParameterError for a hardware address that no interface may have."""
    is_address = re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", text)
    if text and not (is_address and int(text[:2], 16) % 2 == 0 and int(text.replace(":", ""), 16)):
        raise InvalidParameterError(
            f"invalid MAC address {text}: it must be six pairs of hexadecimal digits separated by "
            ":, the first pair even, such as 02:42:ac:11:00:02"
        )
