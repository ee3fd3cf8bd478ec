"""Records that cannot be read are set aside, never deleted, and the engine starts without them.

They are moved to `set-aside/` in the data root, where `labkit doctor` finds them: `containers-<id>`
was `containers/<id>`.
"""

import os

import msgspec

from labkit.paths import SET_ASIDE

UNREADABLE = (OSError, ValueError, RecursionError, msgspec.DecodeError)
"""The exceptions of a damaged record: JSON may be cut, not UTF-8, or too deeply nested."""


def set_aside(root: str, path: str, why: object) -> str:
    """Move a file or folder below `root` out of the way; return the sentence for the log.

    If it cannot be moved it stays: a mount point, or on a read-only file system.
    """
    name = os.path.relpath(path, root).replace("/", "-")
    target, number = f"{root}/{SET_ASIDE}/{name}", 1
    while os.path.lexists(target):
        number += 1
        target = f"{root}/{SET_ASIDE}/{name}.{number}"
    try:
        os.makedirs(f"{root}/{SET_ASIDE}", 0o700, exist_ok=True)
        os.rename(path, target)
    except OSError as error:
        return f"{path} cannot be read ({why}), nor set aside ({error.strerror}): labkit ignores it"
    return f"{path} cannot be read ({why}): labkit has set it aside as {target}"


def ignored(path: str) -> str:
    """Return the sentence for a file that labkit did not make, and leaves where it is."""
    return f"{path} is not labkit's: it stays where it is"
