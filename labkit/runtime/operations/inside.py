"""Operations that mount something at a place in the container, wherever the image's links lead.

Files of the host are taken while the host's root is attached (`OpenTree`), and mounted after it is
detached (`AttachTree`): the place may be below a symbolic link of the image or of a volume, and
such a link may point anywhere.  Between `PivotRoot` and `DetachOldRoot` `/..` leads to the host, so
nothing is looked up there.  The place is looked up by openat2(2), which follows none of /proc's
magic links (`/proc/self/fd/7`): it returns a descriptor, which no process can exchange.
"""

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from labkit.kernel import mounts, namespaces, trees
from labkit.kernel.mounts import flag_names
from labkit.runtime.operations.context import Context
from labkit.runtime.operations.filesystem import LINK_IN_PLACE
from labkit.runtime.operations.process import namespace_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = "/proc"
_RESTRICTED = trees.MOUNT_ATTR_NOSUID | trees.MOUNT_ATTR_NODEV | trees.MOUNT_ATTR_NOEXEC
_MOST_LINKS = 40
_PROPAGATIONS = {"slave": mounts.MS_SLAVE, "shared": mounts.MS_SHARED}


class OpenTree(NamedTuple):
    """Take a file or folder of the host, with the mounts below it, to attach it inside."""

    source: str
    target: str
    """Where it will be attached."""
    read_only: bool = False
    subpath: str = ""
    """The part of the source that is shown; links in it cannot lead out of the source."""
    recursive: bool = True
    read_only_recursive: bool = True
    propagation: str = ""
    """`slave`, `shared`, or the same with `r` before it."""

    def call(self) -> str:
        """The calls as a C programmer would write them."""
        below = "|AT_RECURSIVE" if self.recursive else ""
        source = "/".join(filter(None, (self.source, self.subpath)))
        calls = [f'open_tree(AT_FDCWD, "{source}", OPEN_TREE_CLONE{below})']
        if self.read_only:
            calls.append("mount_setattr(…, MOUNT_ATTR_RDONLY)")
        if self.propagation:
            calls.append(f"mount_setattr(…, MS_{self.propagation.removeprefix('r').upper()})")
        return "; ".join(calls)

    def execute(self, context: Context) -> None:
        """Copy the mount; the copy is attached nowhere yet.

        Read-only is set before the copy is visible, on all mounts below as well, and removes none
        of a mount's other restrictions.
        """
        with _closing(os.open(self.source, os.O_PATH | os.O_CLOEXEC)) as source:
            if self.subpath:
                with _closing(trees.open_in_root(source, self.subpath)) as part:
                    tree = trees.clone_tree(part, recursive=self.recursive)
            else:
                tree = trees.clone_tree(source, recursive=self.recursive)
        if self.read_only:
            below = self.read_only_recursive
            trees.set_attributes(tree, trees.MOUNT_ATTR_RDONLY, recursive=below)
        if self.propagation:
            kind = _PROPAGATIONS[self.propagation.removeprefix("r")]
            trees.spread(tree, kind, recursive=self.propagation.startswith("r"))
        context.trees[self.target] = tree


class OpenImage(NamedTuple):
    """Take the files of an image, united and read-only, to attach them inside."""

    layers: Sequence[str]
    """The topmost first."""
    place: str
    """An empty folder of the host where the union is mounted for a moment."""
    target: str
    """Where it will be attached."""
    options: str
    """The union's options (labkit.kernel.overlay)."""
    subpath: str = ""

    def call(self) -> str:
        """The calls as a C programmer would write them."""
        source = "/".join(filter(None, (self.place, self.subpath)))
        return (
            f'mount("overlay", "{self.place}", "overlay", MS_RDONLY, "{self.options}"); '
            f'open_tree(AT_FDCWD, "{source}", OPEN_TREE_CLONE); umount("{self.place}")'
        )

    def execute(self, context: Context) -> None:
        """overlayfs unites two layers or more; a single one is attached itself."""
        is_union = len(self.layers) > 1
        if is_union:
            mounts.mount("overlay", self.place, "overlay", mounts.MS_RDONLY, self.options)
        try:
            with (
                _opened(self.place if is_union else self.layers[0]) as top,
                _closing(trees.open_in_root(top, self.subpath or "/")) as part,
            ):
                tree = trees.clone_tree(part, recursive=False)
        finally:
            if is_union:
                mounts.unmount(self.place, mounts.MNT_DETACH)
        trees.set_attributes(tree, trees.MOUNT_ATTR_RDONLY)
        context.trees[self.target] = tree


