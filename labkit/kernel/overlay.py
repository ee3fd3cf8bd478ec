"""The options and attributes of overlayfs (kernel documentation, filesystems/overlayfs).

Only a process with power over the whole machine may use attributes that begin with `trusted.`.  In
a user namespace overlayfs uses those that begin with `user.`, with the option `userxattr` (Linux
5.11).
"""

from collections.abc import Iterable

from labkit.kernel.power import IS_LIMITED

ATTRIBUTES = "user.overlay." if IS_LIMITED else "trusted.overlay."
"""The prefix of the attributes by which overlayfs marks files; no archive has them."""
OPAQUE = f"{ATTRIBUTES}opaque"
"""The attribute with the value `y` on a folder that hides its namesake in the layers below."""


def options(lower: Iterable[str], upper: str, work: str, *, limited: bool = IS_LIMITED) -> str:
    """Return the options of a union: layers, the topmost first, and the writable one."""
    words = [f"lowerdir={':'.join(lower)}", f"upperdir={upper}", f"workdir={work}"]
    return ",".join([*words, *(["userxattr"] if limited else [])])


def lower_options(lower: Iterable[str], *, limited: bool = IS_LIMITED) -> str:
    """Return the options of a read-only union."""
    return ",".join([f"lowerdir={':'.join(lower)}", *(["userxattr"] if limited else [])])
