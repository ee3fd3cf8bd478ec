"""The names of an engine's objects outside of its folders: they come from its data root.

Several engines may run side by side, each with a data root.  The one with the usual root calls its
cgroups and its links `labkit`; any other adds a hash of the place of its root, so that no engine
takes another's objects for the rests of a crash.  The place is the file system and the path in it:
it is the same through links and through bind mounts.
"""

import hashlib
import os

from labkit.errors import InvalidParameterError
from labkit.kernel.mounts import mount_of
from labkit.kernel.network.links import LONGEST_NAME
from labkit.paths import DEFAULT_ROOT

USUAL_NAME = "labkit"
LONGEST_PREFIX = 10
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
"""A name with a number at its end must not look like another name."""
_HASH_LETTERS = 6


def cgroup_parent(root: str) -> str:
    """Return the name of an engine's group in each hierarchy, the parent of its containers' groups.

    `LABKIT_CGROUP_PARENT` of the environment overrides it.
    """
    given = os.environ.get("LABKIT_CGROUP_PARENT", "")
    return given or (USUAL_NAME if _is_usual(root) else f"{USUAL_NAME}-{_hash(root)}")


def link_prefix(root: str) -> str:
    """Return the prefix of an engine's links, which is also the name of its nftables table.

    `LABKIT_LINK_PREFIX` of the environment overrides it; InvalidParameterError if that is too long.
    """
    given = os.environ.get("LABKIT_LINK_PREFIX", "")
    if len(given) > LONGEST_PREFIX:
        raise InvalidParameterError(
            f"LABKIT_LINK_PREFIX={given}: at most {LONGEST_PREFIX} characters, for the kernel "
            f"allows a link's name {LONGEST_NAME} in all"
        )
    return given or (USUAL_NAME if _is_usual(root) else f"lk{_hash(root)}")


def _is_usual(root: str) -> bool:
    return _place(root) == _place(DEFAULT_ROOT)


def _hash(root: str) -> str:
    digest = hashlib.sha256(_place(root).encode()).hexdigest()
    return digest[:_HASH_LETTERS].translate(_LETTERS)


def _place(path: str) -> str:
    """Return the file system of a path, and its path in there."""
    path = os.path.realpath(path)
    mount = mount_of(path)
    if mount is None:
        return path
    if mount.target == path and mount.source.startswith("/dev/loop"):
        # The device of a file in this folder (labkit.snapshots): it changes each time.
        return f"{_place(os.path.dirname(path))}/{os.path.basename(path)}"
    inside = os.path.relpath(path, mount.target)
    return f"{os.stat(mount.target).st_dev}:{os.path.normpath(os.path.join(mount.root, inside))}"
