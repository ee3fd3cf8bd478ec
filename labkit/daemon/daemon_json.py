"""`daemon.json` in the data root: what the administrator says once for all, by Docker's names."""

import os
from typing import TypeVar

import msgspec

from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError
from labkit.networks.defaults import Defaults, check_bip, pool
from labkit.networks.subnets import POOLS

FILE = "daemon.json"
T = TypeVar("T", bound=msgspec.Struct)


class AddressPool(msgspec.Struct):
    """A range of addresses, and the length of the prefix of each subnet that is taken from it."""

    base: str
    size: int


class Startup(msgspec.Struct, rename="kebab"):
    """What labkitd reads once, when it starts."""

    userns_remap: str = ""
    """As the option `--userns-remap`."""
    default_address_pools: list[AddressPool] = msgspec.field(default_factory=list)
    """Where the subnets of networks come from."""
    bip: str = ""
    """The address of the default network's bridge, with the length of its prefix."""
    storage_driver: str = ""
    """As the option `--storage-driver`."""


def read(root: str, part: type[T]) -> T:
    """Some of the settings under this data root; the defaults when the file is not there.

    Raises `InvalidParameterError` when it cannot be understood.
    """
    path = os.path.join(root, FILE)
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=part)
    except FileNotFoundError:
        return part()
    except UNREADABLE as error:
        raise InvalidParameterError(f"{path} cannot be read: {error}; correct it") from None


def userns_remap(root: str, option: str) -> str:
    """Whose ids containers have, by the option or the file; not by both (Docker's rule)."""
    return _settled("userns-remap", option, read(root, Startup).userns_remap)


def storage_driver(root: str, option: str) -> str:
    """The storage driver that is asked for, by the option or the file; "" if none is."""
    return _settled("storage-driver", option, read(root, Startup).storage_driver)


def _settled(name: str, option: str, configured: str) -> str:
    if option and configured and option != configured:
        raise InvalidParameterError(
            "the following directives are specified both as a flag and in the configuration file: "
            f"{name}: (from flag: {option}, from file: {configured})"
        )
    return option or configured


def network_defaults(root: str) -> Defaults:
    """What the file says of addresses; InvalidParameterError."""
    said = read(root, Startup)
    pools = [pool(each.base, each.size) for each in said.default_address_pools]
    return Defaults(pools or POOLS, check_bip(said.bip) if said.bip else "")
