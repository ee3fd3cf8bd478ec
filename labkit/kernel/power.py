"""The power of this process: over the whole machine, or only within a user namespace.

For each call the kernel checks the caller's capability *in the user namespace that owns the object*
(user_namespaces(7)).  Root of a user namespace has all capabilities there, and its own mounts,
networks and processes; it has no power over device files and the host's limits.
"""

import os

from labkit.kernel import capabilities

_ALL_IDS = ("0", "0", "4294967295")


def has_admin() -> bool:
    """Whether this process has CAP_SYS_ADMIN, on the machine or in its user namespace."""
    return bool(capabilities.permitted() & capabilities.mask(["SYS_ADMIN"]))


def _maps_all_ids() -> bool:
    try:
        with open("/proc/self/uid_map") as file:
            return tuple(file.read().split()) == _ALL_IDS
    except OSError:  # a kernel without user namespaces, or no /proc
        return True


IS_LIMITED = not _maps_all_ids()
"""Whether this process's root is an unprivileged user of the machine."""


def machine_uid() -> int:
    """Return the id of this process's user outside of the user namespace that it is root of."""
    uid = os.geteuid()
    for inside, outside, count in _map("uid_map"):
        if inside <= uid < inside + count:
            return outside + uid - inside
    return uid


def has_group(gid: int) -> bool:
    """Whether this process's user namespace has a group with this number."""
    return any(first <= gid < first + count for first, _, count in _map("gid_map"))


def _map(name: str) -> list[tuple[int, ...]]:
    """The lines of a map of this process's user namespace (user_namespaces(7))."""
    with open(f"/proc/self/{name}") as file:
        return [tuple(map(int, line.split())) for line in file]
