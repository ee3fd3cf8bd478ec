"""Processes: clone3(2), prctl(2), close_range(2), keyctl(2), and lasting names of processes.

The kernel uses a process id again after the process has ended.  So labkit stores a pid together
with the process's start time, and signals it only through a pidfd (pidfd_open(2)) that was checked
after it was opened.
"""

import os
import select
import signal
from ctypes import addressof, c_char_p, c_int, c_size_t, c_uint, c_ulong, create_string_buffer
from struct import pack, unpack

from labkit.kernel import libc

CLONE_PIDFD = 0x1000
CLONE_PARENT = 0x8000
CLONE_INTO_CGROUP = 0x200000000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

LAST_ORDINARY = 31
"""The last signal before the C library's own and the real-time ones (signal(7))."""

CLOSE_RANGE_CLOEXEC = 4
KEYCTL_JOIN_SESSION_KEYRING = 1
_LAST_FD = 0xFFFFFFFF

RESOURCES = {
    name: number
    for number, name in enumerate(
        """
        cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice rtprio
        rttime
        """.split()
    )
}
"""The resources that setrlimit(2) limits, without RLIMIT_: asm-generic/resource.h."""


def lower_limit(one: int, other: int) -> int:
    """Return the stricter of two limits; -1 means no limit."""
    return max(one, other) if -1 in (one, other) else min(one, other)


_CLONE_ARGS = "<11Q"  # struct clone_args of linux/sched.h, as of Linux 5.7


def set_limit(name: str, soft: int, hard: int) -> None:
    """Set a resource limit of the calling process (man 2 prlimit); PermissionError to raise it."""
    new = c_char_p(pack("<2q", soft, hard))  # -1 is RLIM_INFINITY, all bits set
    libc.call("prlimit", 0, RESOURCES[name], new, None, path=name)


def hard_limit(name: str) -> int:
    """Return the most to which this process may raise a resource's limit; -1 for no limit."""
    old = create_string_buffer(16)
    libc.call("prlimit", 0, RESOURCES[name], None, old, path=name)
    _, hard = unpack("<2q", old.raw)
    return int(hard)


def clone(flags: int, cgroup_fd: int = -1) -> tuple[int, int]:
    """Fork with new namespaces; return (pid, pidfd) in the parent and (0, -1) in the child.

    With `cgroup_fd`, an open cgroup v2 directory, the child starts in that cgroup, without the lock
    that a migration takes (CLONE_INTO_CGROUP, Linux 5.7; man 2 clone).  Unlike `os.fork` this runs
    no hooks of the interpreter, so it is for a single-threaded process only.
    """
    pidfd = c_int(-1)
    flags |= CLONE_PIDFD
    if cgroup_fd >= 0:
        flags |= CLONE_INTO_CGROUP
    arguments = pack(
        _CLONE_ARGS,
        flags,
        addressof(pidfd),
        0,
        0,
        signal.SIGCHLD.value,
        0,
        0,
        0,
        0,
        0,
        max(cgroup_fd, 0),
    )
    pid = libc.syscall("clone3", libc.SYS_CLONE3, c_char_p(arguments), c_size_t(len(arguments)))
    return pid, pidfd.value


def clone_sibling() -> int:
    """Fork a sibling: a child of this process's parent.  Return its pid, and 0 in the new process.

    This uses clone(2), because filters of system calls refuse clone3(2): they cannot read its
    arguments.
    """
    flags = CLONE_PARENT | signal.SIGCHLD
    return libc.syscall("clone", libc.SYS_CLONE, c_ulong(flags), *(c_ulong(0) for _ in range(4)))


def prctl(option: int, argument: int | bytes = 0) -> None:
    """Change an attribute of the calling process (man 2 prctl)."""
    value = argument if isinstance(argument, bytes) else c_ulong(argument)
    libc.call("prctl", option, value, c_ulong(0), c_ulong(0), c_ulong(0))


def close_all_but(kept_fds: set[int]) -> None:
    """Close every other descriptor (man 2 close_range)."""
    first_fd = 0
    for fd in sorted(kept_fds):
        if first_fd < fd:
            _close_range(first_fd, fd - 1, 0)
        first_fd = fd + 1
    _close_range(first_fd, _LAST_FD, 0)


def close_on_exec_from(first_fd: int) -> None:
    """Mark every descriptor from `first_fd` up to be closed by execve (man 2 close_range)."""
    _close_range(first_fd, _LAST_FD, CLOSE_RANGE_CLOEXEC)


def _close_range(first_fd: int, last_fd: int, flags: int) -> None:
    libc.syscall(
        "close_range", libc.SYS_CLOSE_RANGE, c_uint(first_fd), c_uint(last_fd), c_uint(flags)
    )


def join_session_keyring(name: str) -> None:
    """Leave the inherited session keyring for the one of this name, which is made if missing.

    The kernel keeps a login session's keys in a session keyring (keyrings(7), keyctl(2)).
    """
    libc.syscall(
        "keyctl",
        libc.SYS_KEYCTL,
        c_int(KEYCTL_JOIN_SESSION_KEYRING),
        c_char_p(name.encode()),
    )


def start_time(pid: int) -> int:
    """Return a process's start time in clock ticks after boot; 0 if there is no such process."""
    fields = _stat_fields(pid)
    return int(fields[19]) if fields else 0


def parent(pid: int) -> int:
    """Return the pid of a process's parent; 0 if there is no such process."""
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else 0


def _stat_fields(pid: int) -> list[bytes]:
    """Return the fields of /proc/<pid>/stat from the third on, none if there is no such process.

    The second field may hold spaces and brackets (proc_pid_stat(5)).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def ignored_signals() -> list[int]:
    """Return the signals that this process ignores (proc_pid_status(5)).

    This takes a tenth of the time of asking the interpreter for each.  The signals between the
    ordinary and the real-time ones are left out: they belong to the C library, which lets no
    program set them (nptl(7)).  Debian 12's `make` starts its commands with them ignored.
    """
    with open("/proc/self/status", "rb") as file:
        mask = int(file.read().partition(b"SigIgn:\t")[2][:16], 16)
    numbers = (*range(1, LAST_ORDINARY + 1), *range(signal.SIGRTMIN, mask.bit_length() + 1))
    return [number for number in numbers if mask >> (number - 1) & 1]


def children() -> set[int]:
    """Return the pids of this process's children (proc_pid_task(5)), adopted ones included.

    For a process with one thread.
    """
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return {int(word) for word in file.read().split()}


def oom_score() -> int:
    """Return this process's score for the out-of-memory killer: -1000 to 1000 (proc(5))."""
    with open("/proc/self/oom_score_adj") as file:
        return int(file.read())


def open_pidfd(pid: int, started: int) -> int | None:
    """Return a pidfd for the process with this pid and start time, None if it has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if start_time(pid) != started:
        os.close(fd)
        return None
    return fd


def has_ended(pidfd: int) -> bool:
    """Whether the process has ended, reaped or not (man 2 pidfd_open, poll)."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def send_signal(pid: int, started: int, number: int) -> bool:
    """Signal exactly the process with this pid and start time; False if it has ended."""
    fd = open_pidfd(pid, started)
    if fd is None:
        return False
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True
