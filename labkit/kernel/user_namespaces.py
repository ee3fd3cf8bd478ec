"""User namespaces: other ids of users and groups inside than outside (user_namespaces(7)).

Root inside is an unprivileged user outside, with no power over ids that are not mapped.
"""

import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

from labkit.kernel import libc, namespaces, processes

IdRange = tuple[int, int, int]
"""The first id inside, the first id outside, and how many: a line of /proc/<pid>/uid_map."""

PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 0x4
_DONE = b"0"


def make(uids: Sequence[IdRange], gids: Sequence[IdRange], others: int = 0) -> dict[int, int]:
    """Make a user namespace with these maps, and the `others` (CLONE_ flags) that belong to it.

    Returns open files, by flag, which keep the namespaces alive.  A forked process makes them: a
    process that has entered a user namespace has no power outside any more, and cannot return.
    Only for a single-threaded process.
    """
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _be_inside(theirs, others)
    theirs.close()
    try:
        with ours:
            _hear(ours)
            for name, ranges in (("uid_map", uids), ("gid_map", gids)):
                with open(f"/proc/{pid}/{name}", "w") as file:
                    file.write("".join(f"{' '.join(map(str, line))}\n" for line in ranges))
            ours.send(_DONE)
            _hear(ours)
            return _open(pid, others | namespaces.CLONE_NEWUSER)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _hear(connection: socket.socket) -> None:
    failure = int(connection.recv(16) or _DONE)
    if failure:
        raise OSError(failure, f"unshare: {os.strerror(failure)}")


def _open(pid: int, flags: int) -> dict[int, int]:
    held: dict[int, int] = {}
    for name, flag in namespaces.FLAGS.items():
        if flags & flag:
            held[flag] = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    return held


def _be_inside(connection: socket.socket, others: int) -> None:
    """Make the namespaces in the forked process, which is killed when they are open elsewhere.

    It makes the others as root of the user namespace: the kernel mounts the message queues of an
    IPC namespace at once, for its maker.
    """
    try:
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
        namespaces.unshare(namespaces.CLONE_NEWUSER)
        connection.send(_DONE)
        connection.recv(1)
        become_root()
        namespaces.unshare(others)
        connection.send(_DONE)
        signal.pause()
    except OSError as error:
        with suppress(OSError):
            connection.send(b"%d" % (error.errno or 0))
    finally:
        os._exit(0)


def act_as(uid: int, gid: int) -> None:
    """Own the files that this thread makes from here on as `uid` and `gid`, with all power kept.

    man 2 setfsuid; without SECBIT_NO_SETUID_FIXUP (capabilities(7)) it would lose power over files.
    """
    processes.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    libc.call("setfsgid", gid)
    libc.call("setfsuid", uid)


def enter(fd: int) -> None:
    """Become root in the user namespace behind `fd` (of /proc/<pid>/ns/user, or a pidfd)."""
    namespaces.setns(fd, namespaces.CLONE_NEWUSER)
    become_root()


def may_set_groups() -> bool:
    """Whether this process's user namespace lets its root set groups (user_namespaces(7)).

    One that maps only the user that made it does not.
    """
    try:
        with open("/proc/self/setgroups") as file:
            return file.read().strip() != "deny"
    except OSError:
        return True


def become_root() -> None:
    """Become root of the user namespace that this process is in."""
    try:
        os.setgroups([])
    except PermissionError:
        if may_set_groups():
            raise
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
