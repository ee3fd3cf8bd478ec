"""`--device`, `--device-cgroup-rule` and `--privileged`: the host's devices in a container.

A device is looked up on the host when the container is created, so that a wrong name is reported
at once, and again at each start, since the device may have got other numbers.  A rule of the
container's cgroup (`labkit.cgroups.devices`) allows access to it.  The container needs both, the
rule and the file in its /dev.
"""

import contextlib
import os
import posixpath
import stat
from collections.abc import Iterator, Sequence

from labkit.cgroups import devices as rules
from labkit.containers.records.model import DeviceMapping, DeviceNode, HostConfig
from labkit.errors import InvalidParameterError
from labkit.kernel import files

ALL_ACCESS = "rwm"
_OWN_NAMES = frozenset(
    ("console", "fd", "mqueue", "ptmx", "pts", "shm", "stderr", "stdin", "stdout", "core")
)
"""Names in /dev that belong to the container itself, also to a privileged one."""


def gather(host: HostConfig) -> list[DeviceNode]:
    """The devices for a container, as the host has them now; InvalidParameterError."""
    found = {node.path: node for node in _all_of_the_host()} if host.privileged else {}
    for asked in host.devices or ():
        found |= {node.path: node for node in _asked(asked)}
    return list(found.values())


def cgroup_rules(host: HostConfig, nodes: Sequence[DeviceNode]) -> tuple[str, ...]:
    """The rules of the container's cgroup, in addition to those of every container."""
    if host.privileged:
        return (rules.EVERYTHING,)
    own = (f"{node.kind} {node.major}:{node.minor} {node.access}" for node in nodes)
    return (*own, *(host.device_cgroup_rules or ()))


def _asked(asked: DeviceMapping) -> Iterator[DeviceNode]:
    """The devices of one `--device`: one device, or every device in a folder."""
    source = asked.path_on_host
    target = posixpath.normpath(asked.path_in_container or source)
    access = asked.cgroup_permissions or ALL_ACCESS
    if not (source.startswith("/") and target.startswith("/")):
        raise InvalidParameterError(f'invalid device "{source}": its paths must be absolute')
    if not set(access) <= set(ALL_ACCESS):
        raise InvalidParameterError(
            f'invalid device permissions "{access}": they are letters of {ALL_ACCESS}'
        )
    try:
        status = os.stat(source)
    except OSError as error:
        raise _not_gathered(source, error.strerror or str(error)) from None
    if stat.S_ISDIR(status.st_mode):
        below = list(_below(os.path.realpath(source), target, access))
        if not below:
            raise _not_gathered(source, "not a device node")
        yield from below
    elif (node := _node(status, target, access, source)) is not None:
        yield node
    else:
        raise _not_gathered(source, "not a device node")


def _not_gathered(source: str, why: str) -> InvalidParameterError:
    return InvalidParameterError(
        "error gathering device information while adding custom device "
        f'"{source}": {why[:1].lower()}{why[1:]}'
    )


def _all_of_the_host() -> Iterator[DeviceNode]:
    for entry in os.scandir("/dev"):
        if entry.name in _OWN_NAMES or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _below(entry.path, entry.path, ALL_ACCESS)
        elif (node := _node(entry.stat(), entry.path, ALL_ACCESS, entry.path)) is not None:
            yield node


def _below(folder: str, target: str, access: str) -> Iterator[DeviceNode]:
    """Every device in a folder of the host and in its subfolders; no symbolic link is followed."""
    for here in files.folders_from(folder):
        place = target + here.removeprefix(folder)
        for entry, status in _entries(here):
            if (node := _node(status, f"{place}/{entry.name}", access, entry.path)) is not None:
                yield node


def _entries(folder: str) -> Iterator[tuple["os.DirEntry[str]", os.stat_result]]:
    """The entries of a folder by name, without those that another program removes just now."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            with contextlib.suppress(FileNotFoundError):
                yield entry, entry.stat(follow_symlinks=False)


def _node(status: os.stat_result, path: str, access: str, source: str) -> DeviceNode | None:
    kind = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    return DeviceNode(
        path=path,
        kind=kind,
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        access=access,
        source=source,
    )
