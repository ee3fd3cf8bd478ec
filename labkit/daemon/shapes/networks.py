"""A network's JSON, and a container's endpoints on networks."""

import msgspec

from labkit.containers import Container, Engine
from labkit.containers.given.networking import dns_names
from labkit.errors import NotFoundError
from labkit.networks import Endpoint, EndpointConfig, Network, Sandbox, ports
from labkit.networks.model import CONTAINER_MODE, IpamConfig

JsonObject = dict[str, object]


def network(engine: Engine, found: Network, *, with_members: bool) -> JsonObject:
    """One element of `GET /networks`, and the answer of `GET /networks/{id}`."""
    members = _members(engine, found) if with_members else {}
    return {
        "Name": found.name,
        "Id": found.id,
        "Created": found.created,
        "Scope": "local",
        "Driver": found.driver,
        "EnableIPv4": True,
        "EnableIPv6": found.enable_ipv6,
        "IPAM": {
            "Driver": found.ipam.driver or "default",
            "Options": found.ipam.options,
            "Config": [_ipam(each) for each in found.ipam.config] or None,
        },
        "Internal": found.internal,
        "Attachable": found.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": members,
        "Options": _options(found),
        "Labels": found.labels,
    }


def _ipam(config: IpamConfig) -> JsonObject:
    shown: JsonObject = msgspec.to_builtins(config)
    return {name: value for name, value in shown.items() if value}


def _options(found: Network) -> dict[str, str]:
    """The network's options, for the default network with the name of its bridge."""
    known = {"com.docker.network.bridge.name": found.bridge} if found.is_default else {}
    return {**known, **found.options}


def _members(engine: Engine, found: Network) -> JsonObject:
    names = {container.id: container for container in engine.list()}
    shown: JsonObject = {}
    for container_id, endpoint in engine.networks.members(found).items():
        if container_id in names:
            shown[container_id] = _member(names[container_id].name, endpoint)
    if not found.gives_addresses:
        for container in names.values():
            mode = container.host_config.network_mode
            if mode == found.name and container.state.status == "running":
                shown[container.id] = _member(container.name, None)
    return shown


def _member(name: str, endpoint: Endpoint | None) -> JsonObject:
    if endpoint is None:
        fields = ("EndpointID", "MacAddress", "IPv4Address", "IPv6Address")
        return {"Name": name, **dict.fromkeys(fields, "")}
    ipv6 = f"{endpoint.ipv6_address}/{endpoint.ipv6_prefix}" if endpoint.ipv6_address else ""
    return {
        "Name": name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac,
        "IPv4Address": f"{endpoint.ipv4_address}/{endpoint.ipv4_prefix}",
        "IPv6Address": ipv6,
    }


def _sandbox(engine: Engine, container: Container) -> Sandbox:
    return engine.networks.sandbox(container.id) or Sandbox(container.id)


def endpoints(engine: Engine, container: Container) -> JsonObject:
    """A container's endpoints, by the network's name."""
    mode = container.host_config.network_mode
    if mode.startswith(CONTAINER_MODE):
        return {}
    had = {endpoint.network_id: endpoint for endpoint in _sandbox(engine, container).endpoints}
    shown: JsonObject = {}
    for name, wanted in (container.networks or {mode: EndpointConfig()}).items():
        try:
            found = engine.networks.find(name)
        except NotFoundError:  # it was removed while the container did not run
            shown[name] = _endpoint(container, Network(name, "", ""), wanted, None)
            continue
        shown[name] = _endpoint(container, found, wanted, had.get(found.id))
    return shown


def _endpoint(
    container: Container, found: Network, wanted: EndpointConfig, had: Endpoint | None
) -> JsonObject:
    ipam = wanted.ipam_config
    asked = msgspec.to_builtins(ipam) if ipam else {}
    gives_addresses = found.gives_addresses
    has_run = had is not None or container.state.status != "created"
    names = dns_names(container, found, wanted) if gives_addresses else []
    return {
        "IPAMConfig": {name: value for name, value in asked.items() if value} if ipam else None,
        "Links": wanted.links,
        "Aliases": wanted.aliases,
        "MacAddress": had.mac if had else wanted.mac_address,
        "DriverOpts": wanted.driver_opts,
        "NetworkID": found.id if has_run or not gives_addresses else "",
        "EndpointID": had.id if had else "",
        "Gateway": had.gateway if had else "",
        "IPAddress": had.ipv4_address if had else "",
        "IPPrefixLen": had.ipv4_prefix if had else 0,
        "IPv6Gateway": had.ipv6_gateway if had else "",
        "GlobalIPv6Address": had.ipv6_address if had else "",
        "GlobalIPv6PrefixLen": had.ipv6_prefix if had else 0,
        "DNSNames": names or None,
        "GwPriority": wanted.gw_priority,
    }


def settings(engine: Engine, container: Container) -> JsonObject:
    """`NetworkSettings` of `inspect`; the addresses at its top are those on the default network."""
    every = endpoints(engine, container)
    on_default: object = every.get("bridge") or {}
    assert isinstance(on_default, dict)  # noqa: S101 made above
    texts = ("EndpointID", "Gateway", "GlobalIPv6Address", "IPAddress", "IPv6Gateway", "MacAddress")
    numbers = ("GlobalIPv6PrefixLen", "IPPrefixLen")
    pid = container.state.pid
    return {
        "Bridge": "",
        "SandboxID": container.id if pid else "",
        "SandboxKey": f"/proc/{pid}/ns/net" if pid else "",
        "Ports": port_map(engine, container),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **{name: on_default.get(name) or "" for name in texts},
        **{name: on_default.get(name) or 0 for name in numbers},
        "Networks": every,
    }


def port_map(engine: Engine, container: Container) -> JsonObject:
    """The published and the exposed ports: `{"80/tcp": [{"HostIp", "HostPort"}]}`."""
    sandbox = engine.networks.sandbox(container.id)
    if sandbox is None or not sandbox.endpoints:
        return {}
    shown: dict[str, list[dict[str, str]]] = {}
    for port in sandbox.ports:
        places = shown.setdefault(f"{port.container_port}/{port.protocol}", [])
        places.append({"HostIp": port.host_ip, "HostPort": str(port.host_port or "")})
    exposed = dict.fromkeys(container.config.exposed_ports or ())
    return {**exposed, **shown}


def port_list(engine: Engine, container: Container) -> list[JsonObject]:
    """The ports in the form of `ps`: one object for each."""
    sandbox = engine.networks.sandbox(container.id)
    if sandbox is None or not sandbox.endpoints:
        return []
    published = {(port.container_port, port.protocol) for port in sandbox.ports}
    exposed = ports.parse_exposed(
        text for text in container.config.exposed_ports or () if ports.is_known(text)
    )
    only_exposed: list[JsonObject] = [
        {"PrivatePort": number, "Type": protocol}
        for number, protocol in exposed
        if (number, protocol) not in published
    ]
    return only_exposed + [
        {
            "IP": port.host_ip,
            "PrivatePort": port.container_port,
            **({"PublicPort": port.host_port} if port.host_port else {}),
            "Type": port.protocol,
        }
        for port in sandbox.ports
    ]
