"""`daemon.json` in the data root: what the administrator says once for all, by Docker's names."""

import os
from typing import TypeVar

import msgspec

from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError

FILE = "daemon.json"
T = TypeVar("T", bound=msgspec.Struct)


class Startup(msgspec.Struct, rename="kebab"):
    """What labkitd reads once, when it starts."""

    userns_remap: str = ""
    """As the option `--userns-remap`."""


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
    configured = read(root, Startup).userns_remap
    if option and configured and option != configured:
        raise InvalidParameterError(
            "the following directives are specified both as a flag and in the configuration file: "
            f"userns-remap: (from flag: {option}, from file: {configured})"
        )
    return option or configured
