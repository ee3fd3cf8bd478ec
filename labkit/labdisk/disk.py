"""Making the lab disk, finding it, and undoing it from any stage of an interruption."""

import errno
import fcntl
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from labkit.errors import ConflictError, ForbiddenError, InvalidParameterError, LabkitError
from labkit.kernel import loops, mounts
from labkit.labdisk import record, scheduler, spare
from labkit.labdisk.record import Record
from labkit.labdisk.undoing import mounted, undo
from labkit.paths import Paths

MIB = 1 << 20
DEFAULT_BYTES = 512 * MIB
LEAST_BYTES = 16 * MIB
# No journal: the table of writes by process could not assign the journal's writes to one.
_MKFS = ("mkfs.ext4", "-q", "-F", "-L", "labkit", "-O", "^has_journal", "-m", "0")
_MKFS_AT_ONCE = ("-E", "lazy_itable_init=0,nodiscard")


class LabDisk(NamedTuple):
    """The lab disk as it is now; `free_bytes` of its file system, mounted at `mount`."""

    device: str
    size_bytes: int
    scheduler: str
    mount: str
    free_bytes: int

    @property
    def has_weights(self) -> bool:
        """Whether `--blkio-weight` has an effect on it: only BFQ has weights."""
        return self.scheduler == scheduler.BFQ


def find(paths: Paths) -> LabDisk | None:
    """Return the lab disk, if a complete one exists; ForbiddenError unless this is root."""
    _check_root("showing")
    known = record.read(paths)
    if known is None or not known.device or mounted(paths) != known.device:
        return None
    place = record.mount_point(paths)
    space = os.statvfs(place)
    in_charge = scheduler.current(known.device)
    free_bytes = space.f_bavail * space.f_frsize
    return LabDisk(known.device, known.size_bytes, in_charge, place, free_bytes)


def make(paths: Paths, size_bytes: int = DEFAULT_BYTES, device: str = "") -> LabDisk:
    """Make the lab disk of that size unless it exists: on a loop device, or on a spare `device`.

    InvalidParameterError; ConflictError if the device holds any data, or another lab disk exists;
    ForbiddenError unless this is root.
    """
    _check_root("making")
    device = device and os.path.realpath(device)
    if size_bytes < LEAST_BYTES:
        raise InvalidParameterError(f"a lab disk has at least {LEAST_BYTES // MIB} MiB")
    with _alone(paths):
        there = find(paths)
        if there:
            return _as_asked(there, paths, size_bytes, device)
        undo(paths)
        if device:
            spare.check(device, size_bytes)
        try:
            _make(paths, size_bytes, device)
        except OSError as error:
            undo(paths)
            raise LabkitError(f"cannot make the lab disk: {error}") from error
        except BaseException:
            undo(paths)
            raise
        made = find(paths)
        if made is None:
            raise LabkitError(
                f"the lab disk vanished as soon as it was made ({record.mount_point(paths)})"
            )
        return made


def remove(paths: Paths) -> bool:
    """Undo the lab disk and the rests of an interruption; return whether there was anything.

    ConflictError while a process uses it.
    """
    _check_root("removing")
    with _alone(paths):
        try:
            return undo(paths)
        except OSError as error:
            raise LabkitError(f"cannot remove the lab disk: {error}") from error


@contextmanager
def borrow(paths: Paths, size_bytes: int = DEFAULT_BYTES) -> Iterator[LabDisk]:
    """The lab disk for an experiment: the present one, or one that is removed afterwards."""
    there = find(paths)
    try:
        yield there or make(paths, size_bytes)
    finally:
        if there is None:
            remove(paths)


def _check_root(doing: str) -> None:
    if os.geteuid():
        raise ForbiddenError(f"{doing} the lab disk needs root: sudo labkit lab-disk …")


@contextmanager
def _alone(paths: Paths) -> Iterator[None]:
    """Admit one process at a time; the lock (flock(2)) ends with its process."""
    os.makedirs(paths.run, 0o755, exist_ok=True)
    fd = os.open(paths.run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _as_asked(there: LabDisk, paths: Paths, size_bytes: int, device: str) -> LabDisk:
    known = record.read(paths)
    on_another = bool(known and (device or known.is_spare) and known.device != device)
    if on_another or there.size_bytes != size_bytes:
        raise ConflictError(
            f"another lab disk exists, {there.size_bytes // MIB} MiB on {there.device}:"
            " remove it first (labkit lab-disk remove)"
        )
    return there


def _make(paths: Paths, size_bytes: int, device: str) -> None:
    made = Record(device, bool(device), str(uuid.uuid4()), size_bytes, "")
    record.write(paths, made)
    fd = -1
    try:
        if device:
            fd = spare.claim(device, made.uuid)
        else:
            fd, device = _attach(record.image(paths), size_bytes)
        made = made._replace(device=device, scheduler=scheduler.current(device))
        record.write(paths, made)
        scheduler.choose(device, scheduler.BFQ)
        _make_file_system(made)
        os.makedirs(record.mount_point(paths), exist_ok=True)
        mounts.mount(device, record.mount_point(paths), "ext4", mounts.MS_NOSUID | mounts.MS_NODEV)
    finally:
        if fd >= 0:
            os.close(fd)


def _attach(path: str, size_bytes: int) -> tuple[int, str]:
    """Attach a loop device to a new sparse file."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        space = os.fstatvfs(fd)
        free_bytes = space.f_bavail * space.f_frsize
        if free_bytes < size_bytes:
            text = f"only {free_bytes // MIB} of {size_bytes // MIB} MiB are free"
            raise OSError(errno.ENOSPC, text, path)
        os.ftruncate(fd, size_bytes)
    finally:
        os.close(fd)
    return loops.attach(path)


def _make_file_system(made: Record) -> None:
    blocks = f"{made.size_bytes // 1024}k"
    command = [*_MKFS, *_MKFS_AT_ONCE, made.device, blocks]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise OSError(errno.ENOENT, "no such program: apt install e2fsprogs", "mkfs.ext4") from None
    if done.returncode:
        raise OSError(errno.EIO, f"mkfs.ext4: {done.stderr.strip()}", made.device)
