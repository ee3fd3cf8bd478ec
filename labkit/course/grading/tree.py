"""The files of a submission: a disk of limited size, and this machine's programs, read-only.

Only what it needs is there: /usr and /etc, Python with its packages, and labkit without the
modules in `hidden` (the judges).  Other submissions, the instructor's folder and the machine's
data roots are not.  All mounts are made by root before the submission has a user namespace, so the
kernel locks them: root of the submission cannot take one away and look below (user_namespaces(7)).
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

import labkit
from labkit import snapshots
from labkit.images.base import build_busybox
from labkit.images.store import ImageStore
from labkit.kernel import loops, mounts
from labkit.kernel.mounts import MS_BIND, MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC
from labkit.snapshots import record

HOME, DATA, RUN, JUPYTER = "/lab/home", "/lab/root", "/lab/run", "/lab/jupyter"
DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
FROM_HOST = ("/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_READ_ONLY = mounts.MS_REMOUNT | MS_BIND | MS_RDONLY


def make_disk(folder: str, size_bytes: int) -> str:
    """Mount a new disk of this size at `folder`/disk, for this mount namespace; its device.

    The file has no name any more afterwards: it is gone with the mount.
    """
    image, place = f"{folder}/disk.img", f"{folder}/disk"
    with open(image, "wb") as file:
        file.truncate(size_bytes)
    try:
        quick = ["-q", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard"]
        subprocess.run(["mkfs.ext4", *quick, image], check=True, capture_output=True)
        fd, device = loops.attach(image)
    finally:
        os.unlink(image)
    try:
        os.makedirs(place, exist_ok=True)
        mounts.mount(device, place, "ext4", MS_NOSUID | mounts.MS_NOATIME)
    finally:
        os.close(fd)
    return device


def fill(place: str, uid: int, hidden: Sequence[str], device: str) -> None:
    """Lay out the root of a submission on its disk at `place`, with the image busybox.

    `hidden` are files that must be empty in there, `device` is the block device that it may set
    limits for.
    """
    for folder in (HOME, RUN, JUPYTER, "/tmp", "/run", "/proc", "/sys", "/dev", "/var/tmp"):  # noqa: S108 folders of the new root
        os.makedirs(f"{place}{folder}", exist_ok=True)
    shutil.rmtree(f"{place}/lost+found", ignore_errors=True)
    _make_image(f"{place}{DATA}")
    _give(place, uid)
    for folder in ("/tmp", "/var/tmp"):  # noqa: S108 folders of the new root
        os.chmod(f"{place}{folder}", 0o1777)
    for path in FROM_HOST:
        _show(place, path)
    for path in (sys.prefix, sys.base_prefix, os.path.dirname(labkit.__file__)):
        if not path.startswith("/usr/"):
            _show(place, path)
    for path in hidden:
        _hide(place, path)
    _devices(f"{place}/dev", device)
    mounts.mount("/proc", f"{place}/proc", "", MS_BIND | MS_REC)
    mounts.mount("/sys", f"{place}/sys", "", MS_BIND | MS_REC)


def enter(place: str) -> None:
    """Make `place` the root of this process's mount namespace, and forget the old one."""
    mounts.mount(place, place, "", MS_BIND | MS_REC)
    os.chdir(place)
    mounts.pivot_root(".", ".")
    mounts.unmount(".", mounts.MNT_DETACH)
    os.chdir("/")


def be_private() -> None:
    """Give this process its own mounts; the machine sees none of them."""
    mounts.mount("", "/", "", MS_REC | MS_PRIVATE)


def _make_image(root: str) -> None:
    """A data root with the image busybox, for an engine without root.

    Its only layer replaces nothing below it, so it has none of the marks that differ without root.
    """
    os.makedirs(root, 0o700)
    with snapshots.opened(root, record.OVERLAYFS):
        build_busybox(ImageStore(root), _say_nothing)
    record.write(root, record.Record(record.OVERLAYFS, limited=True))


def _say_nothing(_: str) -> None:
    return


def _give(place: str, uid: int) -> None:
    """Shift every owner by `uid`: number 0 in there is `uid` out here."""
    for folder, names, files in os.walk(place):
        for name in (".", *names, *files):
            path = f"{folder}/{name}"
            found = os.lstat(path)
            if found.st_uid < uid:
                os.chown(path, uid + found.st_uid, uid + found.st_gid, follow_symlinks=False)
                if not os.path.islink(path):
                    os.chmod(path, found.st_mode & 0o7777)


def _show(place: str, path: str) -> None:
    """Let the submission see a folder of the machine, read-only; a link stays a link."""
    target = f"{place}{path}"
    if os.path.islink(path):
        if not os.path.lexists(target):
            os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
        mounts.mount(path, target, "", MS_BIND)
        mounts.mount("", target, "", _READ_ONLY | MS_NOSUID | MS_NODEV)


def _hide(place: str, path: str) -> None:
    target = f"{place}{path}"
    if os.path.isdir(target):
        mounts.mount("tmpfs", target, "tmpfs", MS_RDONLY, "size=4k")
    elif os.path.exists(target):
        mounts.mount("/dev/null", target, "", MS_BIND)


def _devices(folder: str, device: str) -> None:
    mounts.mount("tmpfs", folder, "tmpfs", MS_NOSUID, "mode=755,size=64k")
    for name in (*DEVICES, os.path.basename(device)):
        with open(f"{folder}/{name}", "w"):
            pass
        mounts.mount(f"/dev/{name}", f"{folder}/{name}", "", MS_BIND)
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"{folder}/{name}")
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "fd/0")):
        os.symlink(target, f"{folder}/{name}")
    for name, target in (("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, f"{folder}/{name}")
