"""Undoing the lab disk, from any stage at which its making or its removal was interrupted."""

import errno
import os
import time

from labkit.errors import ConflictError
from labkit.kernel import loops, mounts
from labkit.labdisk import record, scheduler, spare
from labkit.labdisk.record import Record
from labkit.paths import Paths

RELEASE_TIMEOUT_S = 2.0
"""The mounts of a container that has just ended vanish a little later."""


def undo(paths: Paths) -> bool:
    """Undo everything; return whether there was anything.  ConflictError while it is used."""
    known, place = record.read(paths), record.mount_point(paths)
    fd = _open_ours(paths, known)
    try:
        while device := mounted(paths):
            _unmount(device, place)
        if known and known.scheduler and (fd >= 0 or _is_free(known.device)):
            scheduler.choose(known.device, known.scheduler)
        if known and known.is_spare and fd >= 0:
            spare.wipe(fd)
    finally:
        if fd >= 0:
            os.close(fd)
    was_there = known is not None or os.path.isdir(place)
    if os.path.isdir(place):
        os.rmdir(place)
    record.forget(paths)
    return was_there


def mounted(paths: Paths) -> str:
    """Return the device mounted at the lab disk's place, or ""."""
    place = os.path.realpath(record.mount_point(paths))
    with open("/proc/self/mountinfo") as table:
        there = [m.source for m in mounts.parse_mountinfo(table.read()) if m.target == place]
    return there[-1] if there else ""


def _open_ours(paths: Paths, known: Record | None) -> int:
    """Return the device's descriptor if it is still the lab disk, else -1."""
    if known is None or not known.device:
        return -1
    if known.is_spare:
        return spare.open_claimed(known.device, known.uuid)
    if loops.backing_file(known.device) != os.path.realpath(record.image(paths)):
        return -1
    return os.open(known.device, os.O_RDWR | os.O_CLOEXEC)


def _is_free(device: str) -> bool:
    """Whether a loop device has no file any more: then its scheduler may be reset."""
    return device.startswith("/dev/loop") and not loops.backing_file(device)


def _unmount(device: str, place: str) -> None:
    try:
        mounts.unmount(place)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        raise _in_use(place, "a file in it is open") from None
    if not _is_released(device):
        who = _who_has(device)
        mounts.mount(device, place, "ext4", mounts.MS_NOSUID | mounts.MS_NODEV)
        raise _in_use(place, who)


def _is_released(device: str) -> bool:
    """Whether no namespace has it mounted: a mount prevents an exclusive open."""
    deadline = time.monotonic() + RELEASE_TIMEOUT_S
    while True:
        try:
            os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
        except OSError as error:
            if error.errno != errno.EBUSY:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def _who_has(device: str) -> str:
    """Return the text for a process that has the disk among its mounts."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/mountinfo") as table:
                if any(m.source == device for m in mounts.parse_mountinfo(table.read())):
                    return f"process {name} has it in its container"
        except OSError:
            continue  # it has ended by now
    return "a process has it open"


def _in_use(place: str, why: str) -> ConflictError:
    return ConflictError(
        f"cannot remove the lab disk, {place}: {why}; end that process, and remove it again"
    )
