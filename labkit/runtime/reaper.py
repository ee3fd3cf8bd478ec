"""Reaping the children of a shim that nothing else waits for.

A process that was killed on its way into the container may end much later than the kill; and in a
container without a PID namespace the shim inherits the processes that others leave behind.  A
child that has ended and is not reaped keeps its PID namespace: then the container's first process
could never end (pid_namespaces(7)).
"""

import os
import signal
from contextlib import suppress

from labkit.runtime.watcher import READABLE, Watcher


def wake_at_ends(watcher: Watcher) -> None:
    """Make `watcher.serve` return whenever a child of this process has ended (SIGCHLD)."""
    ended, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)

    def clear(_: int) -> None:
        with suppress(BlockingIOError):
            os.read(ended, 4096)

    watcher.watch(ended, READABLE, clear)


def sleep_at_ends() -> None:
    """Undo `wake_at_ends` in a new process, which has its own children."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)


def reap_all_but(awaited: set[int]) -> None:
    """Reap the children that have ended, up to the first in `awaited`: its own code reaps it."""
    with suppress(ChildProcessError):
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid in awaited:
                return
            os.waitid(os.P_PID, found.si_pid, os.WEXITED | os.WNOHANG)
