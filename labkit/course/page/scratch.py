"""Folders for a while, with the name of their lab: two labs on one machine know theirs apart."""

import tempfile

from labkit.ownership import cgroup_parent
from labkit.paths import Paths


def scratch(purpose: str) -> tempfile.TemporaryDirectory[str]:
    """Make a folder that is removed with its `TemporaryDirectory`; `purpose` is in its name."""
    return tempfile.TemporaryDirectory(prefix=prefix(purpose))


def prefix(purpose: str) -> str:
    """Return the begin of the name of this lab's folders for a purpose: `labkit-desk-`."""
    return f"{cgroup_parent(Paths.from_environment().root)}-{purpose}-"
