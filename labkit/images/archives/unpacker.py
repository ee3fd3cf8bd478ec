"""The program that unpacks one layer: `FOLDER LIMIT_BYTES LIMIT_ENTRIES [lowest|marked] < TAR`.

An archive is a list of file operations from an untrusted source, executed as root.  So a separate
process executes it, which makes the new folder its root (chroot(2)) before it reads the first byte:
an absolute name, a link, or a file behind a link always leads inside.  For the same reason nothing
is imported after that moment (the folder could hold a module of the right name) and owners are
numbers (libraries in the folder would look up names).

Deletions are written in overlayfs's form: a whiteout (`.wh.name` in the archive) is a character
device 0/0, an opaque folder (`.wh..wh..opq`) has the attribute `trusted.overlay.opaque`, or its
like (`labkit.kernel.overlay`).  The lowest layer has nothing to hide, so they are left out there.
Without overlayfs they stay as they are in the archive (`marked`): an overlay, for one, keeps
neither the device nor the attribute.

On success: exit 0, and two numbers on standard output: the sum of the files' sizes in bytes, and
the number of device files left out, which an engine without root cannot make.  On failure: exit 1,
and one line on standard error.
"""

import ctypes
import errno
import os
import resource
import signal
import stat
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NoReturn, cast

from labkit.images.archives.numbers import BadArchiveError
from labkit.images.archives.reader import CHUNK_BYTES, XATTR, ArchiveReader, Member
from labkit.kernel import overlay, power, processes
from labkit.kernel.trails import remove_tree

