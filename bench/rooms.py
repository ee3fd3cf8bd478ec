"""A room for a peer: mount and PID namespaces whose root is the peer's system.

Nothing of a peer outlives its room.  Its mounts are in the room's mount namespace alone, and the
kernel kills its processes with the room's process 1 (pid_namespaces(7)).  Its files in /run or
/var/lib are in memory; the room shares with this machine the folder for temporary files, the
network, /dev and the cgroups.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from bench.peer import MissingPeerError
from bench.systems import System
from labkit.kernel import mounts, namespaces

SHARED = ("/dev", "/sys")
IN_MEMORY = ("/run", "/var/lib", "/var/cache", "/var/tmp", "/opt")
"""The folders that peers write to, whatever their options."""
# bash reaps orphans.  It ends when every process has closed the other end of its input.
FIRST_PROCESS = "mount -t proc proc /proc && echo ready && read -r"

Result = TypeVar("Result")


class Room:
    """A room of a system.  One thread is inside, and works there."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._thread = ThreadPoolExecutor(1)
        self._processes: list[subprocess.Popen[bytes]] = []

    def open(self) -> None:
        """Make it; `MissingPeerError` if this machine does not allow that."""
        try:
            self.do(_enter, self.system.root, os.path.realpath(tempfile.gettempdir()))
        except OSError as error:
            raise MissingPeerError(f"no namespaces for {self.system.release}: {error}") from None
        pipe = subprocess.PIPE
        first = self.spawn(["bash", "-c", FIRST_PROCESS], stdin=pipe, stdout=pipe, stderr=pipe)
        assert first.stdout
        assert first.stderr
        if not first.stdout.readline():
            raise MissingPeerError(f"no /proc in a room: {first.stderr.read().decode().strip()}")

    def do(self, function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        """Call a function in the room: files (even below /proc) and processes are those there."""
        return self._thread.submit(function, *arguments, **options).result()

    def spawn(self, argv: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        """Start a program that ends with the room; the options are Popen's."""
        process: subprocess.Popen[bytes] = self.do(subprocess.Popen, argv, **options)
        self._processes.append(process)
        return process

    def close(self) -> None:
        """Kill all processes in it, and drop its mounts."""
        for process in self._processes[:1]:
            process.kill()
        # The first one ends after the others have been reaped.
        for process in reversed(self._processes):
            process.wait()
            for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
                pipe.close()
        self._processes.clear()
        self._thread.shutdown()


def _enter(root: str, shared: str) -> None:
    """Move the calling thread, and its future children, to a new root."""
    namespaces.unshare(namespaces.CLONE_NEWNS | namespaces.CLONE_NEWPID)
    mounts.mount("none", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
    if root != "/":
        mounts.mount(root, root, "", mounts.MS_BIND)
        for path in (*SHARED, shared):
            os.makedirs(f"{root}{path}", exist_ok=True)
            mounts.mount(path, f"{root}{path}", "", mounts.MS_BIND | mounts.MS_REC)
        mounts.mount("none", root, "", mounts.MS_REMOUNT | mounts.MS_BIND | mounts.MS_RDONLY)
        os.chdir(root)
        mounts.pivot_root(".", ".")
        mounts.unmount(".", mounts.MNT_DETACH)
        os.chdir("/")
    for path in IN_MEMORY:
        if f"{shared}/".startswith(f"{path}/"):
            continue
        mounts.mount("tmpfs", path, "tmpfs", mounts.MS_NOSUID | mounts.MS_NODEV, "mode=755")
