"""The users of an engine without root: the caller is its root, the others are subordinate ids.

Without subordinate ids root is the only user, and owns every file of a layer.
"""

import os
import pwd
import shutil
import stat
import subprocess
from typing import NamedTuple

from labkit.dialect import subordinate_ids
from labkit.dialect.subordinate_ids import IdRange
from labkit.errors import LabkitError
from labkit.kernel import power


class Ids(NamedTuple):
    """The lines of a user namespace's uid_map and gid_map."""

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]

    @property
    def is_one(self) -> bool:
        """Whether root is the only user."""
        return len(self.uids) == 1 or len(self.gids) == 1


def find(folder: str = "/etc") -> Ids:
    """The ids for the calling user."""
    uid, gid, names = os.getuid(), os.getgid(), _names()
    own = [(0, uid, 1)], [(0, gid, 1)]
    uids, gids = (
        subordinate_ids.ranges(names, subordinate_ids.read(f"{folder}/{name}"), taken)
        for name, taken in zip(("subuid", "subgid"), own, strict=True)
    )
    if not (uids and gids):
        uids = gids = ()
    return Ids((*own[0], *uids), (*own[1], *gids))


def sharers(folder: str = "/etc") -> list[str]:
    """Other users that have some of the same ids, and so power over each other's containers."""
    names = _names()
    files = (subordinate_ids.read(f"{folder}/{name}") for name in ("subuid", "subgid"))
    return sorted({user for lines in files for user in subordinate_ids.sharers(names, lines)})


def _names() -> set[str]:
    """The caller's name and number; none without a name, which newuidmap requires."""
    uid = os.getuid()
    return {str(uid), pwd.getpwuid(uid).pw_name} if has_name(uid) else set()


def has_name(uid: int) -> bool:
    """Whether this machine has a user with this number."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def give(pid: int, ids: Ids) -> None:
    """Write the maps of the user namespace of a process; LabkitError.

    A process with power over users writes the maps directly.  Otherwise the programs of Debian's
    package uidmap do it; they may map the ids of the administrator's files.
    """
    if ids.is_one:
        with open(f"/proc/{pid}/setgroups", "w") as file:
            file.write("deny")
    for name, program, ranges in (
        ("uid_map", "newuidmap", ids.uids[: 1 if ids.is_one else None]),
        ("gid_map", "newgidmap", ids.gids[: 1 if ids.is_one else None]),
    ):
        try:
            with open(f"/proc/{pid}/{name}", "w") as file:
                file.write("".join(f"{' '.join(map(str, line))}\n" for line in ranges))
        except PermissionError:
            _ask(program, pid, ranges)


def _ask(program: str, pid: int, ranges: tuple[IdRange, ...]) -> None:
    found = shutil.which(program)
    if found is None:
        raise LabkitError(
            f"without root labkitd needs the program {program} to have more than one user: "
            "apt install uidmap"
        )
    words = [str(number) for line in ranges for number in line]
    done = subprocess.run([found, str(pid), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabkitError(
            f"without root labkitd asks {program} for the ids that /etc/subuid and /etc/subgid "
            f"give to this user, and it refused: {done.stderr.strip()}{_way_out(found)}"
        )


def _way_out(program: str) -> str:
    """The remedy inside a container, where a set-user-id program has too little power.

    The kernel requires power over the new namespace: the user that made it has this power, root
    does not.  A program that runs as this user, with one capability, is allowed.
    """
    if power.machine_uid() and os.stat(program).st_mode & stat.S_ISUID:
        return (
            "; in a container its root can mend that: chmod u-s /usr/bin/newuidmap "
            "/usr/bin/newgidmap; setcap cap_setuid+ep /usr/bin/newuidmap; "
            "setcap cap_setgid+ep /usr/bin/newgidmap"
        )
    return ""
