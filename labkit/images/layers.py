"""Layers unpacked for overlayfs: `layers/<chain id>/` is the tree, `layers/<chain id>.json` a note.

A layer can always be made again from its blob, so a missing tree is no error: it is unpacked at
its next use.  The note may exist before.
"""

import hashlib
import os
import signal
import stat
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

import msgspec

from labkit.errors import InvalidParameterError
from labkit.images import programs
from labkit.images.archives import unpacker
from labkit.images.archives.compression import GzipBlob, plain_chunks
from labkit.images.packed_uppers import PackingProcess, pieces
from labkit.images.staging import Folder
from labkit.kernel import waiting
from labkit.kernel.files import sync_folder, write_atomically
from labkit.set_aside import UNREADABLE
from labkit.snapshots import Snapshotter, Union

BLOB, TREE = "layer.tar.gz", "tree"
LAYER_MAX_BYTES = 256 << 30
LAYER_MAX_ENTRIES = 10_000_000
RESERVE_BYTES = 64 << 20
RESERVE_INODES = 16_384
OVERLAYFS = Union()


class LayerNote(msgspec.Struct, rename="pascal"):
    """The facts of an unpacked layer; `size_bytes` is the sum of its files' sizes."""

    diff_id: str
    size_bytes: int
    devices_left_out: int = 0
    """How many device files of its archive an engine without root could not make."""


class PackedLayer(msgspec.Struct):
    """A received layer: its archive as a gzip file, and the facts of its content."""

    blob_path: str
    digest: str
    blob_bytes: int
    note: LayerNote


class Layers:
    """The folder of unpacked layers."""

    def __init__(self, path: str, snapshots: Snapshotter) -> None:
        self.path = path
        self.snapshots = snapshots
        self._notes: dict[str, LayerNote] = {}
        os.makedirs(path, mode=0o700, exist_ok=True)

    def tree(self, chain_id: str) -> str:
        """Return the folder for overlayfs."""
        return os.path.join(self.path, chain_id.removeprefix("sha256:"))

    def note(self, chain_id: str) -> LayerNote | None:
        """Return the facts of this layer, None if it was never unpacked."""
        known = self._notes.get(chain_id)  # a chain id means one content, so it never changes
        if known:
            return known
        try:
            with open(self._note_path(chain_id), "rb") as file:
                note = msgspec.json.decode(file.read(), type=LayerNote)
        except UNREADABLE:
            return None
        self._notes[chain_id] = note
        return note

    def has(self, chain_id: str) -> bool:
        """Whether the whole tree exists."""
        return os.path.isdir(self.tree(chain_id))

    def adopt(self, tree: str, chain_id: str, note: LayerNote) -> None:
        """Move an unpacked tree in, unless it exists; call it with the store's lock held."""
        if self.has(chain_id):
            return
        self.write_note(chain_id, note)
        os.rename(tree, self.tree(chain_id))
        sync_folder(self.path)

    def write_note(self, chain_id: str, note: LayerNote) -> None:
        """Write the facts of a layer; call it with the store's lock held."""
        write_atomically(self._note_path(chain_id), msgspec.json.encode(note), 0o644)

    def take_out(self, chain_id: str, folder: Folder) -> None:
        """Move a tree into a folder that will be removed; call it with the lock held."""
        tree = self.tree(chain_id)
        if self.has(chain_id):
            os.rename(tree, os.path.join(folder.path, os.path.basename(tree)))
        self._notes.pop(chain_id, None)
        with suppress(FileNotFoundError):
            os.unlink(self._note_path(chain_id))

    def _note_path(self, chain_id: str) -> str:
        return f"{self.tree(chain_id)}.json"


