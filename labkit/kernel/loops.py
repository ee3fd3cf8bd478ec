"""Loop devices: a file as a disk (loop(4))."""

import errno
import fcntl
import os
from struct import pack

LOOP_CTL_GET_FREE = 0x4C82
LOOP_CONFIGURE = 0x4C0A
LO_FLAGS_AUTOCLEAR = 0x4
LO_FLAGS_DIRECT_IO = 0x10

# struct loop_config (linux/loop.h): of its 304 bytes the file, and in its struct loop_info64 the
# flags and the file's name; nothing else is asked for.
_CONFIG = "=I4x52xI64s176x"
_TAKEN_MEANWHILE = 16
"""How often another may take the device that was free before we give up."""


def attach(path: str) -> tuple[int, str]:
    """Make a file a disk: its open descriptor, and its name (`/dev/loop0`).

    The kernel detaches the file when nobody has the device open or mounted any more, whoever was
    killed.  It reads and writes the file past its page cache where the file's own disk can.
    """
    file_fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_TAKEN_MEANWHILE):
            device = f"/dev/loop{_free_number()}"
            fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
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
    raise OSError(errno.EBUSY, "every loop device that was free was taken at once", path)


def backing_file(device: str) -> str:
    """The file behind a loop device, or "" if there is none."""
    try:
        with open(f"/sys/block/{os.path.basename(device)}/loop/backing_file") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""


def _free_number() -> int:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        return int(fcntl.ioctl(control, LOOP_CTL_GET_FREE))
    finally:
        os.close(control)


def _config(file_fd: int, path: str) -> bytes:
    flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO
    return pack(_CONFIG, file_fd, flags, os.fsencode(path)[:63])
