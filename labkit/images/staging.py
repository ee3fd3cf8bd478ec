"""Unfinished work: a folder for each operation, which vanishes when the operation does.

What is not finished is never seen, because it lies elsewhere until a rename(2).  A folder is held
by flock(2) as long as a process works in it, so after a crash, even a kill -9, the next one to
open the store can tell what is left over from what is going on in another process.
"""

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from labkit.images.layout import Layout


class Folder(NamedTuple):
    """One operation's folder; a helper process that gets `lock_fd` keeps it held as well."""

    path: str
    lock_fd: int


class Staging:
    """The folder of unfinished work, on the file system its results will be renamed to."""

    def __init__(self, path: str, layout: Layout) -> None:
        self.path = path
        self._layout = layout
        os.makedirs(path, mode=0o700, exist_ok=True)
        self._sweep()

    @contextmanager
    def folder(self) -> Iterator[Folder]:
        """A new folder for the time of the `with` block."""
        with self._layout.locked():  # or another process's sweep takes it before it is held
            path = tempfile.mkdtemp(dir=self.path)
            lock_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock_fd, fcntl.LOCK_EX)
        try:
            yield Folder(path, lock_fd)
        finally:
            remove_tree(path)
            os.close(lock_fd)

    def _sweep(self) -> None:
        """Remove the folders whose processes are gone."""
        with self._layout.locked():
            for name in os.listdir(self.path):
                path = os.path.join(self.path, name)
                try:
                    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                except FileNotFoundError:  # its operation has just ended
                    continue
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove_tree(path)
                except BlockingIOError:
                    continue
                finally:
                    os.close(fd)


def remove_tree(path: str) -> None:
    """Remove a folder and all in it.

    rm(1), because a layer may nest folders more deeply than Python's stack and PATH_MAX go.
    """
    subprocess.run(["rm", "-rf", "--one-file-system", "--", path], check=True)
