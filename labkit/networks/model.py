"""The records of a network, and of a running container's part in it.

`Network` is a record on disk (`networks/<id>.json`).  A `Sandbox` belongs to one run of a
container: its interfaces, addresses and published ports.  It is written to the container's folder
before the start.  The addresses in use are those in the sandboxes of the running containers.
"""

import msgspec

from labkit.networks import options as known_options

EVERY_IPV4, EVERY_IPV6 = "0.0.0.0", "::"  # noqa: S104 as users write it
BRIDGE, HOST, NONE = "bridge", "host", "null"
DEFAULT_NETWORK = "bridge"
CONTAINER_MODE = "container:"

_DOCKER_NAMES = {
    "ip_range": "IPRange",
    "enable_ipv6": "EnableIPv6",
    "ipv4_address": "IPv4Address",
    "ipv6_address": "IPv6Address",
    "link_local_ips": "LinkLocalIPs",
    "ipam": "IPAM",
    "ipam_config": "IPAMConfig",
}


def docker_name(field: str) -> str:
    """The API's spelling of a field, such as `IPRange` for `ip_range`."""
    return _DOCKER_NAMES.get(field) or "".join(word.capitalize() for word in field.split("_"))


class IpamConfig(msgspec.Struct, rename=docker_name):
    """One subnet of a network, in CIDR notation."""

    subnet: str = ""
    ip_range: str = ""
    """The range for addresses if none is asked for; empty for the whole subnet."""
    gateway: str = ""
    auxiliary_addresses: dict[str, str] = msgspec.field(default_factory=dict)
    """Addresses that something else uses: no container ever gets them."""


class Ipam(msgspec.Struct, rename=docker_name):
    """The assignment of addresses."""

    driver: str = "default"
    options: dict[str, str] | None = None
    config: list[IpamConfig] = msgspec.field(default_factory=list)


class Network(msgspec.Struct, rename=docker_name):
    """One network, as it is written to disk."""

    name: str
    id: str
    created: str
    driver: str = BRIDGE
    enable_ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    ipam: Ipam = msgspec.field(default_factory=Ipam)
    options: dict[str, str] = msgspec.field(default_factory=dict)
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    bridge: str = ""
    """The name of its bridge on the host."""
    chosen: list[str] = msgspec.field(default_factory=list)
    """The subnets that labkit chose; it chooses others if another program uses them."""
    hides: str = ""
    """The route of this machine, such as a VPN's, of which the chosen subnet hides a part."""

    @property
    def is_default(self) -> bool:
        """Whether containers join it by default."""
        return self.name == DEFAULT_NETWORK

    @property
    def warning(self) -> str:
        """A warning for the user if its subnet hides addresses that this machine can reach."""
        if not self.hides:
            return ""
        return (
            f"network {self.name}: every subnet is within a route of this machine; "
            f"{', '.join(self.chosen)} hides the least of them, a part of {self.hides}"
        )

    @property
    def masquerades(self) -> bool:
        """Whether packets that leave it get the host's own address."""
        return known_options.is_on(self.options, known_options.MASQUERADE, default=True)

    @property
    def versions(self) -> set[int]:
        """The versions of IP that its containers can use."""
        return {6 if ":" in config.subnet else 4 for config in self.ipam.config}

    @property
    def binding(self) -> list[str]:
        """The host's addresses for published ports that name none.

        If only an IPv4 address is set, IPv6 is left out, as in Docker: a user who
        asks for 127.0.0.1 does not ask for every IPv6 address.
        """
        ipv4 = self.options.get(known_options.BINDING[4]) or EVERY_IPV4
        ipv6 = self.options.get(known_options.BINDING[6]) or (
            EVERY_IPV6 if ipv4 == EVERY_IPV4 else ""
        )
        return [ipv4, ipv6] if ipv6 else [ipv4]


class EndpointIpam(msgspec.Struct, rename=docker_name):
    """The addresses that a container asks for on a network."""

    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: list[str] | None = None


class EndpointConfig(msgspec.Struct, rename=docker_name):
    """A container's settings on one network, as in Docker's API (`EndpointsConfig`)."""

    ipam_config: EndpointIpam | None = None
    links: list[str] | None = None
    aliases: list[str] | None = None
    mac_address: str = ""
    driver_opts: dict[str, str] | None = None
    gw_priority: int = 0
    """The container's network with the highest priority has its default route."""


class Endpoint(msgspec.Struct, rename=docker_name):
    """A running container's connection to one network: a cable, and the addresses at its end."""

    id: str
    network_id: str
    interface: str
    """The name of the cable's end inside, such as `eth0`."""
    host_interface: str
    """The name of its end on the host, which is attached to the bridge."""
    mac: str
    ipv4_address: str
    ipv4_prefix: int
    names: list[str]
    """The names by which others on the network find it."""
    links: dict[str, str] = msgspec.field(default_factory=dict)
    """Aliases that only this container has for others here (`--link`), with their names."""
    bridge: str = ""
    """The bridge that the cable is attached to."""
    gateway: str = ""
    """The bridge's own address, for packets to elsewhere; empty on an internal network."""
    ipv6_address: str = ""
    ipv6_prefix: int = 0
    ipv6_gateway: str = ""
    mtu: int = 1500
    priority: int = 0
    """The endpoint with the highest priority has the default route."""
    isolated: bool = False
    """Whether the container reaches the bridge, but no other container on it."""


class PublishedPort(msgspec.Struct, rename=docker_name, frozen=True):
    """A port of the host whose packets are sent to a container."""

    host_ip: str
    host_port: int
    protocol: str
    container_port: int


class Sandbox(msgspec.Struct, rename=docker_name):
    """The interfaces, addresses and ports of one run of a container."""

    container_id: str
    endpoints: list[Endpoint] = msgspec.field(default_factory=list)
    """The first is on the network that the container was made for."""
    ports: list[PublishedPort] = msgspec.field(default_factory=list)
    asks_labkit: bool = False
    """Whether the container asks labkit's DNS server, inside."""
    dns: list[str] = msgspec.field(default_factory=list)
    """The DNS servers for names that no network knows."""
