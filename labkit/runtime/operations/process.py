"""Operations on the process itself: its namespaces, its descriptors, and the final exec."""

import errno
import os
import signal
import socket
from contextlib import contextmanager
from typing import NamedTuple

from labkit.kernel import loopback, messages, mounts, namespaces, processes, terminals
from labkit.runtime.operations.context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FILES = {flag: name for name, flag in namespaces.FLAGS.items()}
"""A namespace's name in /proc/<pid>/ns by its flag."""
USUAL_UMASK = 0o022
"""What a program finds: others may read what it makes, and not write (umask(2)); Docker's."""


class Clone(NamedTuple):
    """Make the container's first process.  The shim does it: here the plan changes processes."""

    flags: int
    cgroup_directory: str = ""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        names = [name for flag, name in namespaces.FLAG_NAMES.items() if self.flags & flag]
        if self.cgroup_directory:
            names.append("CLONE_INTO_CGROUP")
        names.append("CLONE_PIDFD")
        where = f', cgroup: "{self.cgroup_directory}"' if self.cgroup_directory else ""
        return f"clone3({{flags: {'|'.join(names)}{where}}})"

    def execute(self, context: Context) -> None:
        """Return in a new process; see `labkit.runtime.shim` for the side of the parent."""
        raise NotImplementedError("the shim clones, for it must know the process id")

    def clone(self) -> tuple[int, int]:
        """(pid, pidfd) in the shim, (0, -1) in the new process."""
        if not self.cgroup_directory:
            return processes.clone(self.flags)
        cgroup_fd = os.open(self.cgroup_directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return processes.clone(self.flags, cgroup_fd)
        finally:
            os.close(cgroup_fd)


class Unshare(NamedTuple):
    """Give this process a namespace of its own."""

    flag: int

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f"unshare({namespaces.FLAG_NAMES[self.flag]})"

    def execute(self, context: Context) -> None:
        """Leave the shared namespace for a new one."""
        namespaces.unshare(self.flag)


def heed_all_signals() -> None:
    """Ignore no signal any more: what is ignored stays ignored across an exec (signal(7)).

    The interpreter ignores SIGPIPE and SIGXFSZ; who started the daemon may have ignored others, as
    nohup does SIGHUP and a shell's `&` SIGINT.
    """
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


class ConnectStdio(NamedTuple):
    """Start a session, and make the shim's pipes this process's stdin, stdout and stderr."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "setsid(); dup2(stdin, 0); dup2(stdout, 1); dup2(stderr, 2)"

    def execute(self, context: Context) -> None:
        """The pipes are above 2, so that none is overwritten before it is used."""
        os.setsid()
        os.umask(0)
        heed_all_signals()
        for number, fd in enumerate(context.stdio):
            os.dup2(fd, number, inheritable=True)


class OpenTerminal(NamedTuple):
    """Open a terminal of the container's own, use it for stdio, and hand its other end out."""

    height: int
    width: int

    def call(self) -> str:
        """The call as a C programmer would write it."""
        size = f"{self.height}, {self.width}"
        return f'open("/dev/ptmx"); ioctl(TIOCSCTTY); ioctl(TIOCSWINSZ, {{{size}}}); dup2(…)'

    def execute(self, context: Context) -> None:
        """The shim gets the master side, through which it reads and writes from now on."""
        master, slave = terminals.open_pair("/dev/ptmx")
        if self.height and self.width:
            terminals.set_size(master, self.height, self.width)
        with socket.socket(fileno=os.dup(context.terminal_socket)) as shim:
            messages.send(shim, "terminal", [master])
        os.close(master)
        terminals.make_controlling(slave)
        for number in (0, 1, 2):
            os.dup2(slave, number, inheritable=True)
        os.close(slave)


class BindConsole(NamedTuple):
    """Show the terminal as /dev/console as well, where old programs look for it."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return 'mount("/dev/pts/0", "/dev/console", "", MS_BIND, "")'

    def execute(self, context: Context) -> None:
        """It is the first terminal of the container's own devpts, so its number is 0."""
        os.close(os.open("/dev/console", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        mounts.mount("/dev/pts/0", "/dev/console", "", mounts.MS_BIND)


class JoinNamespaces(NamedTuple):
    """Enter the namespaces of the container's first process, all at once."""

    flags: int

    def call(self) -> str:
        """The call as a C programmer would write it."""
        names = [name for flag, name in namespaces.FLAG_NAMES.items() if self.flags & flag]
        return f"setns(pidfd, {'|'.join(names)})"

    def execute(self, context: Context) -> None:
        """A pidfd names all namespaces of a process (Linux 5.8); the root becomes theirs too."""
        namespaces.setns(context.first_pidfd, self.flags)


class JoinNamespace(NamedTuple):
    """Enter one namespace of another container's first process."""

    flag: int
    pid: int
    start_time: int
    """In clock ticks: with the pid it names one process."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        path = f"/proc/{self.pid}/ns/{_FILES[self.flag]}"
        return f'setns(open("{path}"), {namespaces.FLAG_NAMES[self.flag]})'

    def execute(self, context: Context) -> None:
        """Enter it; ESRCH if that process is gone.

        A PID namespace is entered by the children of who calls this, so the shim does.
        """
        with namespace_of(self.pid, self.start_time, self.flag) as fd:
            namespaces.setns(fd, self.flag)


@contextmanager
def namespace_of(pid: int, start_time: int, flag: int) -> "Iterator[int]":
    """A descriptor of a namespace of one certain process; ESRCH if it is gone."""
    path = f"/proc/{pid}/ns/{_FILES[flag]}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        fd = -1
    if fd < 0 or processes.start_time(pid) != start_time:
        raise OSError(errno.ESRCH, "the other container has ended", path)
    try:
        yield fd
    finally:
        os.close(fd)


class Shield(NamedTuple):
    """Let nobody trace this process or read its memory until it is the container's own program.

    It holds descriptors of the host, and processes of the container could reach for them
    (CVE-2016-9962).  The exec lifts the shield.
    """

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "prctl(PR_SET_DUMPABLE, 0)"

    def execute(self, context: Context) -> None:
        """Make this process undumpable."""
        processes.prctl(processes.PR_SET_DUMPABLE, 0)


class SetOomScore(NamedTuple):
    """Make the kernel choose this process sooner or later when the machine is out of memory."""

    score: int

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'write("/proc/self/oom_score_adj", "{self.score}")'

    def execute(self, context: Context) -> None:
        """Its children have it too; a lower one than labkitd's needs CAP_SYS_RESOURCE."""
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(self.score))


class SetResourceLimit(NamedTuple):
    """Limit what this process and each of its children may use of something (setrlimit(2))."""

    name: str
    soft: int
    """What holds; -1 for no limit."""
    hard: int
    """How far the process itself may raise it."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f"setrlimit(RLIMIT_{self.name.upper()}, {{{self.soft}, {self.hard}}})"

    def execute(self, context: Context) -> None:
        """Set it, as far as labkitd may: without CAP_SYS_RESOURCE its own limit is the most."""
        try:
            processes.set_limit(self.name, self.soft, self.hard)
        except PermissionError:
            most = processes.hard_limit(self.name)
            processes.set_limit(self.name, processes.lower_limit(self.soft, most), most)


class DieWithShim(NamedTuple):
    """Be killed if the shim is: without it nobody would read the output or the exit status.

    Changing the user clears this setting (prctl(2)), so it comes after.
    """

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "prctl(PR_SET_PDEATHSIG, SIGKILL)"

    def execute(self, context: Context) -> None:
        """Ask for the signal."""
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)


class SetHostname(NamedTuple):
    """Set the host name this UTS namespace shows."""

    name: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'sethostname("{self.name}", {len(self.name)})'

    def execute(self, context: Context) -> None:
        """Set it."""
        namespaces.set_hostname(self.name)


class BringUpLoopback(NamedTuple):
    """Switch on `lo`, the one interface a new network namespace has."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return 'ioctl(socket, SIOCSIFFLAGS, {"lo", IFF_UP|IFF_RUNNING})'

    def execute(self, context: Context) -> None:
        """Switch it on."""
        loopback.bring_up()


class CloseDescriptors(NamedTuple):
    """Close what the shim has open, above all its folder: /proc/self/fd/7 is a way to the host.

    The image and the user name paths that this process looks up: the working directory, files in
    /etc, the program itself (CVE-2024-21626).  They must find no door open.
    """

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "close_range(3, ~0U, 0)"

    def execute(self, context: Context) -> None:
        """All but those that the operations to come still need, and the executor's report."""
        needed = {context.report_fd, context.terminal_socket, context.names_socket}
        needed |= {0, 1, 2, context.first_pidfd, *context.owned.values()}
        processes.close_all_but(needed - {-1})


class CloseDescriptorsOnExec(NamedTuple):
    """Let no open file of labkit's into the container."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)"

    def execute(self, context: Context) -> None:
        """Mark them; the report to the shim is closed by the exec as well."""
        processes.close_on_exec_from(3)


class Exec(NamedTuple):
    """Become the container's own program: everything before stays as it was arranged."""

    command: tuple[str, ...]
    """The argument vector; the first is a path, or a name to be found in the container's PATH."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        quoted = ", ".join(f'"{word}"' for word in self.command)
        return f'execve("{self.command[0]}", [{quoted}], environment)'

    def execute(self, context: Context) -> None:
        """Replace this program; returns only by OSError: ENOENT (not found), EACCES, ENOEXEC…"""
        os.umask(USUAL_UMASK)
        name = self.command[0]
        if "/" in name:
            os.execve(name, self.command, context.environment)
        refused: OSError | None = None
        for folder in context.environment.get("PATH", os.defpath).split(":"):
            path = f"{folder or '.'}/{name}"
            try:
                os.execve(path, self.command, context.environment)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except PermissionError as error:
                # As execvp(3): a file that may not be executed is remembered, not the end.
                refused = error if os.path.isfile(path) else refused
        if refused:
            raise refused
        raise OSError(errno.ENOENT, "executable file not found in $PATH", name)
