"""The program that packs a writable layer: `layer_packer.main()`.

Its command line: `FOLDER KIND [LEFT_OUT...] > TAR`.  The folder is overlayfs's `upperdir`; in the
archive a whiteout (a character device 0/0) is an empty file `.wh.name`, and an opaque folder has an
empty file `.wh..wh..opq` first (OCI image-spec, layer.md).  A folder of the KIND `marked` has these
files itself (`labkit.snapshots`); in any other a file of such a name is refused.  Names are sorted
and times are the files' own, so the same folder gives the same archive.  A `LEFT_OUT` is a path
relative to the folder.

The container controls the folder's files, and may change them during the work: so the folder is
this process's root, mounted without write access and without devices.

On success: exit 0, and the sum of the files' sizes in bytes on standard error.  On failure: exit 1,
and one line there.
"""

import os
import stat
import sys
import tarfile
from collections.abc import Collection
from typing import BinaryIO

from labkit.images.archives.numbers import BadArchiveError
from labkit.images.archives.packer import Packer, children, warm_up
from labkit.images.archives.unpacker import MARKED, OPAQUE, WHITEOUT, confine, fail
from labkit.kernel import overlay, trees

ROOT = "."
"""The word for the folder's own entry in the list of parts to leave out."""
MADE_BY_LABKIT = frozenset(
    {"/.dockerenv", "/dev", "/proc", "/sys", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}
)
"""Mount points and a mark that a start makes if the image lacks them: the container did not make
them.
"""
_ATTRIBUTES = (
    trees.MOUNT_ATTR_RDONLY
    | trees.MOUNT_ATTR_NODEV
    | trees.MOUNT_ATTR_NOSUID
    | trees.MOUNT_ATTR_NOEXEC
)
_STRANGE = frozenset({f"{overlay.ATTRIBUTES}redirect", f"{overlay.ATTRIBUTES}metacopy"})


class LayerPacker(Packer):
    """Writes overlayfs's changes in the form of a layer."""

    def __init__(self, stream: BinaryIO, left_out: Collection[str], *, marked: bool) -> None:
        super().__init__(stream)
        self._marked = marked
        self._left_out = frozenset(left_out)

    def add_layer(self) -> None:
        """Add everything below the root."""
        if ROOT not in self._left_out:
            super().add("/", "./")
        if _is_opaque("/"):
            self._mark(OPAQUE)
        for path, name in reversed(children("/", "")):
            self.add_tree(path, name)

    def add(self, path: str, name: str) -> bool:
        """Add one file; return whether it is a folder."""
        if name in self._left_out:
            return False
        folder, _, last = name.rpartition("/")
        if last.startswith(WHITEOUT) and self._marked:
            self._mark(name)
            return False
        if last.startswith(WHITEOUT):
            raise BadArchiveError(
                f"the file /{name} cannot be kept in a layer: names that begin with {WHITEOUT} "
                "stand for deleted files there"
            )
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return False
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
            self._mark(f"{folder}/{WHITEOUT}{last}".lstrip("/"))
            return False
        is_folder = super().add(path, name)
        if is_folder and _is_opaque(path):
            self._mark(f"{name}/{OPAQUE}")
        return is_folder

    def _mark(self, name: str) -> None:
        member = tarfile.TarInfo(name)
        member.mode = 0o600
        self.write(member)


def _is_opaque(folder: str) -> bool:
    """Whether the folder hides its namesake in the layers below."""
    attributes = os.listxattr(folder, follow_symlinks=False)
    if not _STRANGE.isdisjoint(attributes):
        raise BadArchiveError(
            f"{folder} was renamed by overlayfs's redirect_dir, which no layer can express: "
            "turn it off (modprobe overlay redirect_dir=off)"
        )
    if overlay.OPAQUE not in attributes:
        return False
    return os.getxattr(folder, overlay.OPAQUE, follow_symlinks=False) == b"y"


def enter(folder: str) -> None:
    """Make the folder this process's root, without write access and devices."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    tree = trees.clone_tree(fd, recursive=False)
    trees.set_attributes(tree, _ATTRIBUTES)
    os.fchdir(tree)
    os.close(fd)
    os.close(tree)
    confine(".")


def main() -> None:
    """Pack the named folder to standard output."""
    folder, kind, *left_out = sys.argv[1:]
    try:
        warm_up()
        enter(folder)
        packer = LayerPacker(sys.stdout.buffer, left_out, marked=kind == MARKED)
        packer.add_layer()
        packer.close()
        sys.stdout.flush()
    except BadArchiveError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or folder}: {error.strerror or error}")
    sys.stderr.write(f"{packer.size_bytes}\n")
    sys.stderr.flush()
