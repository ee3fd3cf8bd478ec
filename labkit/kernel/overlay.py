"""overlayfs's own words (kernel documentation, filesystems/overlayfs): options and attributes.

Attributes that begin with `trusted.` are for who has power over the whole machine.  In a user
namespace overlayfs takes those that begin with `user.` if it is told so (`userxattr`, Linux 5.11).
"""

from collections.abc import Iterable

from labkit.kernel.power import IS_LIMITED

ATTRIBUTES = "user.overlay." if IS_LIMITED else "trusted.overlay."
"""How the attributes begin by which overlayfs marks files; no archive has them."""
OPAQUE = f"{ATTRIBUTES}opaque"
"""`y` on a folder that hides its like in the layers below."""


def options(lower: Iterable[str], upper: str, work: str, *, limited: bool = IS_LIMITED) -> str:
    """The options of a union: layers, the topmost first, and one that is written to."""
    words = [f"lowerdir={':'.join(lower)}", f"upperdir={upper}", f"workdir={work}"]
    return ",".join([*words, *(["userxattr"] if limited else [])])


def lower_options(lower: Iterable[str], *, limited: bool = IS_LIMITED) -> str:
    """The options of a union that nothing is written to."""
    return ",".join([f"lowerdir={':'.join(lower)}", *(["userxattr"] if limited else [])])
