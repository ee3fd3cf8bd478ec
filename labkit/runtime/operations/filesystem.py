"""Operations on the container's files: mounts, devices, the root itself.

Everything but the root file system is mounted *after* pivot_root and after the host's root is
detached.  So a symbolic link in an image (a /proc that points to ../../etc, say) can lead only
into the container's own root.
"""

import errno
import os
import stat
from contextlib import suppress
from typing import NamedTuple

from labkit.kernel import mounts, trees
from labkit.kernel.mounts import flag_names
from labkit.runtime.operations.context import Context
from labkit.runtime.operations.stdio import NULL, is_device

LINK_IN_PLACE = "it is a symbolic link in the image; it must be a folder"


class Mount(NamedTuple):
    """Attach a file system, making the mount point if it is missing."""

    source: str
    target: str
    kind: str
    flags: int = 0
    data: str = ""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return (
            f'mount("{self.source}", "{self.target}", "{self.kind}", '
            f'{flag_names(self.flags)}, "{self.data}")'
        )

    def execute(self, context: Context) -> None:
        """Mount; a missing mount point is made, for an image may lack it.

        A link in its place comes from the image: it could lead /proc to a place that the covers do
        not cover, where the container could later mount another /proc (CVE-2019-19921).
        """
        if os.path.islink(self.target):
            raise OSError(errno.ENOTDIR, LINK_IN_PLACE, self.target)
        try:
            mounts.mount(self.source, self.target, self.kind, self.flags, self.data)
        except FileNotFoundError:
            os.makedirs(self.target, 0o755, exist_ok=True)
            mounts.mount(self.source, self.target, self.kind, self.flags, self.data)


class CopyTree(NamedTuple):
    """Copy a folder with everything in it, unless the copy exists.  The shim does it."""

    source: str
    target: str

    def call(self) -> str:
        """The command in the notation of a shell."""
        return f'cp -a --reflink=auto -T "{self.source}" "{self.target}"'

    def execute(self, context: Context) -> None:
        """Copy; ENOSPC if the disk is full."""
        from labkit.kernel.copies import make_copy  # noqa: PLC0415 where no overlay works alone

        make_copy(self.source, self.target)


class MakeDevice(NamedTuple):
    """Make a device file: a door to a driver (mknod(2))."""

    path: str
    major: int
    minor: int
    kind: str = "c"
    """`c` for a character device, `b` for a block device."""
    mode: int = 0o666
    uid: int = 0
    gid: int = 0

    def call(self) -> str:
        """The call as a C programmer would write it."""
        kind = {"c": "S_IFCHR", "b": "S_IFBLK"}[self.kind]
        return f'mknod("{self.path}", {kind}|{self.mode:04o}, makedev({self.major}, {self.minor}))'

    def execute(self, context: Context) -> None:
        """Make the device; the umask of this process is 0."""
        mode = self.mode | {"c": stat.S_IFCHR, "b": stat.S_IFBLK}[self.kind]
        os.mknod(self.path, mode, os.makedev(self.major, self.minor))
        if self.uid or self.gid:
            os.chown(self.path, self.uid, self.gid, follow_symlinks=False)


class MakeRoom(NamedTuple):
    """Make room for a file: make the folders above it, and remove what has its name."""

    path: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'mkdir("{os.path.dirname(self.path)}", 0755); unlink("{self.path}")'

    def execute(self, context: Context) -> None:
        """Remove a file of that name: the image has it, or the run before made it."""
        os.makedirs(os.path.dirname(self.path), 0o755, exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(self.path)


class MakeSymlink(NamedTuple):
    """Make a symbolic link."""

    points_to: str
    path: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'symlink("{self.points_to}", "{self.path}")'

    def execute(self, context: Context) -> None:
        """Make the link."""
        os.symlink(self.points_to, self.path)


class MakeMark(NamedTuple):
    """Make an empty file that shows programs that they are in a container, unless it exists."""

    path: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'open("{self.path}", O_CREAT|O_EXCL, 0755)'

    def execute(self, context: Context) -> None:
        """Make it; a link in its place, from the image, is left alone."""
        with suppress(FileExistsError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(self.path, flags, 0o755))


class HoldNull(NamedTuple):
    """Open /dev/null as labkit made it, before anything of the user's is mounted over /dev.

    Afterwards a volume's /dev/null may be missing, or be a link to a file of the kernel's, which
    would then be shown instead of covered (CVE-2025-31133).
    """

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return 'open("/dev/null", O_PATH|O_NOFOLLOW)'

    def execute(self, context: Context) -> None:
        """Open it, and check that it is the device."""
        context.null_fd = os.open("/dev/null", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        if not is_device(context.null_fd, NULL):
            raise OSError(errno.EINVAL, "it is not the null device", "/dev/null")


class HidePath(NamedTuple):
    """Cover a path so that it cannot be read: a folder by an empty one, a file by /dev/null."""

    path: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'mount("/dev/null" or "tmpfs", "{self.path}", …)'

    def execute(self, context: Context) -> None:
        """Cover the path; a path that this kernel lacks needs no cover."""
        try:
            place = os.open(self.path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            if stat.S_ISDIR(os.fstat(place).st_mode):
                size = "nr_blocks=1,nr_inodes=1"
                mounts.mount("tmpfs", self.path, "tmpfs", mounts.MS_RDONLY, size)
                return
            cover = trees.clone_tree(context.null_fd, recursive=False)
            trees.attach(cover, place)
            os.close(cover)
        finally:
            os.close(place)


class MakePathReadOnly(NamedTuple):
    """Make a path and everything below it read-only, by a bind mount onto itself."""

    path: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'mount("{self.path}", "{self.path}", "", MS_BIND|MS_REC|MS_RDONLY, "")'

    def execute(self, context: Context) -> None:
        """Bind the path onto itself, read-only; a missing path is left alone."""
        try:
            mounts.mount(self.path, self.path, "", mounts.MS_BIND | mounts.MS_REC)
        except FileNotFoundError:
            return
        kept = os.statvfs(self.path).f_flag & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC)
        # The ST_ bits of statvfs(3) have the values of the MS_ bits of mount(2).
        flags = mounts.MS_REMOUNT | mounts.MS_BIND | mounts.MS_RDONLY | kept
        mounts.mount("", self.path, "", flags)


class PivotRoot(NamedTuple):
    """Make a mounted tree this process's root; the host's root stays attached until detached."""

    new_root: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'chdir("{self.new_root}"); pivot_root(".", ".")'

    def execute(self, context: Context) -> None:
        """Swap the roots.  The old root is stacked on the new one, as the working directory."""
        old_root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.chdir(self.new_root)
            mounts.pivot_root(".", ".")
            os.fchdir(old_root)
        finally:
            os.close(old_root)


class DetachOldRoot(NamedTuple):
    """Remove the host's root from this mount namespace: from here on no path leads to its files."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return 'umount2(".", MNT_DETACH); chdir("/")'

    def execute(self, context: Context) -> None:
        """Detach the old root, which is the working directory, and leave it."""
        mounts.unmount(".", mounts.MNT_DETACH)
        os.chdir("/")


class EnterDirectory(NamedTuple):
    """Change to the working directory; with `make` a missing one is made."""

    path: str
    make: bool = True

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'chdir("{self.path}")'

    def execute(self, context: Context) -> None:
        """Change the working directory."""
        try:
            os.chdir(self.path)
        except FileNotFoundError:
            if not self.make:
                raise
            os.makedirs(self.path, 0o755)
            os.chdir(self.path)