WHITEOUT = ".wh."
AUFS_OWN = ".wh..wh."
OPAQUE = ".wh..wh..opq"
LOWEST, MARKED = "lowest", "marked"
BLOCK_BYTES = 4096
ZEROS = bytes(CHUNK_BYTES)
MEMORY_MAX_BYTES = 1 << 30
"""The address space of a process that reads or writes an untrusted archive or tree."""
NO_PROGRESS_S = 120
"""How long such a process may work on one piece of an archive before the kernel kills it."""


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
        """The folder that the members are below, without a slash at its end."""
        self.limit_bytes = limit_bytes
        """The most it may unpack to, or None; holes do not count, each file counts as a block."""
        self.limit_entries = limit_entries
        """The most members it may have, or None: each takes an inode."""
        self.size_bytes = 0
        self.devices_left_out = 0
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
        """Unpack the whole archive, then set the times of the folders."""
        try:
            reader = ArchiveReader(cast("BinaryIO", Watched(stream)))
            while (member := reader.next()) is not None:
                self._unpack_member(reader, member)
            self._hide()
            self._settle_times()
        finally:
            signal.alarm(0)

    def _settle_times(self) -> None:
        for path, time_ns in self._folder_times.items():
            signal.alarm(NO_PROGRESS_S)
            with naming(path):
                if stat.S_ISDIR(kind_of(path)):
                    os.utime(path, ns=(time_ns, time_ns))

    def _unpack_member(self, reader: ArchiveReader, member: Member) -> None:
        with naming(member.name):
            path = self.top + inside(member.name)
            folder, name = os.path.split(path)
            self._take_entry()
            if self.is_whiteout(name):
                self._note_whiteout(path, name)
                return
            maker = self._makers.get(member.type)
            if maker is None:
                raise BadArchiveError(f"unknown type of member: {member.type!r}")
            self._make_parents(folder)
            self.prepare(member, path)
            maker(reader, member, path)

    def _make_parents(self, folder: str) -> None:
        """Make the folders above a member that the archive does not contain."""
        missing = []
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for folder in reversed(missing):
            if kind_of(folder):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
            self._take_entry()
            os.mkdir(folder, 0o755)

    def _take_entry(self) -> None:
        self._entries += 1
        if self.limit_entries is not None and self._entries > self.limit_entries:
            raise BadArchiveError(
                f"it has more than {self.limit_entries} entries, the most that is allowed "
                "(the free inodes of the disk, less a reserve)"
            )
        self._take(BLOCK_BYTES)

    def _take(self, size_bytes: int) -> None:
        self._taken_bytes += size_bytes
        if self.limit_bytes is not None and self._taken_bytes > self.limit_bytes:
            raise BadArchiveError(
                f"it unpacks to more than {self.limit_bytes} bytes, the most that is allowed "
                "(the free space of the disk, less a reserve)"
            )

    def is_whiteout(self, name: str) -> bool:
        """Whether a member marks a deleted file, as in the archive of a layer."""
        return name.startswith(WHITEOUT)

    def prepare(self, member: Member, path: str) -> None:
        """Prepare for a member; nothing here: a layer may overwrite what it made before."""

    def _file(self, reader: ArchiveReader, member: Member, path: str) -> None:
        fd = _new_file(path)
        try:
            # Holes stay holes: a sparse file of a terabyte may hold a kilobyte.
            for offset, size in member.stored:
                self._take(size)
                copy_range(reader, fd, offset, size)
            if member.size >= BLOCK_BYTES:  # its end may be a hole
                os.ftruncate(fd, member.size)
            dress(fd, member)
        finally:
            os.close(fd)
        self.size_bytes += member.size

    def _folder(self, reader: ArchiveReader, member: Member, path: str) -> None:
        if not stat.S_ISDIR(kind_of(path)):
            make_room(path)
            os.mkdir(path, 0o700)
        dress(path, member)
        self._folder_times[path] = mtime_ns(member)

    def _symbolic_link(self, reader: ArchiveReader, member: Member, path: str) -> None:
        make_room(path)
        os.symlink(member.linkname, path)
        dress(path, member)

    def _hard_link(self, reader: ArchiveReader, member: Member, path: str) -> None:
        target = self.top + inside(member.linkname)
        if target == path and os.path.lexists(path):
            return
        make_room(path)
        try:
            os.link(target, path, follow_symlinks=False)
        except FileNotFoundError:
            raise BadArchiveError(f"a hard link to {member.linkname!r}, which is missing") from None

    def _device(self, reader: ArchiveReader, member: Member, path: str) -> None:
        make_room(path)
        kinds = {tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK}
        kind = kinds.get(member.type, stat.S_IFIFO)
        number = 0 if kind == stat.S_IFIFO else os.makedev(member.devmajor, member.devminor)
        if power.IS_LIMITED and kind != stat.S_IFIFO:
            # Only root of the machine can make a device file.
            self.devices_left_out += 1
            return
        os.mknod(path, kind | 0o600, number)
        dress(path, member)

    def _note_whiteout(self, path: str, name: str) -> None:
        if name.removeprefix(WHITEOUT) in ("", ".", ".."):
            raise BadArchiveError("a whiteout names no file")
        is_aufs_own = name.startswith(AUFS_OWN) and name != OPAQUE
        if not self.lowest and not is_aufs_own:
            self._whiteouts.append(path)

    def _hide(self) -> None:
        """Hide names, and folders' content, of the layers below: the upper folders first.

        This is done at the end, because a whiteout never hides files of the same layer, and one
        below a file or below another whiteout has nothing left to hide.
        """
        for whiteout in sorted(self._whiteouts, key=lambda path: path.count("/")):
            folder, name = os.path.split(whiteout)
            signal.alarm(NO_PROGRESS_S)
            with naming(whiteout):
                if is_covered(folder):
                    continue
                self._make_parents(folder)
                path = os.path.join(folder, name.removeprefix(WHITEOUT))
                if self._marked:
                    mark(whiteout, path)
                elif name == OPAQUE:
                    make_opaque(folder)
                elif stat.S_ISDIR(kind_of(path)):  # it replaces the folder below
                    make_opaque(path)
                elif not kind_of(path):
                    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Add the member's name to errors."""
    try:
        yield
    except OSError as error:
        raise BadArchiveError(f"{name!r}: {error.strerror or error}") from None
    except (BadArchiveError, ValueError, OverflowError) as error:
        raise BadArchiveError(f"{name!r}: {error}") from None


def inside(name: str) -> str:
    """Return the member's place: its name relative to the new root; `..` is refused."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadArchiveError("a name with '..' leads out of the image")
    return "/" + "/".join(parts)


def kind_of(path: str) -> int:
    """Return the type bits of the file at `path` itself, 0 if there is none."""
    try:
        return stat.S_IFMT(os.lstat(path).st_mode)
    except FileNotFoundError:
        return 0


def is_covered(folder: str) -> bool:
    """Whether this layer has a file that is no folder at `folder` or above it."""
    fd = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        for part in folder.strip("/").split("/"):
            inner = os.open(part or ".", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd = inner
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                return True
    except FileNotFoundError:
        return False
    finally:
        os.close(fd)
    return False


def make_room(path: str) -> None:
    """Remove what an earlier member made at `path`: the last one counts, as in Docker."""
    if path == "/":
        raise BadArchiveError("the root of an image must be a folder")
    found = kind_of(path)
    if stat.S_ISDIR(found):
        remove_tree(path)
    elif found:
        os.unlink(path)


def _new_file(path: str) -> int:
    """Make an empty file, in the place of what an earlier member made; return its descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileExistsError:
        make_room(path)
        return os.open(path, flags, 0o600)


