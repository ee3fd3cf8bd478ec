"""Loop devices: a file as a disk (loop(4))."""

import errno
import fcntl
import os
import stat
from struct import pack, unpack_from

from labkit.kernel import files

LOOP_CTL_GET_FREE = 0x4C82
LOOP_GET_STATUS64 = 0x4C05
LOOP_CONFIGURE = 0x4C0A
LO_FLAGS_AUTOCLEAR = 0x4
LO_FLAGS_DIRECT_IO = 0x10

# struct loop_config (linux/loop.h): of its 304 bytes the file, and in its struct loop_info64 the
# flags and the file's name; all else stays 0.
_CONFIG = "=I4x52xI64s176x"
_INFO_BYTES = 232
"""The size of struct loop_info64; it begins with the device and the inode of the file."""
_MAJOR = 7
_TAKEN_MEANWHILE = 16
"""How often another process may take the free device before `attach` fails."""


def attach(path: str, *, lock: bool = False) -> tuple[int, str]:
    """Make a file a disk; return its open descriptor and its name (`/dev/loop0`).

    The kernel detaches the file when no process has the device open or mounted, even if labkit was
    killed.  It reads and writes past the file's page cache if the file's own disk can.  With `lock`
    the device holds the file's lock (flock(2)); BlockingIOError if another device does.
    """
    file_fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if lock:
            fcntl.flock(file_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for _ in range(_TAKEN_MEANWHILE):
            fd, device = _open(_free_number())
            try:
                fcntl.ioctl(fd, LOOP_CONFIGURE, _config(file_fd, path))
            except OSError as error:
                os.close(fd)
                if error.errno != errno.EBUSY:
                    raise
            else:
                return fd, device
    finally:
        os.close(file_fd)
    raise OSError(errno.EBUSY, "other processes took every free loop device", path)


def backing_file(device: str) -> str:
    """Return the file behind a loop device, or "" if there is none."""
    path = f"/sys/block/{os.path.basename(device)}/loop/backing_file"
    return files.text_of(path).rstrip("\n")


def device_of(path: str) -> str:
    """Return the loop device that has this file, or "" if there is none.

    The search is by the file's inode: the device may show a name in another mount namespace.
    """
    found = os.stat(path)
    for name in os.listdir("/sys/block"):
        if not name.startswith("loop") or not os.path.exists(f"/sys/block/{name}/loop"):
            continue
        fd, device = _open(int(name.removeprefix("loop")))
        try:
            info = bytearray(_INFO_BYTES)
            fcntl.ioctl(fd, LOOP_GET_STATUS64, info)
            if unpack_from("=QQ", info) == (found.st_dev, found.st_ino):
                return device
        except OSError:
            continue  # it has just been detached
        finally:
            os.close(fd)
    return ""


def _open(number: int) -> tuple[int, str]:
    """Open a loop device by its number.

    A container's /dev is a copy of the host's at its start, so the device file of a newer device
    may be missing; then it is made.
    """
    device = f"/dev/loop{number}"
    try:
        return os.open(device, os.O_RDWR | os.O_CLOEXEC), device
    except FileNotFoundError:
        os.mknod(device, 0o660 | stat.S_IFBLK, os.makedev(_MAJOR, number))
        return os.open(device, os.O_RDWR | os.O_CLOEXEC), device


def _free_number() -> int:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        return int(fcntl.ioctl(control, LOOP_CTL_GET_FREE))
    finally:
        os.close(control)


def _config(file_fd: int, path: str) -> bytes:
    flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO
    return pack(_CONFIG, file_fd, flags, os.fsencode(path)[:63])
