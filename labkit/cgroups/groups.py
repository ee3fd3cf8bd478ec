"""The effects: groups are folders, made with mkdir, filled with write, removed with rmdir.

Every function takes folders of a mounted hierarchy.  Failures are the kernel's own `OSError`s
(cgroups(7)): ENOENT, the controller is not available here; EBUSY, the group has processes (v2: only
leaves may have them) or groups below it; EACCES, this process may not change it.

A group may vanish at any moment, even while a file of it is open: then the kernel returns ENODEV.
Here that is ENOENT (`FileNotFoundError`) as well, so that a caller handles one error.
"""

import errno
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from labkit.kernel.files import folders_from

KILL_TIMEOUT_S = 5.0


def read(path: str) -> str:
    """Return a file's text without the last newline."""
    with vanishing(path), open(path) as file:
        return file.read().rstrip("\n")


def write(path: str, text: str) -> None:
    """Write `text` in one write(2), as cgroup files require; no file is created."""
    with vanishing(path):
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


@contextmanager
def vanishing(path: str) -> Iterator[None]:
    """Raise FileNotFoundError for a group that vanishes during the block (ENODEV)."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error


def make(directory: str) -> None:
    """Make the group unless it exists."""
    try:
        os.mkdir(directory)
    except FileExistsError:
        return


def fill_cpuset(directory: str) -> None:
    """Copy the parent's CPUs and memory nodes to a v1 cpuset: a new one has none."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not read(f"{directory}/{name}"):
            write(f"{directory}/{name}", read(f"{os.path.dirname(directory)}/{name}"))


def enable(directory: str, controller: str) -> None:
    """Let the groups below this v2 folder use a controller (`cgroup.subtree_control`)."""
    path = f"{directory}/cgroup.subtree_control"
    if controller not in read(path).split():
        write(path, f"+{controller}")


def is_root(directory: str) -> bool:
    """Whether this v2 folder is the root of the whole tree, which may always have processes."""
    return not os.path.exists(f"{directory}/cgroup.type")


def is_usable(directory: str) -> bool:
    """Whether this process may make groups in a folder, and move processes there."""
    writable = os.access(directory, os.W_OK | os.X_OK)
    return writable and os.access(f"{directory}/cgroup.procs", os.W_OK)


def move_processes(source: str, destination: str) -> None:
    """Move every process of one v2 group to another, including those forked during the move.

    A process of a PID namespace above this one is listed as 0, and stays.
    """
    while pids := set(read(f"{source}/cgroup.procs").split()) - {"0"}:
        for pid in pids:
            with suppress(ProcessLookupError):
                write(f"{destination}/cgroup.procs", pid)


def is_delegated(directory: str) -> bool:
    """Whether systemd delegated this group (`Delegate=yes`), which it marks by an attribute.

    `user.delegate` on recent versions, `trusted.delegate` on all (systemd's CGROUP_DELEGATION.md).
    """
    for attribute in ("user.delegate", "trusted.delegate"):
        try:
            if os.getxattr(directory, attribute) == b"1":
                return True
        except OSError:
            continue
    return False


def remove(directories: Iterable[str]) -> None:
    """Remove the groups of one container with all that is below and in them; idempotent.

    Processes that still run there are killed.  OSError (EBUSY) if one survives that for
    `KILL_TIMEOUT_S`, as a process in uninterruptible sleep does.
    """
    left = [directory for directory in directories if not _rmdir(directory)]
    deadline = time.monotonic() + KILL_TIMEOUT_S
    pause_s = 0.0005
    while left:
        tree = [folder for directory in left for folder in _tree(directory)]
        _thaw(tree)
        _kill(tree)
        left = [folder for folder in tree if not _rmdir(folder)]
        if left and time.monotonic() > deadline:
            os.rmdir(left[0])
        if left:
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.05)


def _rmdir(directory: str) -> bool:
    """Whether the group is removed; False if it is still in use."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return not os.path.isdir(directory)
    return True


def _tree(directory: str) -> list[str]:
    """The group and those below it, the deepest first."""
    return folders_from(directory)[::-1]


def _thaw(folders: Iterable[str]) -> None:
    """Thaw frozen v1 groups: a signal does not reach a process in them."""
    for folder in folders:
        with suppress(FileNotFoundError):  # v2, or just removed
            write(f"{folder}/freezer.state", "THAWED")


def _kill(folders: Iterable[str]) -> None:
    for folder in folders:
        try:
            write(f"{folder}/cgroup.kill", "1")
        except FileNotFoundError:  # v1, or a kernel before 5.14
            _kill_one_by_one(f"{folder}/cgroup.procs")


def _kill_one_by_one(procs: str) -> None:
    """Kill each listed process through a pidfd: a pid may belong to another process by now."""
    try:
        for pid in set(read(procs).split()) - {"0"}:
            fd = os.pidfd_open(int(pid))
            try:
                if pid in read(procs).split():
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
            finally:
                os.close(fd)
    except (ProcessLookupError, FileNotFoundError):
        return
