"""The spawner: a warm process with one thread that forks a shim for each container.

The daemon has many threads, and a process with threads must not fork and continue: the child has
the locks, but not the threads that would release them.  A fresh interpreter takes 10 ms and more to
start; this one is already running, has all that the shim needs loaded, and forks in one or two.

Even the fork is done ahead of time: a *spare* waits for the next request.  When it has taken one it
notifies the spawner, which forks another spare while the first becomes the shim of its container.

The command line is `python -SI` with one end of a socket pair.  A message on it is a request for
one container, with a socket for the answers of its shim; `labkit.runtime.launch` is the daemon's
side.  When the daemon closes its end, the spare and the spawner end, and the shims live on.

A killed shim ends its container: no process would read the output.  The kernel kills the process
(`DieWithShim`), unless it has changed its user since.  So the spawner holds a socket to each shim,
and when one closes, the spawner kills what is left.  If shims outlive the daemon, a *keeper*,
forked at the end, takes over, and ends with the last of them.
"""

import gc
import os
import select
import signal
import socket
import sys
from typing import Any, NamedTuple, cast

from labkit.kernel import messages, processes
from labkit.runtime import shim

TAKEN = b"t"


class Kept(NamedTuple):
    """A container that ends with its shim."""

    pidfd: int
    """The pidfd of its first process."""
    cgroup_directories: list[str]

    def end(self) -> None:
        """Kill what is left, if the shim was killed before the container's end."""
        if not processes.has_ended(self.pidfd):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            for directory in self.cgroup_directories:
                shim.empty_group(directory)
        os.close(self.pidfd)


class Keeper:
    """The sockets to the running shims, and what each shim has reported."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._shims: dict[int, tuple[socket.socket, Kept | None]] = {}

    def watch(self, fd: int, connection: socket.socket | None = None) -> None:
        """Wait for `fd` as well; with a connection, for the report of a shim on it."""
        self._poll.register(fd, select.POLLIN)
        if connection is not None:
            self._shims[fd] = (connection, None)

    def wait_for(self, fd: int) -> None:
        """Serve the shims until this descriptor is readable."""
        while fd not in (ready := [one for one, _ in self._poll.poll()]):
            for one in ready:
                self._hear(one)
        self._poll.unregister(fd)

    def keep(self) -> None:
        """Serve the shims until all have ended."""
        while self._shims:
            for fd, _ in self._poll.poll():
                self._hear(fd)

    def has_any(self) -> bool:
        """Whether a shim runs, after reading what is reported."""
        for fd, _ in self._poll.poll(0):
            self._hear(fd)
        return bool(self._shims)

    def let_go(self) -> None:
        """Close everything: this process becomes a shim itself."""
        for connection, kept in self._shims.values():
            connection.close()
            if kept is not None:
                os.close(kept.pidfd)

    def _hear(self, fd: int) -> None:
        connection, kept = self._shims[fd]
        try:
            message = messages.receive(connection)
        except OSError:
            message = None
        if message is not None:
            (pidfd,) = message[1]
            self._shims[fd] = (connection, Kept(pidfd, cast("list[str]", message[0])))
            return
        self._poll.unregister(fd)
        del self._shims[fd]
        connection.close()
        if kept is not None:
            kept.end()


def main(requests_fd: int) -> None:
    """Keep a spare ready until the daemon closes its end of the socket."""
    processes.prctl(processes.PR_SET_NAME, b"labkit-spawner")
    requests = socket.socket(fileno=requests_fd)
    # Keep no folder in use; and relative paths of a plan start at the root of the host.
    os.chdir("/")
    # The kernel reaps the shims: the daemon, not the spawner, asks how they ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Every shim shares the objects of this moment: keep the collector from touching their pages.
    gc.disable()
    gc.freeze()
    keeper = Keeper()
    while True:
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            ours.close()
            keeper.let_go()
            _be_spare(requests, theirs)
        theirs.close()
        keeper.watch(ours.fileno())
        keeper.wait_for(ours.fileno())
        if ours.recv(1) == TAKEN:
            keeper.watch(ours.fileno(), ours)
            continue
        ours.close()
        if not _daemon_is_there(requests):
            break
    requests.close()
    # The daemon waits for this process, but not for the keeper.
    if keeper.has_any() and os.fork() == 0:
        processes.prctl(processes.PR_SET_NAME, b"labkit-keeper")
        keeper.keep()


def _daemon_is_there(requests: socket.socket) -> bool:
    """Whether a spare that ended silently was killed, and the daemon still runs."""
    try:
        return bool(requests.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True


def _be_spare(requests: socket.socket, spawner: socket.socket) -> None:
    """Wait for a request, and become the shim of its container."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # If the spawner is killed, the daemon starts another one, with another spare.
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
        message = messages.receive(requests)
        if message is None:
            os._exit(0)
        processes.prctl(processes.PR_SET_PDEATHSIG, 0)
        spawner.send(TAKEN)
        requests.close()
        fields, fds = cast("tuple[Any, list[int]]", message)
        shim.main(fields, fds, spawner)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)
