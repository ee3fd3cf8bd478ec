"""The program that unpacks one layer: `FOLDER LIMIT_BYTES LIMIT_ENTRIES [lowest|marked] < TAR`.

An archive is a stranger's list of file operations, executed as root.  So it is executed by a
process of its own, which makes the new folder its root (chroot(2)) before it reads the first byte:
whatever an absolute name, a link or a file behind a link points to, it lies inside.  For the same
reason nothing is imported after that moment (the folder could hold a module of the right name) and
owners are numbers (names would be looked up through libraries in the folder).

What overlayfs must see is written in its words: a whiteout (`.wh.name` in the archive) is a
character device 0/0, an opaque folder (`.wh..wh..opq`) carries the attribute
`trusted.overlay.opaque`.  The lowest layer has nothing to hide, so there they are left out.  Where
there is no overlayfs they stay what they are in the archive (`marked`): an overlay, for one, keeps
neither the device nor the attribute.

On success: exit 0, and the sum of the files' sizes in bytes on standard output.  On failure: exit
1, and one line on standard error.
"""

import ctypes
import errno
import os
import shutil
import stat
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NoReturn

CHUNK_BYTES = 1 << 18
WHITEOUT = ".wh."
AUFS_OWN = ".wh..wh."
OPAQUE = ".wh..wh..opq"
XATTR = "SCHILY.xattr."
OVERLAY_XATTR = "trusted.overlay."
LOWEST, MARKED = "lowest", "marked"
BLOCK_BYTES = 4096
ZEROS = bytes(CHUNK_BYTES)
OWNER_MAX = (1 << 32) - 2
"""The number after it means "leave it as it is" (chown(2))."""
HEADER_MAX_BYTES = 1 << 20
"""Long names and extended attributes; they are read whole."""


class BadArchiveError(Exception):
    """The archive is broken, or asks for what no image may ask."""


