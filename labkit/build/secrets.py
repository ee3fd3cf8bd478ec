"""The files of `RUN --mount=type=secret`: in memory, and without a name once they are mounted.

So a secret never reaches the disk, and is gone with its command, also when labkitd is killed; one
whose command had not begun by then the next daemon removes.
"""

import contextlib
import glob
import os
import tempfile

from labkit import ownership
from labkit.containers import Engine
from labkit.kernel.mounts import mount_of

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 mkstemp(3) makes the files


class SecretFiles:
    """The secrets of one RUN."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._paths: list[str] = []

    def make(self, data: bytes, owner: tuple[int, int], mode: int) -> str:
        """A file with this content; its path."""
        folder, prefix = _place(self._engine)
        fd, path = tempfile.mkstemp(prefix=prefix, dir=folder)
        self._paths.append(path)
        with open(fd, "wb") as file:
            file.write(data)
            os.fchown(fd, *owner)
            os.fchmod(fd, mode)
        return path

    def forget(self) -> None:
        """Take the files' names away: a command that has mounted one sees it until it ends."""
        while self._paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._paths.pop())


def sweep(engine: Engine) -> None:
    """Remove the secrets that a daemon that was killed has left."""
    folder, prefix = _place(engine)
    for path in glob.glob(f"{glob.escape(folder)}/{prefix}*"):
        os.unlink(path)


def _place(engine: Engine) -> tuple[str, str]:
    """A folder in memory, and how the names of an engine's secrets begin there."""
    run = engine.paths.run
    mount = mount_of(run)
    if mount is not None and mount.kind == "tmpfs":
        return run, "secret-"
    return _SHARED_MEMORY, f"{ownership.cgroup_parent(engine.paths.root)}-secret-"
