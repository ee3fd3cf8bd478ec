"""Leave the machine as it was: the folder, processes left by a peer, cgroups, mounts."""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator

from bench import memory
from labkit.kernel import mounts, processes

CGROUPS = "/sys/fs/cgroup"
# The groups that peers make at the top of a hierarchy and leave there.
GROUP_NAMES = ("labkit-bench", "labkit-bench-net", "libpod_parent")
GRACE_S = 5.0


@contextlib.contextmanager
def clean_folder() -> Iterator[str]:
    """A temporary folder for all files; at the end of the block everything left is removed."""
    # Orphans of this run (conmon, a shim) become children of this process, not of the machine's
    # first one: so this process knows them, and can wait for them.
    processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 1)
    before = set(_groups())
    # A short name: a Unix socket's path has room for 107 bytes.
    folder = tempfile.mkdtemp(prefix="bench-")
    try:
        yield folder
    finally:
        _end_children()
        for group in set(_groups()) - before:
            _remove_group(group)
        for point in sorted(_mounts_below(folder), reverse=True):
            mounts.unmount(point, mounts.MNT_DETACH)
        shutil.rmtree(folder)


def _end_children() -> None:
    deadline = time.monotonic() + GRACE_S
    while children := memory.children(os.getpid()):
        if time.monotonic() > deadline:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.02)


def _groups() -> list[str]:
    parents = [CGROUPS, *(entry.path for entry in os.scandir(CGROUPS) if entry.is_dir())]
    paths = (f"{parent}/{name}" for parent in parents for name in GROUP_NAMES)
    return [path for path in paths if os.path.isdir(path)]


def _remove_group(path: str) -> None:
    for folder, _, _ in os.walk(path, topdown=False):
        # A group that still holds a process of another program stays.
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _mounts_below(folder: str) -> list[str]:
    with open("/proc/self/mountinfo") as file:
        points = [line.split()[4] for line in file]
    return [point for point in points if point.startswith(f"{folder}/")]
