"""Which of an index's images suits a machine: `linux/amd64`, `linux/arm/v7`."""

import os
import re
from collections.abc import Sequence

from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images.models import Descriptor, Platform

_PART = re.compile(r"[a-z0-9_-]+")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
OTHER_NAMES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm"}
VARIANTS = {"arm": "v7", "arm64": "v8"}
"""What an architecture without a variant means."""


def parse(text: str) -> Platform:
    """`os`, `architecture` or `os/architecture[/variant]`; this machine's when empty.

    Raises `InvalidParameterError`.
    """
    parts = text.lower().split("/") if text else []
    if len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts):
        raise InvalidParameterError(
            f'"{text}" is an invalid component or platform specifier: '
            "os/architecture[/variant] is needed, such as linux/arm64"
        )
    own = own_platform()
    if not parts:
        return own
    if len(parts) == 1:
        if parts[0] == own.os:
            return own
        parts = [own.os, *parts]
    architecture = OTHER_NAMES.get(parts[1], parts[1])
    return Platform(architecture, parts[0], parts[2] if len(parts) > 2 else "")


def own_platform() -> Platform:
    """What this machine runs."""
    machine = os.uname().machine
    return Platform(ARCHITECTURES.get(machine, machine), "linux")


def words(platform: Platform) -> str:
    """`linux/arm/v7`."""
    parts = (platform.os, platform.architecture, platform.variant)
    return "/".join(part for part in parts if part)


def matches(found: Platform, wanted: Platform) -> bool:
    """Whether what is found runs where `wanted` does."""
    return _key(found) == _key(wanted)


def choose(entries: Sequence[Descriptor], wanted: Platform) -> Descriptor:
    """The image of an index for a platform; NotFoundError in Docker's words."""
    for entry in entries:
        if entry.platform and matches(entry.platform, wanted):
            return entry
    known = sorted({words(entry.platform) for entry in entries if entry.platform})
    offered = [name for name in known if not name.startswith("unknown")]
    raise NotFoundError(
        f"no matching manifest for {words(wanted)} in the manifest list entries"
        + (f": it has {', '.join(offered)}" if offered else "")
    )


def _key(platform: Platform) -> tuple[str, str, str]:
    architecture = OTHER_NAMES.get(platform.architecture, platform.architecture)
    return platform.os, architecture, platform.variant or VARIANTS.get(architecture, "")
