"""The groups that an engine without root may use: those that belong to its user.

An administrator delegates a folder in each hierarchy to a user (`labkit.cgroups.delegation`),
systemd delegates a unit's group, and another engine the group of the container around labkit.
"""

import pwd
from collections.abc import Callable, Sequence
from typing import NamedTuple

from labkit.cgroups import v1, v2
from labkit.cgroups.hierarchies import Mount, directory_of, own_group
from labkit.kernel import power

PREFIX = "labkit.user-"
"""The prefix of the folders that `labkit delegate` makes; the user's id follows."""

CONTROLLERS = {
    v1.VERSION: tuple(name for name in v1.CONTROLLERS if name != "devices"),
    v2.VERSION: tuple(name for name in (*v2.CORE, *v2.CONTROLLERS) if name != "devices"),
}
"""The controllers for an ordinary user.  A list of devices needs power over the machine."""


class User(NamedTuple):
    """The user of the machine that owns the groups of an engine."""

    uid: int
    may_use: Callable[[str], bool]
    """Whether this user may make groups in a folder, and move processes there."""

    @property
    def folder(self) -> str:
        """The name of the folder that `labkit delegate` makes."""
        return f"{PREFIX}{self.uid}"

    def base_v1(self, mount: Mount, cgroups: str) -> str:
        """Return the v1 folder to make groups in; "" if no folder there belongs to the user."""
        own = directory_of(mount, own_group(cgroups, mount.controllers))
        top = mount.mount_point
        return self._first((f"{top}/{self.folder}", own, top))

    def base_v2(self, mount: Mount, own: str, subtree: str, leaf: str) -> str:
        """Return the v2 folder to make groups in; "" if no folder there belongs to the user.

        `own` is the folder of this process, `subtree` the one that systemd delegated.  The result
        is `own` or above it, for a user may move a process only below a common group (cgroups(7),
        "Delegation containment rules").  labkitd has moved itself to a folder called `leaf`.
        """
        given = f"{mount.mount_point}/{self.folder}"
        above = own.removesuffix(f"/{leaf}")
        return self._first((given if f"{own}/".startswith(f"{given}/") else "", subtree, above))

    def _first(self, folders: Sequence[str]) -> str:
        return next((folder for folder in folders if folder and self.may_use(folder)), "")


def user_name(uid: int) -> str:
    """Return a user's name, or its id if it has none, for `labkit delegate`."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def command(uid: int) -> str:
    """Return the command by which an administrator delegates groups to this user."""
    return f"sudo labkit delegate {user_name(uid)}"


def limited_uid() -> int | None:
    """Return the id of this process's user on the machine; None for root."""
    return None if power.has_admin() and not power.IS_LIMITED else power.machine_uid()
