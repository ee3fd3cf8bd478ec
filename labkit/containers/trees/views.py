"""The root of a worker: a container's files, and none of the host's.

The files of a *running* container are in its mount namespace.  The worker enters that and makes a
private copy of it, so that other processes do not see what it mounts or unmounts.  For a container
that does not run, or an image, overlayfs unites the layers in a new mount namespace.  A view for
reading has all layers, the writable one too, as lower layers, and what overlayfs writes goes to
memory: any number of workers may read at once, also while the container starts.  If overlayfs does
not work, the files are one whole tree (`labkit.snapshots`), which is bound to the place.

In no view can device files be opened or set-user-id bits take effect, and none has /proc, whose
links lead to files without a path.  This matters because the worker runs as root, and a container
can make any file.
"""

import errno
import os
from contextlib import suppress
from typing import NamedTuple

from labkit.kernel import mounts, namespaces, overlay, trees, user_namespaces
from labkit.kernel.mounts import MS_BIND, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT
from labkit.runtime import operations as op

HARMLESS = trees.MOUNT_ATTR_NODEV | trees.MOUNT_ATTR_NOSUID | trees.MOUNT_ATTR_NOEXEC
READ_ONLY = HARMLESS | trees.MOUNT_ATTR_RDONLY

_KERNEL_KINDS = frozenset({"proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue"})


class Running(NamedTuple):
    """The files of a running container; the pidfd of its first process comes with the request."""

    only_root: bool
    """Leave out the mounts in it: volumes, and labkit's own mounts."""
    attributes: int
    own_users: bool
    """It has a user namespace: its files' owners are read and set by the namespace's ids."""

    def enter(self, fds: list[int]) -> str:
        """Make it this process's root; returns the folder to confine the process to."""
        # In the container's PID namespace /proc does not show this process: keep the host's.
        own = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        namespaces.setns(fds[0], namespaces.CLONE_NEWNS)
        namespaces.unshare(namespaces.CLONE_NEWNS)
        op.Mount("", "/", "", MS_REC | MS_PRIVATE).execute(op.Context((-1, -1, -1), {}))
        _prune(own, only_root=self.only_root)
        _restrict(self.attributes)
        if self.own_users:
            user_namespaces.enter(fds[0])
        os.close(fds[0])
        return "/"


class Layers(NamedTuple):
    """The files of an image, or of a container that does not run."""

    layers: list[str]
    """The unpacked layers, the topmost first."""
    upper: str
    work: str
    """The writable layer and overlayfs's scratch folder; empty for a view that is only read."""
    place: str
    """A folder of the host on which the worker mounts in its private namespace."""
    mounts: list[tuple[str, str, bool]]
    """The mounts inside: source, path, and whether read-only."""
    read_only_root: bool
    attributes: int

    def enter(self, fds: list[int]) -> str:
        """Make it this process's root; returns the folder to confine the process to."""
        context = op.Context((-1, -1, -1), {})
        own = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        namespaces.unshare(namespaces.CLONE_NEWNS)
        op.Mount("", "/", "", MS_REC | MS_PRIVATE).execute(context)
        root = self._unite(context)
        for mount in self.mounts:
            # A missing source is an error for the container's start, but not for a reader.
            with suppress(FileNotFoundError):
                op.OpenTree(*mount).execute(context)
        op.PivotRoot(root).execute(context)
        op.DetachOldRoot().execute(context)
        for target in list(context.trees):
            op.AttachTree(target).execute(context)
        if self.read_only_root:
            mounts.mount("", "/", "", MS_REMOUNT | MS_BIND | MS_RDONLY)
        _prune(own, only_root=False)
        _restrict(self.attributes)
        return "/"

    def _unite(self, context: op.Context) -> str:
        """Mount the union of the layers; returns its path."""
        if len(self.layers) == 1 and not self.upper:
            op.Mount(self.layers[0], self.place, "", MS_BIND).execute(context)
            return self.place
        if self.upper:
            upper, work, root = self.upper, self.work, self.place
        else:
            op.Mount("tmpfs", self.place, "tmpfs", 0, "mode=700").execute(context)
            upper, work, root = (f"{self.place}/{name}" for name in ("upper", "work", "merged"))
            for folder in (upper, work, root):
                os.mkdir(folder)
            _dress_alike(self.layers[0], upper)
        options = f"{overlay.options(self.layers, upper, work)},index=off"
        op.Mount("overlay", root, "overlay", 0, options).execute(context)
        return root


class Folder(NamedTuple):
    """A folder of the host; its descriptor comes with the request."""

    def enter(self, fds: list[int]) -> str:
        """Change to the folder; returns the folder to confine the process to."""
        os.fchdir(fds[0])
        os.close(fds[0])
        return "."


View = Running | Layers | Folder
VIEWS: dict[str, type[Running] | type[Layers] | type[Folder]] = {
    kind.__name__: kind for kind in (Running, Layers, Folder)
}


def _dress_alike(source: str, folder: str) -> None:
    """Give the root of a union the owner, mode and times of its topmost layer's root."""
    found = os.stat(source)
    os.chown(folder, found.st_uid, found.st_gid)
    os.chmod(folder, found.st_mode & 0o7777)
    os.utime(folder, ns=(found.st_atime_ns, found.st_mtime_ns))


def _prune(own: int, *, only_root: bool) -> None:
    """Detach the kernel's file systems, or all but the root; `own` is this process's /proc folder.

    Mounts below each of them are detached too.
    """
    fd = os.open("mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=own)
    os.close(own)
    with open(fd, encoding="utf-8", errors="surrogateescape") as file:
        points = mounts.parse_mountinfo(file.read())
    for point in reversed(points):
        is_kernels = point.kind in _KERNEL_KINDS or point.target == "/dev"
        if point.target != "/" and (only_root or is_kernels):
            try:
                mounts.unmount(point.target, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
            except OSError as error:
                # EINVAL: detached together with its parent mount, or locked by a user namespace.
                if error.errno == errno.EINVAL and os.path.ismount(point.target):
                    mounts.mount("tmpfs", point.target, "tmpfs", MS_RDONLY, "nr_inodes=1")


def _restrict(attributes: int) -> None:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    trees.set_attributes(root, attributes)
    os.close(root)