def make_opaque(folder: str) -> None:
    """Make overlayfs hide this folder's content of the layers below."""
    os.setxattr(folder, overlay.OPAQUE, b"y", follow_symlinks=False)


def mark(whiteout: str, path: str) -> None:
    """Mark `path` as hidden for the merger of layers; of a folder here, all old content."""
    if stat.S_ISDIR(kind_of(path)) and not whiteout.endswith(f"/{OPAQUE}"):
        whiteout = f"{path}/{OPAQUE}"
    os.close(os.open(whiteout, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))


def copy_range(source: ArchiveReader, fd: int, offset: int, size: int) -> None:
    """Copy `size` bytes to `offset` of the new file; long runs of zeros become holes again."""
    while size:
        data = source.read(min(size, CHUNK_BYTES))
        if len(data) < BLOCK_BYTES or data != ZEROS[: len(data)]:
            os.pwrite(fd, data, offset)
        offset += len(data)
        size -= len(data)


def dress(file: str | int, member: Member) -> None:
    """Set owner, mode, extended attributes and time, in this order; `file`: a path or descriptor.

    chown(2) clears set-uid bits and capabilities, and every call but utimensat(2) changes the time.
    """
    follows = isinstance(file, int)  # a descriptor is no link, and Python wants it said
    give(file, member.uid, member.gid)
    if not member.issym():
        os.chmod(file, stat.S_IMODE(member.mode))
    for key, value in member.pax_headers.items():
        if key.startswith(XATTR) and not key.startswith(XATTR + overlay.ATTRIBUTES):
            set_xattr(file, key.removeprefix(XATTR), value.encode("utf-8", "surrogateescape"))
    time_ns = mtime_ns(member)
    os.utime(file, ns=(time_ns, time_ns), follow_symlinks=follows)


def give(file: str | int, uid: int, gid: int) -> None:
    """Change the owner; if the user namespace lacks that owner, root stays."""
    try:
        os.chown(file, uid, gid, follow_symlinks=isinstance(file, int))
    except OSError as error:
        if not (power.IS_LIMITED and error.errno == errno.EINVAL):
            raise


def set_xattr(file: str | int, name: str, value: bytes) -> None:
    """Set an attribute; one that this file system does not keep is left out, as in Docker."""
    try:
        os.setxattr(file, name, value, follow_symlinks=isinstance(file, int))
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise


def mtime_ns(member: Member) -> int:
    """Return the modification time in nanoseconds; PAX has it in decimal, a float would round."""
    text = member.pax_headers.get("mtime")
    if not text:
        return int(member.mtime) * 10**9
    seconds, _, fraction = text.partition(".")
    sign = -1 if seconds.startswith("-") else 1
    return int(seconds or 0) * 10**9 + sign * int(fraction[:9].ljust(9, "0"))


class Watched:
    """A stream; the kernel kills this process if it works too long on one piece of it.

    Waiting for the next piece does not count: a client may be slow.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        """Return the next piece of at most `size` bytes, none at the end."""
        signal.alarm(0)
        data = self._stream.read(size)
        signal.alarm(NO_PROGRESS_S)
        return data


def confine(folder: str) -> None:
    """Make `folder` the root of this process, and keep it from loading code from there.

    Its memory is limited from now on, and it ends with the daemon's thread that started it.
    """
    processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))
    os.umask(0)
    sys.meta_path.clear()
    sys.path.clear()
    os.chroot(folder)
    os.chdir("/")


def sync() -> None:
    """Sync the new tree to the disk: one syncfs(2) instead of an fsync(2) for each file."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    if libc.syncfs(fd):
        raise BadArchiveError(f"writing to the disk: {os.strerror(ctypes.get_errno())}")


def fail(message: str) -> NoReturn:
    """Print the reason in one line, and exit."""
    sys.stderr.write(message.replace("\n", " ") + "\n")
    sys.stderr.flush()
    os._exit(1)


def main() -> None:
    """Unpack standard input into the named folder."""
    folder, limit_bytes, limit_entries, *options = sys.argv[1:]
    unpacker = Unpacker(
        lowest=LOWEST in options,
        marked=MARKED in options,
        limit_bytes=int(limit_bytes),
        limit_entries=int(limit_entries),
    )
    confine(folder)
    try:
        unpacker.unpack(open(0, "rb", buffering=0, closefd=False))
        while os.read(0, CHUNK_BYTES):  # the rest after the archive's end is padding
            pass
        sync()
    except BadArchiveError as error:
        fail(str(error))
    except OSError as error:
        fail(error.strerror or str(error))
    except MemoryError:
        fail("the tar archive needs more memory than is available")
    sys.stdout.write(f"{unpacker.size_bytes} {unpacker.devices_left_out}\n")
    sys.stdout.flush()