class BorrowSharedMemory(NamedTuple):
    """Take another container's /dev/shm, to attach it inside."""

    pid: int
    start_time: int
    target: str
    """The path there, and the path inside."""

    def call(self) -> str:
        """The calls as a C programmer would write them."""
        there = f'setns(open("/proc/{self.pid}/ns/mnt"), CLONE_NEWNS)'
        return f'{there}; open_tree(AT_FDCWD, "{self.target}", OPEN_TREE_CLONE); setns(back)'

    def execute(self, context: Context) -> None:
        """Copy the mount from inside its mount namespace: the kernel requires that; then return."""
        with _among_mounts_of(self.pid, self.start_time), _opened(self.target) as place:
            context.trees[self.target] = trees.clone_tree(place, recursive=False)


class BorrowProc(NamedTuple):
    """Take the /proc of a container whose PID namespace is shared, to attach it inside.

    A new /proc shows the PID namespace of the process that mounts it; that process would be
    visible there while it still has the power to mount.
    """

    pid: int
    start_time: int

    def call(self) -> str:
        """The calls as a C programmer would write them."""
        there = f'setns(open("/proc/{self.pid}/ns/mnt"), CLONE_NEWNS)'
        return f'{there}; open_tree(AT_FDCWD, "{PROC}", OPEN_TREE_CLONE); setns(back)'

    def execute(self, context: Context) -> None:
        """Copy the mount without its covers, and with the usual restrictions.

        ENOTSUP if that container has something else at this path.
        """
        with _among_mounts_of(self.pid, self.start_time), _closing(_open_folder(PROC)) as place:
            if not mounts.is_proc(place):
                text = "the other container's is not a proc file system"
                raise OSError(errno.ENOTSUP, text, PROC)
            try:
                tree = trees.clone_tree(place, recursive=False)
            except OSError:
                # In a user namespace the covers are locked on it: the copy includes them.
                tree = trees.clone_tree(place)
        trees.set_attributes(tree, _RESTRICTED)
        context.trees[PROC] = tree


def _open_folder(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


@contextmanager
def _among_mounts_of(pid: int, start_time: int) -> "Iterator[None]":
    """Be in the mount namespace of a process for a while; the working directory is lost."""
    with _closing(os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)) as own:
        with namespace_of(pid, start_time, namespaces.CLONE_NEWNS) as fd:
            namespaces.setns(fd, namespaces.CLONE_NEWNS)
        try:
            yield
        finally:
            namespaces.setns(own, namespaces.CLONE_NEWNS)


class AttachTree(NamedTuple):
    """Attach what `OpenTree` has taken at its place in the container."""

    target: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'move_mount(…, "{self.target}")'

    def execute(self, context: Context) -> None:
        """Mount it; a missing mount point is made."""
        with _closing(context.trees.pop(self.target)) as tree:
            is_folder = stat.S_ISDIR(os.fstat(tree).st_mode)
            with _place(self.target, is_folder=is_folder) as target:
                trees.attach(tree, target)


