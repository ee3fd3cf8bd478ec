"""From what is asked of a new network to its record: names, subnets and options, checked."""

import re
from collections.abc import Mapping

from labkit.dialect.numbers import whole
from labkit.errors import ConflictError, InvalidParameterError
from labkit.kernel.links import LONGEST_NAME
from labkit.networks import subnets
from labkit.networks.addresses import AddressSpace, Subnet, parse_address, parse_subnet
from labkit.networks.bridges import MTU_OPTION
from labkit.networks.model import BRIDGE, IpamConfig, Network

NAME_OPTION = "com.docker.network.bridge.name"
ICC_OPTION = "com.docker.network.bridge.enable_icc"
SMALLEST_MTU = 68
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_LINK_NAME = re.compile(r"[a-zA-Z0-9_.-]+")


def check(network: Network) -> None:
    """InvalidParameterError for what cannot be, before anything is claimed."""
    if not _NAME.fullmatch(network.name):
        raise InvalidParameterError(
            f"invalid network name {network.name!r}: letters, digits, and _.- after the first"
        )
    if network.driver != BRIDGE:
        raise InvalidParameterError(
            f'could not find plugin "{network.driver}": labkit has the driver bridge'
        )
    if network.ipam.driver not in ("", "default"):
        raise InvalidParameterError(
            f'could not find IPAM plugin "{network.ipam.driver}": labkit has the driver default'
        )
    _check_options(network.options)
    for config in network.ipam.config:
        _check_config(config)


def _check_options(options: Mapping[str, str]) -> None:
    mtu = options.get(MTU_OPTION)
    if mtu and whole(mtu, SMALLEST_MTU, 65535) is None:
        raise InvalidParameterError(
            f"invalid option {MTU_OPTION}={mtu}: it is {SMALLEST_MTU}-65535"
        )
    name = options.get(NAME_OPTION, "")
    if name and (len(name) > LONGEST_NAME or not _LINK_NAME.fullmatch(name)):
        raise InvalidParameterError(
            f"invalid option {NAME_OPTION}={name}: a link's name has at most {LONGEST_NAME} "
            "letters, digits, and _.-"
        )
    if options.get(ICC_OPTION) == "false":
        raise InvalidParameterError(
            f"labkit does not support {ICC_OPTION}=false: containers of one network can always "
            "reach each other; put those that should not on networks of their own"
        )


def _check_config(config: IpamConfig) -> None:
    if not config.subnet:
        raise InvalidParameterError("--gateway and --ip-range need a --subnet")
    subnet = parse_subnet(config.subnet)
    smallest = 30 if subnet.version == 4 else 126
    if subnet.prefixlen > smallest:
        raise InvalidParameterError(
            f"invalid subnet {config.subnet}: no container has room in it, /{smallest} is the least"
        )
    if config.ip_range:
        within = parse_subnet(config.ip_range, exact=False)
        if within.version != subnet.version or not within.subnet_of(subnet):  # type: ignore[arg-type]
            raise InvalidParameterError(
                f"invalid ip-range {config.ip_range}: it is not part of the subnet {config.subnet}"
            )
    for address in filter(None, [config.gateway, *config.auxiliary_addresses.values()]):
        if parse_address(address) not in subnet:
            raise InvalidParameterError(
                f"invalid address {address}: it is not of the subnet {config.subnet}"
            )


def complete(network: Network, taken: list[Subnet], claims: subnets.Claims) -> None:
    """Give a network the subnets it lacks, and gateways.  ConflictError if one is in use.

    What is claimed is kept also when this fails: `give_up` releases it.
    """
    configs = network.ipam.config
    for config in configs:
        subnet = parse_subnet(config.subnet)
        other = subnets.overlaps(subnet, taken)
        if other is not None or not claims.claim(config.subnet):
            raise ConflictError(
                f"Pool overlaps with other one on this address space: {subnet} overlaps "
                f"{other or 'the subnet of another daemon'}"
            )
    versions = {parse_subnet(config.subnet).version for config in configs}
    if 4 not in versions:
        chosen = claims.choose(taken)
        network.chosen.append(chosen)
        configs.insert(0, IpamConfig(subnet=chosen))
    if network.enable_ipv6 and 6 not in versions:
        configs.append(IpamConfig(subnet=subnets.unique_local(network.id)))
    for config in configs:
        if not config.gateway:
            config.gateway = _first_address(config)


def _first_address(config: IpamConfig) -> str:
    return AddressSpace(config.subnet, config.ip_range, config.auxiliary_addresses.values()).take()


def give_up(network: Network, claims: subnets.Claims) -> None:
    """Let others have its subnets."""
    for config in network.ipam.config:
        claims.release(config.subnet)
