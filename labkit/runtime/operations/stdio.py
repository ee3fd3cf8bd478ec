"""Operations on the first three descriptors of a process: pipes, a terminal, or /dev/null.

None of them may be a file of the host: a process that has a file open can change its owner and its
mode.
"""

import os
import signal
import socket
import stat
from typing import NamedTuple

from labkit.kernel import messages, mounts, processes, terminals
from labkit.runtime.operations.context import Context

NULL = (1, 3)
"""The numbers of the null device (null(4))."""
_UNTRUSTED = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""The flags for a file that the container may have exchanged: opening it must never block."""


def is_device(fd: int, numbers: tuple[int, int]) -> bool:
    """Whether this open file is the character device with these numbers, major and minor."""
    found = os.fstat(fd)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(*numbers)


def heed_all_signals() -> None:
    """Reset all ignored signals to their default: an ignored one stays so across exec (signal(7)).

    The interpreter ignores SIGPIPE and SIGXFSZ; the process that started the daemon may have
    ignored others, as nohup does SIGHUP and a shell's `&` SIGINT.
    """
    for number in processes.ignored_signals():
        signal.signal(number, signal.SIG_DFL)


class ConnectStdio(NamedTuple):
    """Start a session, and make the shim's pipes this process's stdin, stdout and stderr."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "setsid(); dup2(stdin, 0); dup2(stdout, 1); dup2(stderr, 2)"

    def execute(self, context: Context) -> None:
        """Connect them; the pipes are above 2, so none is overwritten before it is used."""
        os.setsid()
        os.umask(0)
        heed_all_signals()
        for number, fd in enumerate(context.stdio):
            os.dup2(fd, number, inheritable=True)


class OpenNull(NamedTuple):
    """Use the container's own /dev/null as stdin, never a file of the host.

    A process that has a file open can change its owner and its mode, and write to it.
    """

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return 'dup2(open("/dev/null", O_RDWR|O_NOFOLLOW), 0)'

    def execute(self, context: Context) -> None:
        """Open it; if the container has replaced it, stdin stays an empty pipe."""
        try:
            fd = os.open("/dev/null", _UNTRUSTED | os.O_RDWR)
        except OSError:
            return
        if is_device(fd, NULL):
            os.set_blocking(fd, True)
            os.dup2(fd, 0, inheritable=True)
        os.close(fd)


class OpenTerminal(NamedTuple):
    """Open a terminal of the container's devpts for stdio, and send its master side to the shim."""

    height: int
    width: int

    def call(self) -> str:
        """The call as a C programmer would write it."""
        size = f"{self.height}, {self.width}"
        return f'open("/dev/ptmx"); ioctl(TIOCGPTPEER); ioctl(TIOCSWINSZ, {{{size}}}); dup2(…)'

    def execute(self, context: Context) -> None:
        """Open it; from now on the shim reads and writes through the master side."""
        master, slave = terminals.open_pair("/dev/ptmx")
        if self.height and self.width:
            terminals.set_size(master, self.height, self.width)
        with socket.socket(fileno=context.terminal_socket) as shim:
            messages.send(shim, "terminal", [master])
        os.close(master)
        for number in (0, 1, 2):
            os.dup2(slave, number, inheritable=True)
        os.close(slave)


class ControlTerminal(NamedTuple):
    """Make the terminal that is stdin the controlling one: ctrl-c there becomes a signal."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "ioctl(0, TIOCSCTTY)"

    def execute(self, context: Context) -> None:
        """Do it; only the leader of a session can."""
        terminals.make_controlling(0)


class BindConsole(NamedTuple):
    """Show the terminal as /dev/console as well, which old programs use."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return 'mount("/dev/pts/0", "/dev/console", "", MS_BIND, "")'

    def execute(self, context: Context) -> None:
        """Bind the first terminal of the container's own devpts: its number is 0."""
        os.close(os.open("/dev/console", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        mounts.mount("/dev/pts/0", "/dev/console", "", mounts.MS_BIND)