class NewFileSystem(NamedTuple):
    """Make a file system of the kernel, to attach it inside.

    In a user namespace the kernel makes a proc or sysfs only for a process that sees a whole one of
    that kind (mount_namespaces(7)), so it is made while the host's is visible.
    """

    kind: str
    target: str
    flags: int
    """The flags of mount(2)."""

    def call(self) -> str:
        """The calls as a C programmer would write them."""
        return f'fsmount(fsopen("{self.kind}"), 0, {flag_names(self.flags)})'

    def execute(self, context: Context) -> None:
        """Make it; the flags of mount(2) used here have the same values in fsmount(2)."""
        context.trees[self.target] = trees.new_file_system(self.kind, self.flags)


class AttachFileSystem(NamedTuple):
    """Attach the /proc or /sys that `NewFileSystem` has made, or `BorrowProc` has taken."""

    target: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'move_mount(…, "{self.target}")'

    def execute(self, context: Context) -> None:
        """Mount it; a link in its place, from the image, is refused, as by `Mount`."""
        with suppress(FileExistsError):
            os.mkdir(self.target, 0o755)
        try:
            place = _open_folder(self.target)
        except NotADirectoryError:
            raise OSError(errno.ENOTDIR, LINK_IN_PLACE, self.target) from None
        with _closing(context.trees.pop(self.target)) as tree, _closing(place):
            trees.attach(tree, place)


class MountTmpfs(NamedTuple):
    """Mount an empty file system in memory at a place in the container."""

    target: str
    flags: int
    data: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'mount("tmpfs", "{self.target}", "tmpfs", {flag_names(self.flags)}, "{self.data}")'

    def execute(self, context: Context) -> None:
        """Mount it; if `data` has no mode, it gets that of the folder it covers."""
        with _opened(".") as here, _place(self.target, is_folder=True) as target:
            data = self.data
            if "mode=" not in data:
                mode = stat.S_IMODE(os.fstat(target).st_mode)
                data = ",".join(filter(None, (data, f"mode={mode:o}")))
            # mount(2) takes no descriptor, but the working directory can be one.
            os.fchdir(target)
            try:
                mounts.mount("tmpfs", ".", "tmpfs", self.flags, data)
            finally:
                os.fchdir(here)


@contextmanager
def _closing(fd: int) -> "Iterator[int]":
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _opened(folder: str) -> "Iterator[int]":
    with _closing(os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
        yield fd


@contextmanager
def _place(target: str, *, is_folder: bool) -> "Iterator[int]":
    """Find the place for a mount, made if it is missing; OSError if no mount may be there.

    A mount over the container's root would not be visible.  Paths in /proc are no files: programs
    trust them to be from the kernel.
    """
    with _opened("/") as root, _closing(_find_or_make(root, target, is_folder=is_folder)) as found:
        place, top = os.fstat(found), os.fstat(root)
        if (place.st_dev, place.st_ino) == (top.st_dev, top.st_ino):
            raise OSError(errno.EINVAL, f"{target} is the container's root: nothing can cover it")
        if place.st_dev != top.st_dev and place.st_dev == _device_of("/proc"):
            raise OSError(errno.EINVAL, f"{target} cannot be mounted because it is inside /proc")
        yield found


def _device_of(path: str) -> int:
    try:
        return os.stat(path).st_dev
    except OSError:  # without the step mount.proc there may be none
        return -1


def _find_or_make(root: int, path: str, *, is_folder: bool, links: int = 0) -> int:
    """Return a descriptor for `path` inside `root`; missing parts are made."""
    with suppress(FileNotFoundError):
        return trees.open_in_root(root, path)
    folder, name = os.path.split(path.rstrip("/"))
    with _closing(_find_or_make(root, folder, is_folder=True, links=links)) as above:
        try:
            _make(above, name, is_folder=is_folder)
        except FileExistsError:
            # A link to a missing file: the file that it points to is made.
            if links == _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
            points_to = os.path.join(folder, os.readlink(name, dir_fd=above))
            return _find_or_make(root, points_to, is_folder=is_folder, links=links + 1)
        return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)


def _make(above: int, name: str, *, is_folder: bool) -> None:
    if is_folder:
        os.mkdir(name, 0o755, dir_fd=above)
        return
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(name, flags, 0o644, dir_fd=above))
