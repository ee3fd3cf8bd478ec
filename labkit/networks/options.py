"""The options of a network (`network create -o`): those of Docker's drivers.

Each option that one of Docker's drivers knows either has its effect or is refused with the reason.
An unknown option is an error: its user may rely on it for protection, so it must not be ignored.
Source: https://docs.docker.com/engine/network/drivers/bridge/#options
"""

import re
from collections.abc import Callable, Mapping

from labkit.dialect.numbers import whole
from labkit.errors import InvalidParameterError
from labkit.kernel.network.links import LONGEST_NAME
from labkit.networks.addresses import parse_address

_BRIDGE = "com.docker.network.bridge"
NAME = f"{_BRIDGE}.name"
MASQUERADE = f"{_BRIDGE}.enable_ip_masquerade"
BINDING = {4: f"{_BRIDGE}.host_binding_ipv4", 6: f"{_BRIDGE}.host_binding_ipv6"}
"""The host's address for published ports that name none, by version of IP."""
SOURCE = {4: "com.docker.network.host_ipv4", 6: "com.docker.network.host_ipv6"}
"""The source address of packets that leave the host, by version of IP."""
MTU = "com.docker.network.driver.mtu"
ICC = f"{_BRIDGE}.enable_icc"
"""Whether the containers of a network can reach each other."""
PREFIX = "com.docker.network.container_iface_prefix"
"""How the names of interfaces in containers begin."""
IFNAME = "com.docker.network.endpoint.ifname"
"""An endpoint's option: the name of the interface in the container."""
GATEWAY_MODE = {4: f"{_BRIDGE}.gateway_mode_ipv4", 6: f"{_BRIDGE}.gateway_mode_ipv6"}
NAT, UNPROTECTED, ROUTED, ISOLATED = MODES = ("nat", "nat-unprotected", "routed", "isolated")
"""Modes of a gateway.

With `nat`, packets that leave have the host's address, and only published ports are reachable.
With `nat-unprotected` every port is, for a neighbour that has a route.  With `routed` packets keep
their addresses, and the published ports are reachable at the container's.  With `isolated` an
internal network's bridge has no address, so that the containers do not reach the host either.
"""
PARENT = "parent"
LINK_MODE = {"macvlan": "macvlan_mode", "ipvlan": "ipvlan_mode"}
LINK_FLAG = "ipvlan_flag"
SMALLEST_MTU = 68

_LINK_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
_TRUE, _FALSE = (
    frozenset("1 t T TRUE true True".split()),
    frozenset("0 f F FALSE false False".split()),
)


def check(options: Mapping[str, str], driver: str = "bridge") -> None:
    """InvalidParameterError for an option that is unknown, malformed, or not supported."""
    checks = _CHECKS[driver]
    for option, value in options.items():
        if option not in checks and not _has_meaning(option):
            continue  # a word for other programs: it is kept and shown, as by Docker
        if option not in checks:
            known = ", ".join(sorted(checks))
            raise InvalidParameterError(
                f"unknown option {option}={value}: the options of a {driver} network are {known}"
            )
        checks[option](option, value)


def _has_meaning(option: str) -> bool:
    """Whether Docker or another driver acts on it: without an effect here, it is refused."""
    return option.startswith("com.docker.") or any(option in each for each in _CHECKS.values())


def is_on(options: Mapping[str, str], option: str, *, default: bool) -> bool:
    """Whether an option is on, by the words of Go's ParseBool.  InvalidParameterError."""
    value = options.get(option, "")
    if not value:
        return default
    if value not in _TRUE | _FALSE:
        raise InvalidParameterError(f"invalid option {option}={value}: it must be true or false")
    return value in _TRUE


def check_name(option: str, value: str) -> None:
    """InvalidParameterError if a link cannot have that name; empty leaves the choice to labkit."""
    is_name = len(value) <= LONGEST_NAME and _LINK_NAME.fullmatch(value)
    if value and (not is_name or value in (".", "..")):  # the kernel has a folder for each link
        raise InvalidParameterError(
            f"invalid option {option}={value}: a link's name has at most {LONGEST_NAME} "
            "letters, digits, and _.-"
        )


def _check_mtu(option: str, value: str) -> None:
    if value and whole(value, SMALLEST_MTU, 65535) is None:
        raise InvalidParameterError(
            f"invalid option {option}={value}: it must be {SMALLEST_MTU}-65535"
        )


def _check_switch(option: str, value: str) -> None:
    is_on({option: value}, option, default=True)


def _address(version: int) -> Callable[[str, str], None]:
    def check_address(option: str, value: str) -> None:
        address = parse_address(value) if value else None
        if address and address.version != version:
            raise InvalidParameterError(
                f"invalid option {option}={value}: it must be an address of IPv{version}"
            )
        if address and version == 6 and address.is_loopback:
            raise InvalidParameterError(
                f"labkit does not support {option}={value}: the kernel has no route from IPv6's "
                f"loopback to a container: use {BINDING[4]}=127.0.0.1"
            )

    return check_address


def _only(supported: str, why: str) -> Callable[[str, str], None]:
    """A check for an option of which labkit supports only the default value."""
    same = _TRUE if supported == "true" else _FALSE if supported == "false" else {supported}

    def refuse(option: str, value: str) -> None:
        if value and value not in same:
            raise InvalidParameterError(f"labkit does not support {option}={value}: {why}")

    return refuse


def _word(*words: str) -> Callable[[str, str], None]:
    """An option whose value is one of some words."""

    def check_word(option: str, value: str) -> None:
        if value and value not in words:
            raise InvalidParameterError(
                f"invalid option {option}={value}: it must be {_either(words)}"
            )

    return check_word


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


_OF_BRIDGE: dict[str, Callable[[str, str], None]] = {
    NAME: check_name,
    MTU: _check_mtu,
    PREFIX: check_name,
    MASQUERADE: _check_switch,
    ICC: _check_switch,
    **{option: _address(version) for version, option in (*BINDING.items(), *SOURCE.items())},
    **dict.fromkeys(GATEWAY_MODE.values(), _word(*MODES)),
    f"{_BRIDGE}.inhibit_ipv4": _only(
        "false", "the bridge has the gateway's address; use --internal for a network without one"
    ),
    f"{_BRIDGE}.trusted_host_interfaces": _only(
        "", "no link of the host may reach ports that are not published: publish them with -p"
    ),
}
_OF_LINKS = {PARENT: check_name, MTU: _check_mtu, PREFIX: check_name}
_CHECKS: dict[str, dict[str, Callable[[str, str], None]]] = {
    "bridge": _OF_BRIDGE,
    "macvlan": {
        **_OF_LINKS,
        LINK_MODE["macvlan"]: _word("bridge", "private", "vepa", "passthru"),
    },
    "ipvlan": {
        **_OF_LINKS,
        LINK_MODE["ipvlan"]: _word("l2", "l3", "l3s"),
        LINK_FLAG: _word("bridge", "private", "vepa"),
    },
}
