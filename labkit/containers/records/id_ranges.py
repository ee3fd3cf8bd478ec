"""`--userns` and labkitd's `--userns-remap`: the host's ids for a container's users.

The administrator assigns ids to users in /etc/subuid and /etc/subgid (subuid(5)): lines
`name:first:count`.  Here they are used one after another for the ids 0, 1, 2… of a container.
"""

import grp
import pwd
from typing import Protocol

import msgspec

from labkit.dialect.subordinate_ids import ranges, read
from labkit.errors import InvalidParameterError
from labkit.runtime.spec import IdRange

STEP = "namespace.user"
"""The step that can be left out (`--without`), to see its effect."""
DEFAULT = "default"
DEFAULT_USER = "dockremap"
"""The user whose ranges `default` takes, if the files have any; Docker's name."""
FIRST_FREE = 100_000
COUNT = 65_536
"""Enough for all ids that files of an image have."""


class IdRanges(msgspec.Struct, frozen=True, rename="pascal"):
    """The users and the groups of a container, as lines of uid_map and gid_map."""

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]


class _Users(Protocol):
    """The part of a container's record that decides its users."""

    id_ranges: IdRanges | None
    without: list[str]


def in_use(container: _Users) -> IdRanges | None:
    """The ranges that a container runs with; None if its users are the host's."""
    return None if STEP in container.without else container.id_ranges


def root_of(container: _Users) -> tuple[int, int]:
    """The user and the group on the host that the container's root is."""
    ranges = in_use(container)
    return (ranges.uids[0][1], ranges.gids[0][1]) if ranges else (0, 0)


def find(remap: str, folder: str = "/etc") -> IdRanges:
    """The ranges for a value of `--userns-remap`: `default`, or user[:group], by name or number.

    InvalidParameterError if there is no such user, or it has no ranges.
    """
    users, groups = (read(f"{folder}/{name}") for name in ("subuid", "subgid"))
    if remap == DEFAULT:
        of_default = [ranges({DEFAULT_USER}, lines) for lines in (users, groups)]
        if not all(of_default):
            # Above every assigned range.  The ids are not on the disk, so they may change later.
            ends = (line.first + line.ids for line in [*users, *groups])
            free = ((0, max([FIRST_FREE, *ends]), COUNT),)
            return IdRanges(free, free)
        return IdRanges(*of_default)
    user, colon, group = remap.partition(":")
    uids = ranges(_names_of_user(user), users)
    gids = ranges(_names_of_group(group) if colon else _names_of_user(user), groups)
    for found, file, name in ((uids, "subuid", user), (gids, "subgid", group or user)):
        if not found:
            raise InvalidParameterError(
                f"--userns-remap={remap}: no ranges for {name} in {folder}/{file}: add a line, "
                f"such as {name}:{FIRST_FREE}:{COUNT}"
            )
    return IdRanges(uids, gids)


def _names_of_user(user: str) -> set[str]:
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        raise InvalidParameterError(
            f"--userns-remap: there is no user {user} on this host: make one, or use {DEFAULT}"
        ) from None
    return {entry.pw_name, str(entry.pw_uid)}


def _names_of_group(group: str) -> set[str]:
    try:
        entry = grp.getgrgid(int(group)) if group.isdecimal() else grp.getgrnam(group)
    except KeyError:
        raise InvalidParameterError(
            f"--userns-remap: there is no group {group} on this host: make one, or leave it out"
        ) from None
    return {entry.gr_name, str(entry.gr_gid)}
