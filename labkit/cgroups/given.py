"""The groups that an engine without root may use: those that belong to its user.

An administrator gives a user a folder in each hierarchy (`labkit.cgroups.delegation`), systemd a
unit's group, and another engine the group of the container that labkit runs in.
"""

import pwd
from collections.abc import Callable, Sequence
from typing import NamedTuple

from labkit.cgroups import v1, v2
from labkit.cgroups.hierarchies import Mount, directory_of, own_group
from labkit.kernel import power

PREFIX = "labkit.user-"
"""How the names of the folders begin that `labkit delegate` gives; the user's number follows."""

CONTROLLERS = {
    v1.VERSION: tuple(name for name in v1.CONTROLLERS if name != "devices"),
    v2.VERSION: tuple(name for name in (*v2.CORE, *v2.CONTROLLERS) if name != "devices"),
}
"""What an ordinary user can use.  A list of devices needs the power over the machine."""


class User(NamedTuple):
    """The user of the machine whose groups an engine uses."""

    uid: int
    may_use: Callable[[str], bool]
    """Whether this user may make groups in a folder, and put processes there."""

    @property
    def folder(self) -> str:
        """The name of the folder that `labkit delegate` makes."""
        return f"{PREFIX}{self.uid}"

    def base_v1(self, mount: Mount, cgroups: str) -> str:
        """The v1 folder to make groups in; "" if no folder there belongs to the user."""
        own = directory_of(mount, own_group(cgroups, mount.controllers))
        top = mount.mount_point
        return self._first((f"{top}/{self.folder}", own, top))

    def base_v2(self, mount: Mount, own: str, subtree: str, leaf: str) -> str:
        """The v2 folder to make groups in; "" if no folder there belongs to the user.

        `own` is the folder of this process, `subtree` the one that systemd handed over.  It is
        `own` or above it, for only below a common group may a user move a process (cgroups(7),
        "Delegation containment rules").  In a folder called `leaf` labkitd put itself.
        """
        given = f"{mount.mount_point}/{self.folder}"
        above = own.removesuffix(f"/{leaf}")
        return self._first((given if f"{own}/".startswith(f"{given}/") else "", subtree, above))

    def _first(self, folders: Sequence[str]) -> str:
        return next((folder for folder in folders if folder and self.may_use(folder)), "")


def user_name(uid: int) -> str:
    """The name that `labkit delegate` takes."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def command(uid: int) -> str:
    """What an administrator types to give this user groups."""
    return f"sudo labkit delegate {user_name(uid)}"


def limited_uid() -> int | None:
    """The number of the user that this process is on the machine; None for root."""
    return None if power.has_admin() and not power.IS_LIMITED else power.machine_uid()
