"""Packing files of this machine for a container, and unpacking a container's here, in one pass.

The container's archive is not trusted: nothing is written outside the folder it is unpacked in,
not even through a symbolic link.
"""

import io
import os
import stat
import tarfile

from labkit.errors import InvalidParameterError, LabkitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

READ_BYTES = 256 * 1024
END = bytes(2 * tarfile.BLOCKSIZE)
_USUAL_MODE = 0o1777
"""Without set-user-id and set-group-id, as with cp(1): the new owner may be root."""
_OWN_MODES = dict.fromkeys((tarfile.CHRTYPE, tarfile.BLKTYPE), 0o600)
"""The modes of devices: a container may make any device file, but it cannot open it."""


class Source:
    """A file or folder of this machine to pack; InvalidParameterError if it is missing."""

    def __init__(self, path: str, *, follow: bool) -> None:
        """`follow` packs the target of a symbolic link, as a `/` at its end does."""
        self.is_content = path.endswith("/.") or path == "."
        follows = follow or path.endswith("/") or self.is_content
        try:
            self.path = os.path.realpath(path, strict=True) if follows else path
            found = os.lstat(self.path)
        except OSError as error:
            raise InvalidParameterError(f"cannot read {path}: {error.strerror}") from error
        self.name = os.path.basename(os.path.abspath(path))
        self.is_directory = stat.S_ISDIR(found.st_mode)


def pack(source: Source, name: str) -> "Iterator[bytes]":
    """Yield a tar archive with the source called `name`; LabkitError if a file is unreadable."""
    # Used only for its `gettarinfo`, which also finds hard links; it writes nothing.
    reader = tarfile.TarFile(fileobj=io.BytesIO(), mode="w")
    try:
        for path, packed_name in _walk(source.path, name):
            member = reader.gettarinfo(path, packed_name)
            if member is not None:  # sockets cannot be packed
                yield member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
                if member.isreg():
                    yield from _content(path, member.size)
    except OSError as error:
        raise LabkitError(f"cannot read {error.filename}: {error.strerror}") from error
    yield END


def _walk(path: str, name: str) -> "Iterator[tuple[str, str]]":
    yield path, name
    if os.path.isdir(path) and not os.path.islink(path):
        for entry in sorted(os.listdir(path)):
            yield from _walk(f"{path}/{entry}", f"{name}/{entry}")


def _content(path: str, size: int) -> "Iterator[bytes]":
    with open(path, "rb") as file:
        left = size
        while left:
            piece = file.read(min(left, READ_BYTES))
            if not piece:
                raise LabkitError(f"{path} became shorter while it was read")
            left -= len(piece)
            yield piece
    yield bytes(-size % tarfile.BLOCKSIZE)


def unpack(pieces: "Iterable[bytes]", folder: str, name: str, *, keep_owners: bool) -> None:
    """Unpack an archive in a folder, with its first member called `name`, or as the folder itself.

    Without `keep_owners` the files belong to this user.  LabkitError if a file is in the way.
    """
    try:
        with tarfile.open(fileobj=_Reader(pieces), mode="r|") as archive:
            # Python 3.12 asks for a filter; `_checked` is ours.
            archive.extraction_filter = lambda member, path: member
            root = ""
            checked: set[str] = set()
            for member in archive:
                root = root or member.name
                member.name = _renamed(member.name, root, name)
                if member.islnk():
                    member.linkname = _renamed(member.linkname, root, name)
                    # A link's link is a link, and tarfile would change the mode of its target.
                    _check_parents(folder, f"{member.linkname}/.", checked)
                if not keep_owners:
                    member.uid, member.gid = os.geteuid(), os.getegid()
                    member.mode &= _OWN_MODES.get(member.type, _USUAL_MODE)
                _make_way(folder, member, checked)
                archive.extract(member, folder, numeric_owner=True)
    except tarfile.TarError as error:
        raise LabkitError(f"the archive is damaged: {error}") from error
    except OSError as error:
        raise LabkitError(f"cannot write {error.filename}: {error.strerror}") from error


def _renamed(packed: str, root: str, name: str) -> str:
    """Return the new name: `etc/passwd` with the root `etc` called `copy` is `copy/passwd`."""
    inner = "" if packed == root else packed.removeprefix(root.rstrip("/") + "/")
    if inner.startswith("/") or ".." in inner.split("/"):
        raise LabkitError(f"the archive has a name that leads out of it: {packed}")
    return "/".join(part for part in (name, inner) if part) or "."


def _make_way(folder: str, member: tarfile.TarInfo, checked: "set[str]") -> None:
    """Remove a file at the member's place; LabkitError if only one of both is a folder."""
    _check_parents(folder, member.name, checked)
    path = os.path.join(folder, member.name)
    if not os.path.lexists(path) or os.path.samefile(path, folder):
        return
    there = stat.S_ISDIR(os.lstat(path).st_mode)
    if there != member.isdir():
        kinds = ("a directory", "a file") if there else ("a file", "a directory")
        raise LabkitError(f"cannot overwrite {kinds[0]} with {kinds[1]}: {path}")
    if not there:
        os.unlink(path)


def _check_parents(folder: str, name: str, checked: "set[str]") -> None:
    """Add the folders above a name to `checked`; LabkitError if one is a link."""
    above = os.path.dirname(name)
    while above and above not in checked:
        path = os.path.join(folder, above)
        if os.path.islink(path):
            raise LabkitError(
                f"{path} is a symbolic link, and labkit does not write through links: "
                "choose another folder"
            )
        if os.path.isdir(path):
            checked.add(above)
        above = os.path.dirname(above)


class _Reader(io.RawIOBase):
    """An iterator of pieces as a file that can be read."""

    def __init__(self, pieces: "Iterable[bytes]") -> None:
        self._pieces = iter(pieces)
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._left) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._left += piece
        end = len(self._left) if size < 0 else size
        data, self._left = self._left[:end], self._left[end:]
        return data
