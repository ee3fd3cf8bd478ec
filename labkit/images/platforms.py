"""The choice among an index's images for a machine: `linux/amd64`, `linux/arm/v7`."""

import os
import re
from collections.abc import Sequence

from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images.models import INDEXES, Descriptor, Platform

_PART = re.compile(r"[a-z0-9_-]+")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
OTHER_NAMES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm"}
KNOWN_ARCHITECTURES = frozenset((
    *("386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle"),
    *("ppc64", "ppc64le", "riscv64", "s390x", "wasm"),
))  # fmt: skip
SYSTEMS = frozenset((
    *("aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "js", "linux"),
    *("netbsd", "openbsd", "plan9", "solaris", "windows"),
))  # fmt: skip
"""What Go has compilers for: a word alone is one of these, or one of the architectures."""
VARIANTS = {"amd64": "v1", "arm": "v7", "arm64": "v8"}
"""The variant of an architecture that names none."""
ARM = ("v8", "v7", "v6", "v5")
"""Each runs programs for those after it."""


def parse(text: str) -> Platform:
    """Parse `os`, `architecture` or `os/architecture[/variant]`; this machine's if empty.

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
        if parts[0] in SYSTEMS:
            return Platform(own.architecture, parts[0])
        if OTHER_NAMES.get(parts[0], parts[0]) not in KNOWN_ARCHITECTURES:
            raise InvalidParameterError(
                f'"{text}": unknown operating system or architecture: invalid argument'
            )
        parts = [own.os, *parts]
    architecture = OTHER_NAMES.get(parts[1], parts[1])
    return Platform(architecture, parts[0], parts[2] if len(parts) > 2 else "")


def own_platform() -> Platform:
    """Return this machine's platform."""
    machine = os.uname().machine
    return Platform(ARCHITECTURES.get(machine, machine), "linux")


def words(platform: Platform) -> str:
    """Return the platform as text: `linux/arm/v7`."""
    parts = (platform.os, platform.architecture, platform.variant)
    return "/".join(part for part in parts if part)


def same(one: Platform, other: Platform) -> bool:
    """Whether both platforms are the same."""
    return _key(one) == _key(other)


def runs_on(found: Platform, wanted: Platform) -> bool:
    """Whether programs for `found` run on `wanted`: an arm/v6 image does on arm/v7."""
    return _key(found) in _suitable(wanted)


def choose(entries: Sequence[Descriptor], wanted: Platform) -> Descriptor:
    """Return the image of an index that suits a platform best; NotFoundError in Docker's words.

    An image without a platform comes last, as in Docker.
    """
    images = [entry for entry in entries if entry.media_type not in INDEXES]
    for key in _suitable(wanted):
        for entry in images:
            if entry.platform and _key(entry.platform) == key:
                return entry
    for entry in images:
        if entry.platform is None:
            return entry
    known = sorted({words(entry.platform) for entry in entries if entry.platform})
    offered = [name for name in known if not name.startswith("unknown")]
    raise NotFoundError(
        f"no matching manifest for {words(wanted)} in the manifest list entries"
        + (f": it has {', '.join(offered)}" if offered else "")
    )


def _suitable(wanted: Platform) -> list[tuple[str, str, str]]:
    """Return the platforms that run there, the best first."""
    os_name, architecture, variant = _key(wanted)
    lower = ARM[ARM.index(variant) :] if architecture == "arm" and variant in ARM else (variant,)
    return [(os_name, architecture, each) for each in lower]


def _key(platform: Platform) -> tuple[str, str, str]:
    architecture = OTHER_NAMES.get(platform.architecture, platform.architecture)
    return platform.os, architecture, platform.variant or VARIANTS.get(architecture, "")
