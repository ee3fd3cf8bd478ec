"""Checks of a disk of the machine before it becomes the lab disk: it must hold no data."""

import errno
import os
import stat
import subprocess

from labkit.errors import ConflictError, InvalidParameterError

MIB = 1 << 20
EDGE_BYTES = MIB
"""The place of signatures (file systems, partitions, RAID, LVM): a disk's beginning and end."""
_MARK = b"labkit lab disk "
_MARK_BYTES = 512
_NOTHING_FOUND = 2


def check(device: str, size_bytes: int) -> None:
    """Refuse a disk that holds data, is in use, or is not larger than the size plus a MiB.

    InvalidParameterError, ConflictError.
    """
    _check_kind(device)
    partitions = _partitions(device)
    if partitions:
        raise _refused(device, f"it has partitions ({', '.join(partitions)})")
    try:
        fd = os.open(device, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        why = "it is mounted, swapped to, or part of another disk"
        text = why if error.errno == errno.EBUSY else (error.strerror or "").lower()
        raise _refused(device, text) from None
    try:
        found = _signature(device)
        if found:
            raise _refused(device, f"it holds {_described(found)}")
        if not _is_blank(fd):
            raise _refused(device, "it holds data of an unknown kind")
        if os.lseek(fd, 0, os.SEEK_END) < size_bytes + EDGE_BYTES:
            raise InvalidParameterError(f"{device} has no room for {size_bytes // MIB + 1} MiB")
    finally:
        os.close(fd)


def claim(device: str, name: str) -> int:
    """Write the new owner at the disk's end; return the disk's open descriptor."""
    fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    end = os.lseek(fd, 0, os.SEEK_END)
    os.pwrite(fd, _mark(name), end - _MARK_BYTES)
    os.fsync(fd)
    return fd


def open_claimed(device: str, name: str) -> int:
    """Return the open descriptor of a disk that labkit marked with this name, else -1."""
    try:
        fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return -1
    end = os.lseek(fd, 0, os.SEEK_END)
    if end >= _MARK_BYTES and os.pread(fd, _MARK_BYTES, end - _MARK_BYTES) == _mark(name):
        return fd
    os.close(fd)
    return -1


def wipe(fd: int) -> None:
    """Write zeros over the place of signatures, so that the disk holds nothing."""
    for offset, size in _edges(fd):
        os.pwrite(fd, bytes(size), offset)
    os.fsync(fd)


def _check_kind(device: str) -> None:
    try:
        mode = os.stat(device).st_mode
    except OSError as error:
        why = (error.strerror or "").lower()
        raise InvalidParameterError(f"cannot make {device} the lab disk: {why}") from None
    if not stat.S_ISBLK(mode):
        raise InvalidParameterError(f"cannot make {device} the lab disk: it is not a block device")
    if not os.path.isdir(f"/sys/block/{os.path.basename(device)}"):
        raise InvalidParameterError(
            f"cannot make {device} the lab disk: it is a part of a disk; limits are on whole disks"
        )


def _partitions(device: str) -> list[str]:
    folder = f"/sys/block/{os.path.basename(device)}"
    return sorted(name for name in os.listdir(folder) if os.path.exists(f"{folder}/{name}/start"))


def _signature(device: str) -> dict[str, str]:
    """Return blkid(8)'s facts about the disk itself, such as TYPE, UUID and PTTYPE, or none."""
    found = subprocess.run(
        ["blkid", "-p", "-o", "export", device], capture_output=True, text=True, check=False
    )
    if found.returncode == _NOTHING_FOUND:
        return {}
    if found.returncode:
        return {"TYPE": "signatures of several kinds"}
    lines = (line.partition("=") for line in found.stdout.splitlines())
    return {key: value for key, _, value in lines if key in ("TYPE", "PTTYPE", "LABEL")}


def _described(found: dict[str, str]) -> str:
    if "PTTYPE" in found:
        return f"a partition table ({found['PTTYPE']})"
    label = f' named "{found["LABEL"]}"' if "LABEL" in found else ""
    return f"{found.get('TYPE', 'something')}{label}"


def _mark(name: str) -> bytes:
    return (_MARK + name.encode()).ljust(_MARK_BYTES, b"\0")


def _is_blank(fd: int) -> bool:
    return not any(any(os.pread(fd, size, offset)) for offset, size in _edges(fd))


def _edges(fd: int) -> list[tuple[int, int]]:
    """Return offset and size of a disk's beginning and end."""
    end = os.lseek(fd, 0, os.SEEK_END)
    first = min(EDGE_BYTES, end)
    last = min(EDGE_BYTES, end - first)
    return [(0, first), (end - last, last)]


def _refused(device: str, why: str) -> ConflictError:
    return ConflictError(
        f"cannot make {device} the lab disk: {why}; name an empty disk, or none for a loop device"
    )
