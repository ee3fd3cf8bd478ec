"""From the request for a network to its record: names, subnets and options, checked."""

from collections.abc import Sequence
from typing import NamedTuple

from labkit.errors import ConflictError, InvalidParameterError, NotFoundError
from labkit.networks import options, subnets
from labkit.networks.addresses import AddressSpace, Subnet, is_part, parse_address, parse_subnet
from labkit.networks.claims import Claims
from labkit.networks.model import BRIDGE, DRIVERS, IpamConfig, Network


def check(network: Network) -> None:
    """InvalidParameterError for a bad request, before anything is claimed."""
    if not network.name.strip() or "\0" in network.name:
        raise InvalidParameterError("invalid network name: it is either empty or only white space")
    if not network.gives_addresses:
        raise NotFoundError(
            f'plugin "{network.driver}" not found: labkit has the drivers {", ".join(DRIVERS)}'
        )
    if network.ipam.driver not in ("", "default"):
        raise InvalidParameterError(
            f'could not find IPAM plugin "{network.ipam.driver}": labkit has the driver default'
        )
    options.check(network.options, network.driver)
    is_isolated = any(network.gateway_mode(version) == options.ISOLATED for version in (4, 6))
    if is_isolated and not network.internal:
        raise InvalidParameterError(
            "gateway mode 'isolated' can only be used for an internal network: use --internal"
        )
    for config in network.ipam.config:
        _check_config(config)


def _check_config(config: IpamConfig) -> None:
    if not config.subnet:
        raise InvalidParameterError("--gateway and --ip-range need a --subnet")
    subnet = parse_subnet(config.subnet)
    smallest = 30 if subnet.version == 4 else 126
    if subnet.prefixlen > smallest:
        raise InvalidParameterError(
            f"invalid subnet {config.subnet}: no container has room in it; use /{smallest} or less"
        )
    if config.ip_range:
        within = parse_subnet(config.ip_range, exact=False)
        if not is_part(within, subnet):
            raise InvalidParameterError(
                f"invalid ip-range {config.ip_range}: it is not part of the subnet {config.subnet}"
            )
    for address in filter(None, [config.gateway, *config.auxiliary_addresses.values()]):
        if parse_address(address) not in subnet:
            raise InvalidParameterError(
                f"invalid address {address}: it is not of the subnet {config.subnet}"
            )


class Surroundings(NamedTuple):
    """The subnets that a new subnet must not overlap."""

    networks: list[Subnet]
    """The subnets of this engine's other networks."""
    machine: list[Subnet]
    """The machine's routes and addresses."""
    pools: Sequence[subnets.Pool] = subnets.POOLS

    def conflict(self, subnet: Subnet) -> Subnet | None:
        """The subnet that a requested one conflicts with.  A wider route is no conflict."""
        narrow = (other for other in self.machine if other.prefixlen >= subnet.prefixlen)
        return subnets.overlaps(subnet, [*self.networks, *narrow])


def settle(network: Network) -> None:
    """Decide what the options leave open: without a parent, a macvlan or ipvlan leads nowhere."""
    network.internal |= network.driver != BRIDGE and not network.parent


def complete(network: Network, around: Surroundings, claims: Claims) -> None:
    """Add the subnets and gateways that a network lacks.  ConflictError if one is in use.

    The claims remain even if this fails: `give_up` releases them.  A network that shares a link
    has the subnet of that link's neighbours, which this machine has a route to.
    """
    configs = network.ipam.config
    for config in configs:
        subnet = parse_subnet(config.subnet)
        if network.parent:
            other = subnets.overlaps(subnet, around.networks)
            if other is None:
                continue
        else:
            other = around.conflict(subnet)
        if other is not None or not claims.claim(config.subnet):
            raise ConflictError(
                f"Pool overlaps with other one on this address space: {subnet} overlaps "
                f"{other or 'the subnet of another daemon'}"
            )
    versions = {parse_subnet(config.subnet).version for config in configs}
    if 4 not in versions:
        found = subnets.choose([*around.networks, *around.machine], claims.claim, around.pools)
        network.chosen.append(found.subnet)
        network.hides = str(found.hidden or "")
        configs.insert(0, IpamConfig(subnet=found.subnet))
    if network.enable_ipv6 and 6 not in versions:
        configs.append(IpamConfig(subnet=subnets.unique_local(network.id)))
    for config in configs:
        if not config.gateway:
            config.gateway = _first_address(config)


def _first_address(config: IpamConfig) -> str:
    return AddressSpace(config.subnet, config.ip_range, config.auxiliary_addresses.values()).take()


def give_up(network: Network, claims: Claims) -> None:
    """Release the claims of its subnets."""
    for config in network.ipam.config:
        claims.release(config.subnet)