class UnpackingProcess:
    """The confined process that unpacks a plain tar archive into a new folder.

    `labkit.images.archives.unpacker` describes it, and why it is a separate process.
    """

    def __init__(self, folder: Folder, below: str, *, marked: bool) -> None:
        self.tree = os.path.join(folder.path, TREE)
        os.mkdir(self.tree, 0o755)
        _dress_alike(below, self.tree)
        limits = [str(limit_bytes(folder.path)), str(limit_entries(folder.path))]
        kind = unpacker.MARKED if marked else ""
        options = [*limits, kind if below else unpacker.LOWEST]
        self._process = subprocess.Popen(
            programs.command(unpacker.__name__, self.tree, *options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=(folder.lock_fd,),
        )
        self._stdin_fd = self._process.stdin.fileno()  # type: ignore[union-attr]
        os.set_blocking(self._stdin_fd, False)
        waiting.widen(self._stdin_fd)

    def write(self, data: bytes) -> None:
        """Pass on more of the archive; InvalidParameterError if the process has failed.

        ConnectionAbortedError if the client that wants the layer has disconnected.
        """
        try:
            waiting.feed(self._stdin_fd, data)
        except BrokenPipeError:
            self.finish()
            raise

    def finish(self) -> tuple[int, int]:
        """Wait for its end; return the sum of file sizes in bytes, and the devices left out."""
        output, errors = waiting.until_ended(self._process)
        status = self._process.returncode
        if status == 0:
            size_bytes, devices = map(int, output.split())
            return size_bytes, devices
        if status == -signal.SIGALRM:
            raise InvalidParameterError(
                f"cannot unpack: no progress for {unpacker.NO_PROGRESS_S} s"
            )
        if status < 0:
            raise InvalidParameterError(f"unpacking was ended by signal {-status}")
        lines = errors.decode(errors="replace").strip().splitlines()
        raise InvalidParameterError(f"cannot unpack: {lines[-1] if lines else f'exit {status}'}")

    def abandon(self) -> None:
        """Kill it if it still runs."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()


def _dress_alike(below: str, tree: str) -> None:
    """Copy the root's owner, mode and times from the layer below; the layer may change them."""
    if not below:
        os.chmod(tree, 0o755)  # whatever the umask says
        return
    found = os.stat(below)
    os.chown(tree, found.st_uid, found.st_gid)
    os.chmod(tree, stat.S_IMODE(found.st_mode))
    os.utime(tree, ns=(found.st_atime_ns, found.st_mtime_ns))


def limit_bytes(folder: str) -> int:
    """Return the most bytes a layer may unpack to: a share of the disk stays free."""
    disk = os.statvfs(folder)
    # On a small disk a smaller part stays free.
    kept = min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // 20)
    return min(LAYER_MAX_BYTES, max(0, disk.f_bavail * disk.f_frsize - kept))


def limit_entries(folder: str) -> int:
    """Return the most files a layer may have: some inodes stay free, if the disk counts them."""
    disk = os.statvfs(folder)
    kept = min(RESERVE_INODES, disk.f_files // 20)
    free = disk.f_favail - kept if disk.f_files else LAYER_MAX_ENTRIES
    return min(LAYER_MAX_ENTRIES, max(0, free))


def unpack(
    stream: BinaryIO,
    folder: Folder,
    below: str,
    snapshots: Snapshotter = OVERLAYFS,
    *,
    keep: GzipBlob | None = None,
) -> LayerNote:
    """Read one layer's archive and unpack it to `folder`/tree, in one pass and in small pieces.

    `below` is the unpacked layer below it, "" for the lowest.  With `keep` the plain archive is
    written there, too.  InvalidParameterError if the archive is damaged or hostile; the folder is
    then removed with its content.
    """
    process = UnpackingProcess(folder, below, marked=not snapshots.is_union)
    diff = hashlib.sha256()
    try:
        for chunk in plain_chunks(stream):
            process.write(chunk)
            diff.update(chunk)
            if keep:
                keep.write(chunk)
        size_bytes, devices = process.finish()
    finally:
        process.abandon()
    snapshots.settle(process.tree, below)
    return LayerNote(f"sha256:{diff.hexdigest()}", size_bytes, devices)


def receive(
    stream: BinaryIO, folder: Folder, below: str, snapshots: Snapshotter = OVERLAYFS
) -> PackedLayer:
    """Unpack a layer's archive to `folder`/tree, and keep it as a gzip file beside.

    `below` as in `unpack`.
    """
    blob_path = os.path.join(folder.path, BLOB)
    blob = GzipBlob(blob_path)
    try:
        note = unpack(stream, folder, below, snapshots, keep=blob)
        digest = blob.finish()
    finally:
        blob.close()
    return PackedLayer(blob_path, digest, blob.size_bytes, note)


def pack(
    upper: str, left_out: Sequence[str], folder: Folder, *, marked: bool = False
) -> PackedLayer:
    """Pack a writable layer, which stays where it is, as a gzip file in `folder`.

    `marked`: its deletions are `.wh.` files, not overlayfs's.
    """
    blob_path = os.path.join(folder.path, BLOB)
    blob = GzipBlob(blob_path)
    diff = hashlib.sha256()
    try:
        with PackingProcess(upper, left_out, marked=marked) as process:
            for piece in pieces(process):
                diff.update(piece)
                blob.write(piece)
            note = LayerNote(f"sha256:{diff.hexdigest()}", process.size_bytes())
        digest = blob.finish()
    finally:
        blob.close()
    return PackedLayer(blob_path, digest, blob.size_bytes, note)