class StrictTarInfo(tarfile.TarInfo):
    """tarfile takes a damaged header in the middle for the archive's end; here it is an error."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> "StrictTarInfo":
        """The next header (see `tarfile.TarInfo.fromtarfile`)."""
        try:
            return super().fromtarfile(tarfile_)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise BadArchiveError(f"the tar archive is damaged or cut short ({error})") from None

    def _proc_gnulong(self, tarfile_: tarfile.TarFile) -> tarfile.TarInfo:
        self._check_header()
        return super()._proc_gnulong(tarfile_)  # type: ignore[misc,no-any-return]

    def _proc_pax(self, tarfile_: tarfile.TarFile) -> tarfile.TarInfo:
        self._check_header()
        return super()._proc_pax(tarfile_)  # type: ignore[misc,no-any-return]

    def _check_header(self) -> None:
        if not 0 <= self.size <= HEADER_MAX_BYTES:
            raise BadArchiveError(
                f"a header of {self.size} bytes; names and attributes have at most "
                f"{HEADER_MAX_BYTES}"
            )


class Unpacker:
    """Executes an archive's members in the current root."""

    def __init__(
        self,
        *,
        lowest: bool,
        marked: bool = False,
        top: str = "",
        limit_bytes: int | None = None,
        limit_entries: int | None = None,
    ) -> None:
        self.lowest = lowest
        self._marked = marked
        self.top = top
        """The folder below which the members lie, without a slash at its end."""
        self.limit_bytes = limit_bytes
        """What it may unpack to, if there is a limit; holes do not count, each file a block."""
        self.limit_entries = limit_entries
        """How many members it may have, if there is a limit: each takes an inode."""
        self.size_bytes = 0
        self._taken_bytes = 0
        self._entries = 0
        self._folder_times: dict[str, int] = {}
        self._whiteouts: list[str] = []
        self._makers = {
            tarfile.REGTYPE: self._file,
            tarfile.AREGTYPE: self._file,
            tarfile.CONTTYPE: self._file,
            tarfile.GNUTYPE_SPARSE: self._file,
            tarfile.DIRTYPE: self._folder,
            tarfile.SYMTYPE: self._symbolic_link,
            tarfile.LNKTYPE: self._hard_link,
            tarfile.CHRTYPE: self._device,
            tarfile.BLKTYPE: self._device,
            tarfile.FIFOTYPE: self._device,
        }

    def unpack(self, stream: BinaryIO) -> None:
        """Unpack the whole archive, then give the folders the times they had."""
        with tarfile.open(
            mode="r|",
            fileobj=stream,
            bufsize=CHUNK_BYTES,
            tarinfo=StrictTarInfo,
            encoding="utf-8",
            errors="surrogateescape",
        ) as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # or all headers stay in memory
                self._unpack_member(archive, member)
        self._hide()
        for path, time_ns in self._folder_times.items():
            if os.path.isdir(path) and not os.path.islink(path):
                os.utime(path, ns=(time_ns, time_ns))

    def _unpack_member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        with naming(member.name):
            path = self.top + inside(member.name)
            folder, name = os.path.split(path)
            self._take_entry()
            if self.is_whiteout(name):
                self._note_whiteout(path, name)
                return
            maker = self._makers.get(member.type)
            if maker is None:
                raise BadArchiveError(f"members of type {member.type!r} are not known")
            make_parents(folder)
            self.prepare(member, path)
            maker(archive, member, path)

    def _take_entry(self) -> None:
        self._entries += 1
        if self.limit_entries is not None and self._entries > self.limit_entries:
            raise BadArchiveError(
                f"it has more than {self.limit_entries} entries, which is all there may be "
                "(the free inodes of the disk, less a reserve)"
            )
        self._take(BLOCK_BYTES)

    def _take(self, size_bytes: int) -> None:
        self._taken_bytes += size_bytes
        if self.limit_bytes is not None and self._taken_bytes > self.limit_bytes:
            raise BadArchiveError(
                f"it unpacks to more than {self.limit_bytes} bytes, which is all there may be "
                "(the free space of the disk, less a reserve)"
            )

    def is_whiteout(self, name: str) -> bool:
        """Whether a member stands for what is missing, as in the archive of a layer."""
        return name.startswith(WHITEOUT)

    def prepare(self, member: tarfile.TarInfo, path: str) -> None:
        """Before a member is made: a layer may overwrite what it made before."""

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        make_room(path)
        source: Any = archive.fileobj  # the stream itself: extractfile() cannot skip holes in it
        source.seek(member.offset_data)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            # Holes stay holes: a sparse file of a terabyte may hold a kilobyte.
            for offset, size in getattr(member, "sparse", None) or [(0, member.size)]:
                self._take(size)
                copy_range(source, fd, offset, size)
            os.ftruncate(fd, member.size)
        finally:
            os.close(fd)
        self.size_bytes += member.size
        dress(path, member)

    def _folder(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        if not stat.S_ISDIR(kind_of(path)):
            make_room(path)
            os.mkdir(path, 0o700)
        dress(path, member)
        self._folder_times[path] = mtime_ns(member)

    def _symbolic_link(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        make_room(path)
        os.symlink(member.linkname, path)
        dress(path, member)

    def _hard_link(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        target = self.top + inside(member.linkname)
        if target == path and os.path.lexists(path):
            return
        make_room(path)
        try:
            os.link(target, path, follow_symlinks=False)
        except FileNotFoundError:
            raise BadArchiveError(f"a hard link to {member.linkname!r}: not there") from None

    def _device(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        make_room(path)
        kinds = {tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK}
        kind = kinds.get(member.type, stat.S_IFIFO)
        number = 0 if kind == stat.S_IFIFO else os.makedev(member.devmajor, member.devminor)
        os.mknod(path, kind | 0o600, number)
        dress(path, member)

    def _note_whiteout(self, path: str, name: str) -> None:
        if name.removeprefix(WHITEOUT) in ("", ".", ".."):
            raise BadArchiveError("a whiteout of nothing")
        is_aufs_own = name.startswith(AUFS_OWN) and name != OPAQUE
        if not self.lowest and not is_aufs_own:
            self._whiteouts.append(path)

    def _hide(self) -> None:
        """Hide names, and folders' content, of the layers below: the upper folders first.

        At the end, because a whiteout never hides what its own layer holds, and one below a file
        or below another whiteout has nothing left to hide.
        """
        for whiteout in sorted(self._whiteouts, key=lambda path: path.count("/")):
            folder, name = os.path.split(whiteout)
            with naming(whiteout):
                if is_covered(folder):
                    continue
                make_parents(folder)
                path = os.path.join(folder, name.removeprefix(WHITEOUT))
                if self._marked:
                    mark(whiteout, path)
                elif name == OPAQUE:
                    make_opaque(folder)
                elif stat.S_ISDIR(kind_of(path)):  # it takes the place of the folder below
                    make_opaque(path)
                elif not kind_of(path):
                    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Let errors say which member they are about."""
    try:
        yield
    except OSError as error:
        raise BadArchiveError(f"{name!r}: {error.strerror or error}") from None
    except (BadArchiveError, ValueError, OverflowError) as error:
        raise BadArchiveError(f"{name!r}: {error}") from None


def inside(name: str) -> str:
    """The member's place: its name from the new root on; a name with `..` has none."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadArchiveError("a name with '..' leads out of the image")
    return "/" + "/".join(parts)


def kind_of(path: str) -> int:
    """The type bits of what is at `path` itself, 0 if nothing is."""
    try:
        return stat.S_IFMT(os.lstat(path).st_mode)
    except FileNotFoundError:
        return 0


def is_covered(folder: str) -> bool:
    """Whether this layer has something else than a folder at `folder` or above it."""
    parts = folder.split("/")
    for end in range(2, len(parts) + 1):
        found = kind_of("/".join(parts[:end]))
        if not stat.S_ISDIR(found):
            return found != 0
    return False


def make_room(path: str) -> None:
    """Take away what an earlier member left at `path`: the last one counts, as in Docker."""
    if path == "/":
        raise BadArchiveError("the root of an image is a folder")
    found = kind_of(path)
    if stat.S_ISDIR(found):
        shutil.rmtree(path)
    elif found:
        os.unlink(path)


def make_parents(folder: str) -> None:
    """Make the folders above a member that the archive does not name itself."""
    if os.path.isdir(folder):
        return
    make_parents(os.path.dirname(folder))
    if kind_of(folder):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
    os.mkdir(folder, 0o755)


def make_opaque(folder: str) -> None:
    """Let overlayfs show nothing of this folder in the layers below."""
    os.setxattr(folder, OVERLAY_XATTR + "opaque", b"y", follow_symlinks=False)


def mark(whiteout: str, path: str) -> None:
    """Let the layers' merger hide `path`: of a folder of this layer all that was there before."""
    if stat.S_ISDIR(kind_of(path)) and not whiteout.endswith(f"/{OPAQUE}"):
        whiteout = f"{path}/{OPAQUE}"
    os.close(os.open(whiteout, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))


def copy_range(source: BinaryIO, fd: int, offset: int, size: int) -> None:
    """Copy `size` bytes to `offset` of the new file; long stretches of zeros become holes again."""
    while size:
        data = source.read(min(size, CHUNK_BYTES))
        if not data:
            raise BadArchiveError("the tar archive is cut short")
        if len(data) < BLOCK_BYTES or data != ZEROS[: len(data)]:
            os.pwrite(fd, data, offset)
        offset += len(data)
        size -= len(data)


def dress(path: str, member: tarfile.TarInfo) -> None:
    """Owner, mode, extended attributes, time, in this order: chown(2) clears set-uid bits and
    capabilities, and everything but utimensat(2) touches the time.
    """
    if not (0 <= member.uid <= OWNER_MAX and 0 <= member.gid <= OWNER_MAX):
        raise BadArchiveError(
            f"the owner {member.uid}:{member.gid}: there is none over {OWNER_MAX}"
        )
    os.lchown(path, member.uid, member.gid)
    if not member.issym():
        os.chmod(path, stat.S_IMODE(member.mode))
    for key, value in member.pax_headers.items():
        if key.startswith(XATTR) and not key.startswith(XATTR + OVERLAY_XATTR):
            set_xattr(path, key.removeprefix(XATTR), value.encode("utf-8", "surrogateescape"))
    time_ns = mtime_ns(member)
    os.utime(path, ns=(time_ns, time_ns), follow_symlinks=False)


def set_xattr(path: str, name: str, value: bytes) -> None:
    """Set an attribute; one this file system does not keep is left out, as Docker does."""
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise


def mtime_ns(member: tarfile.TarInfo) -> int:
    """The modification time in nanoseconds; a PAX header has it in decimal, a float would round."""
    text = member.pax_headers.get("mtime")
    if not text:
        return int(member.mtime) * 10**9
    seconds, _, fraction = text.partition(".")
    sign = -1 if seconds.startswith("-") else 1
    return int(seconds or 0) * 10**9 + sign * int(fraction[:9].ljust(9, "0"))


def confine(folder: str) -> None:
    """Make `folder` the root of this process and let it load no code from there."""
    os.umask(0)
    sys.meta_path.clear()
    sys.path.clear()
    os.chroot(folder)
    os.chdir("/")


def sync() -> None:
    """Bring the new tree to the disk: one syncfs(2) instead of an fsync(2) for each file."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    if libc.syncfs(fd):
        raise BadArchiveError(f"writing to the disk: {os.strerror(ctypes.get_errno())}")


def fail(message: str) -> NoReturn:
    """Say why in one line, and end."""
    sys.stderr.write(message.replace("\n", " ") + "\n")
    sys.stderr.flush()
    os._exit(1)


def main() -> None:
    """Unpack standard input into the folder that is named."""
    folder, limit_bytes, limit_entries, *options = sys.argv[1:]
    unpacker = Unpacker(
        lowest=LOWEST in options,
        marked=MARKED in options,
        limit_bytes=int(limit_bytes),
        limit_entries=int(limit_entries),
    )
    confine(folder)
    try:
        unpacker.unpack(sys.stdin.buffer)
        while os.read(0, CHUNK_BYTES):  # what follows the archive's end is padding
            pass
        sync()
    except (BadArchiveError, tarfile.TarError) as error:
        fail(str(error))
    except MemoryError:
        fail("the tar archive asks for more memory than there is")
    except RecursionError:
        fail("the tar archive nests folders too deeply")
    sys.stdout.write(f"{unpacker.size_bytes}\n")
    sys.stdout.flush()
