"""The driver `loop`: an ext4 file system in one sparse file of the data root, mounted over it.

The file grows with writes, and shrinks with deletions (the mount option `discard`).  The mount
belongs to the machine, not to the daemon: containers that outlive the daemon keep it in use.  The
loop device holds the file's lock (flock(2)) as long as it has the file, so no second device can
have it: two would destroy the file system.
"""

import errno
import os
import shutil
import subprocess
import time
from contextlib import suppress

from labkit.errors import LabkitError
from labkit.kernel import loops, mounts
from labkit.kernel.copies import copy_tree
from labkit.snapshots import record
from labkit.snapshots.record import LOOP, Record

FILE = "storage.img"
CARRIED = ("daemon.json", "certs.d")
"""The files that an administrator may have put into the data root before it was mounted."""

MIB = 1 << 20
LEAST_BYTES = 64 * MIB
LARGEST_BYTES = 256 << 30
_OPTIONS = "discard,noinit_itable"
"""Without the second the kernel would write every inode table, and the file would grow at once."""
_PLACE = "new"
"""The folder on which the file system is mounted while it is made."""
_DETACH_TIMEOUT_S = 5.0
# The file is new and sparse, so all its content is zero already.
_MKFS = ("mkfs.ext4", "-q", "-F", "-L", "labkit-root", "-m", "0", "-E")
_MKFS_AT_ONCE = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"


def image_path(root: str) -> str:
    """Return the sparse file of a data root; the mount on the root hides it."""
    return os.path.join(root, FILE)


def make(root: str, why: str) -> None:
    """Make the image of a new data root, with the record inside; after an OSError it is removed."""
    image, place = image_path(root), os.path.join(root, _PLACE)
    os.makedirs(place, 0o700, exist_ok=True)
    try:
        _make_file(image)
        fd, device = _attached(image)
        try:
            _make_file_system(image, device)
            mounts.mount(device, place, "ext4", 0, _OPTIONS)
            try:
                os.chmod(place, 0o700)
                record.write(place, Record(LOOP, is_inside=True, why=why))
            finally:
                mounts.unmount(place)
        finally:
            os.close(fd)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(image)
        raise
    finally:
        os.rmdir(place)


def _make_file(image: str) -> None:
    fd = os.open(image, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        space = os.fstatvfs(fd)
        # A file that could grow beyond its disk would lose data.
        free = space.f_bavail * space.f_frsize * 9 // 10
        if free < LEAST_BYTES:
            text = f"only {free // MIB} of {LEAST_BYTES // MIB} MiB are free"
            raise OSError(errno.ENOSPC, text, image)
        os.ftruncate(fd, min(free, LARGEST_BYTES) // MIB * MIB)
    finally:
        os.close(fd)


def _make_file_system(image: str, device: str) -> None:
    command = [*_MKFS, _MKFS_AT_ONCE, device]
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    program = shutil.which("mkfs.ext4", path=path)
    if program is None:
        raise OSError(errno.ENOENT, "no such program: apt install e2fsprogs", "mkfs.ext4")
    done = subprocess.run(
        [program, *command[1:]], capture_output=True, text=True, check=False, env={"PATH": path}
    )
    if done.returncode:
        raise OSError(errno.EIO, f"mkfs.ext4: {done.stderr.strip()}", image)


def mount(root: str) -> None:
    """Mount the image of a data root, unless it is mounted; LabkitError."""
    if is_mounted(root):
        return
    image = image_path(root)
    beneath = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd, device = _attached(image)
        try:
            mounts.mount(device, root, "ext4", 0, _OPTIONS)
        finally:
            os.close(fd)
        for name in CARRIED:
            _carry(beneath, name, root)
    except OSError as error:
        raise LabkitError(
            f"the data root {root} was made with the storage driver {LOOP}, and its file "
            f"{image} cannot be mounted: {error.strerror or error}: start this machine or "
            "container with loop devices (--privileged), or remove the data root (make clean)"
        ) from error
    finally:
        os.close(beneath)


def _carry(beneath: int, name: str, root: str) -> None:
    source = f"/proc/self/fd/{beneath}/{name}"
    if os.path.isdir(source):
        copy_tree(source, f"{root}/{name}")
        shutil.rmtree(name, dir_fd=beneath)
    elif os.path.exists(source):
        shutil.copy2(source, f"{root}/{name}")
        os.unlink(name, dir_fd=beneath)


def _attached(image: str) -> tuple[int, str]:
    """Return the image's loop device, attached if necessary: its descriptor and name."""
    deadline = time.monotonic() + _DETACH_TIMEOUT_S
    while True:
        try:
            return loops.attach(image, lock=True)
        except BlockingIOError:
            device = loops.device_of(image)
            if device:
                return os.open(device, os.O_RDWR | os.O_CLOEXEC), device
            if time.monotonic() > deadline:
                text = "another container or mount namespace has it as a disk"
                raise OSError(errno.EBUSY, text, image) from None
            time.sleep(0.02)  # the kernel is just detaching it


def is_mounted(root: str) -> bool:
    """Whether the file system is mounted on the data root."""
    known = record.read(root)
    return known is not None and known.is_inside


def unmount(root: str) -> bool:
    """Unmount the file system; False while a process uses it, as a running container does."""
    if not is_mounted(root):
        return True
    try:
        mounts.unmount(root)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def figures(root: str) -> list[list[str]]:
    """Return the lines for `info`: the device, and the space in it."""
    with open("/proc/self/mountinfo") as table:
        there = [m.source for m in mounts.parse_mountinfo(table.read()) if m.target == root]
    space = os.statvfs(root)
    used = (space.f_blocks - space.f_bfree) * space.f_frsize
    size = space.f_blocks * space.f_frsize
    return [
        ["Loop Device", there[-1] if there else "none"],
        ["Image File", image_path(root)],
        ["Image Space", f"{used // MIB} MiB used of {size // MIB} MiB"],
    ]
