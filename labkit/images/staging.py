"""Unfinished work: a folder for each operation, which is removed when the operation ends.

Unfinished work is invisible, because it is elsewhere until a rename(2).  flock(2) holds a folder as
long as a process works in it.  So after a crash, even a kill -9, the next process that opens the
store can tell abandoned folders from those in use by another process.
"""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from labkit.images.layout import Layout
from labkit.kernel import reserve
from labkit.kernel.files import write_atomically
from labkit.kernel.trails import remove_tree
from labkit.set_aside import UNREADABLE

CLAIM = "claim.json"
_PREFIX = "tmp"


class Claim(msgspec.Struct):
    """The blobs and layers that an operation will bring in, or take out, by digest and chain id.

    It is written first.  After a crash in the middle, everything that is claimed and not in the
    index is removed.  Until then no other operation deletes what a claim names.
    """

    blobs: list[str]
    chains: list[str]


class Folder(NamedTuple):
    """One operation's folder; a helper process that gets `lock_fd` keeps it held as well."""

    path: str
    lock_fd: int

    def write_claim(self, claim: Claim) -> None:
        """Write the claim, before anything is moved."""
        write_atomically(os.path.join(self.path, CLAIM), msgspec.json.encode(claim))

    def read_claim(self) -> Claim:
        """Return the written claim; an empty one if the operation wrote none."""
        try:
            with open(os.path.join(self.path, CLAIM), "rb") as file:
                return msgspec.json.decode(file.read(), type=Claim)
        except UNREADABLE:  # a damaged claim names nothing that must stay
            return Claim([], [])


class Staging:
    """The folder of unfinished work, on the file system of its results."""

    def __init__(self, path: str, layout: Layout) -> None:
        self.path = path
        self._layout = layout
        os.makedirs(path, mode=0o700, exist_ok=True)

    @contextmanager
    def folder(self) -> Iterator[Folder]:
        """A new folder that exists during the `with` block."""
        with self._layout.locked():  # else another process's sweep may remove it before it is held
            path = reserve.retrying(lambda: tempfile.mkdtemp(prefix=_PREFIX, dir=self.path))
            lock_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock_fd, fcntl.LOCK_EX)
        try:
            yield Folder(path, lock_fd)
        finally:
            remove_tree(path)
            os.close(lock_fd)

    def claims_but(self, own: Folder) -> list[Claim]:
        """Return the claims of all other operations; call it with the lock held."""
        paths = (os.path.join(self.path, name) for name in os.listdir(self.path))
        return [Folder(path, -1).read_claim() for path in paths if path != own.path]

    def sweep(self, undo: Callable[[Claim, Folder], object]) -> None:
        """Remove the folders of processes that have ended, each after `undo` of its claim."""
        with self._layout.locked():
            for name in os.listdir(self.path):
                if not name.startswith(_PREFIX):
                    continue  # as lost+found, which is not labkit's
                path = os.path.join(self.path, name)
                try:
                    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                except (FileNotFoundError, NotADirectoryError):  # its operation has just ended
                    continue
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    folder = Folder(path, fd)
                    undo(folder.read_claim(), folder)
                    remove_tree(path)
                except BlockingIOError:
                    continue
                finally:
                    os.close(fd)
