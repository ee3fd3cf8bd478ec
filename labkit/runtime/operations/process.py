"""Operations on the process itself: its namespaces, its descriptors, and the final exec."""

import errno
import os
import signal
from contextlib import contextmanager
from typing import NamedTuple

from labkit.kernel import files, namespaces, processes
from labkit.kernel.network import loopback
from labkit.runtime.operations.context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FILES = {flag: name for name, flag in namespaces.FLAGS.items()}
"""The name of a namespace in /proc/<pid>/ns, by its flag."""
USUAL_UMASK = 0o022
"""The umask of a program at its start: others may read its files (umask(2)); as Docker's."""


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
        """Not used: `clone` is called instead, by the shim (`labkit.runtime.birth`)."""
        raise NotImplementedError("the shim clones, for it must know the process id")

    def clone(self) -> tuple[int, int]:
        """Return (pid, pidfd) in the shim, (0, -1) in the new process."""
        if not self.cgroup_directory:
            return processes.clone(self.flags)
        cgroup_fd = os.open(self.cgroup_directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return processes.clone(self.flags, cgroup_fd)
        finally:
            os.close(cgroup_fd)


class Unshare(NamedTuple):
    """Give this process its own namespace of some kind."""

    flag: int

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f"unshare({namespaces.FLAG_NAMES[self.flag]})"

    def execute(self, context: Context) -> None:
        """Leave the shared namespace for a new one."""
        namespaces.unshare(self.flag)


class JoinNamespaces(NamedTuple):
    """Enter the namespaces of the container's first process, all at once."""

    flags: int

    def call(self) -> str:
        """The call as a C programmer would write it."""
        names = [name for flag, name in namespaces.FLAG_NAMES.items() if self.flags & flag]
        return f"setns(pidfd, {'|'.join(names)})"

    def execute(self, context: Context) -> None:
        """Join by the pidfd, which names all namespaces of a process (Linux 5.8); the root too."""
        namespaces.setns(context.first_pidfd, self.flags)


class JoinNamespace(NamedTuple):
    """Enter one namespace of another container's first process."""

    flag: int
    pid: int
    start_time: int
    """In clock ticks; the pid and the start time together name one process."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        path = f"/proc/{self.pid}/ns/{_FILES[self.flag]}"
        return f'setns(open("{path}"), {namespaces.FLAG_NAMES[self.flag]})'

    def execute(self, context: Context) -> None:
        """Enter it; ESRCH if that process has ended.

        A process keeps its own PID namespace: only its later children are in the other one.
        """
        with namespace_of(self.pid, self.start_time, self.flag) as fd:
            namespaces.setns(fd, self.flag)


@contextmanager
def namespace_of(pid: int, start_time: int, flag: int) -> "Iterator[int]":
    """A descriptor of a namespace of this very process; ESRCH if it has ended."""
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


class EnterPidNamespace(NamedTuple):
    """Make a copy of this process in the PID namespace that was joined; the copy continues.

    The processes of that namespace see the copy from its first moment, and one with CAP_SYS_PTRACE
    can take it over.  So this step is late: the copy is in all other namespaces, has no capability
    and no descriptor that the container lacks, and is under the filter of system calls.  It is
    shielded from processes without CAP_SYS_PTRACE, and is a child of the shim (CLONE_PARENT).
    """

    def call(self) -> str:
        """The calls as a C programmer would write them."""
        return "prctl(PR_SET_DUMPABLE, 0); close_range(3, ~0U, 0); clone(CLONE_PARENT); setsid()"

    def execute(self, context: Context) -> None:
        """Return in the copy; this process reports the copy's pid to the shim, and ends."""
        # The change of the user has reset it to the value of /proc/sys/fs/suid_dumpable.
        processes.prctl(processes.PR_SET_DUMPABLE, 0)
        processes.close_all_but({0, 1, 2, context.report_fd})
        pid = processes.clone_sibling()
        if pid:
            files.write_all(context.report_fd, b"p %d\n" % pid)
            os._exit(0)
        os.setsid()


class Shield(NamedTuple):
    """Keep other processes from tracing this one or reading its memory until the exec.

    It holds descriptors of the host, which processes of the container could take over
    (CVE-2016-9962).  The exec ends this protection.
    """

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "prctl(PR_SET_DUMPABLE, 0)"

    def execute(self, context: Context) -> None:
        """Make this process undumpable."""
        processes.prctl(processes.PR_SET_DUMPABLE, 0)


class SetOomScore(NamedTuple):
    """Make the kernel kill this process sooner or later when the machine is out of memory."""

    score: int

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'write("/proc/self/oom_score_adj", "{self.score}")'

    def execute(self, context: Context) -> None:
        """Write the score, which children inherit; lowering it needs CAP_SYS_RESOURCE."""
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(self.score))


class SetResourceLimit(NamedTuple):
    """Limit what this process and each of its children may use of a resource (setrlimit(2))."""

    name: str
    soft: int
    """The limit that is enforced; -1 for none."""
    hard: int
    """The most to which the process itself may raise it."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f"setrlimit(RLIMIT_{self.name.upper()}, {{{self.soft}, {self.hard}}})"

    def execute(self, context: Context) -> None:
        """Set it; without CAP_SYS_RESOURCE labkitd's own hard limit is the most."""
        try:
            processes.set_limit(self.name, self.soft, self.hard)
        except PermissionError:
            most = processes.hard_limit(self.name)
            processes.set_limit(self.name, processes.lower_limit(self.soft, most), most)


class DieWithShim(NamedTuple):
    """Die with the shim: without it no process would read the output or the exit status.

    A change of the user clears this setting (prctl(2)), so this step follows it.
    """

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "prctl(PR_SET_PDEATHSIG, SIGKILL)"

    def execute(self, context: Context) -> None:
        """Ask for the signal."""
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)


class SetHostname(NamedTuple):
    """Set the host name of this UTS namespace."""

    name: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'sethostname("{self.name}", {len(self.name)})'

    def execute(self, context: Context) -> None:
        """Set it."""
        namespaces.set_hostname(self.name)


class SetDomainname(NamedTuple):
    """Set the domain name of this UTS namespace."""

    name: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'setdomainname("{self.name}", {len(self.name)})'

    def execute(self, context: Context) -> None:
        """Set it."""
        namespaces.set_domainname(self.name)


class WriteSysctl(NamedTuple):
    """Set a kernel parameter that each network or IPC namespace has separately."""

    path: str
    """Its file (proc_sys(5))."""
    value: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'write("{self.path}", "{self.value}")'

    def execute(self, context: Context) -> None:
        """Write it: the file acts on the namespaces of the process that opens it."""
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, self.value.encode())
        finally:
            os.close(fd)


class BringUpLoopback(NamedTuple):
    """Switch on `lo`, the only interface of a new network namespace."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return 'ioctl(socket, SIOCSIFFLAGS, {"lo", IFF_UP|IFF_RUNNING})'

    def execute(self, context: Context) -> None:
        """Switch it on."""
        loopback.bring_up()


class CloseDescriptors(NamedTuple):
    """Close the shim's descriptors, above all its folder: /proc/self/fd/7 leads to the host.

    The image and the user choose paths that this process looks up: the working directory, files in
    /etc, the program itself (CVE-2024-21626).  No open descriptor may lead them to the host.
    """

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "close_range(3, ~0U, 0)"

    def execute(self, context: Context) -> None:
        """Close all but those that later operations need, and the executor's report."""
        needed = {context.report_fd, context.terminal_socket, context.names_socket}
        needed |= {0, 1, 2, context.first_pidfd, *context.owned.values()}
        processes.close_all_but(needed - {-1})


class CloseDescriptorsOnExec(NamedTuple):
    """Keep every open file of labkit out of the container."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)"

    def execute(self, context: Context) -> None:
        """Mark them; the exec also closes the report to the shim."""
        processes.close_on_exec_from(3)


class Exec(NamedTuple):
    """Become the container's own program; all that was set before is kept."""

    command: tuple[str, ...]
    """The argument vector; the first is a path, or a name to search in the container's PATH."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        quoted = ", ".join(f'"{word}"' for word in self.command)
        return f'execve("{self.command[0]}", [{quoted}], environment)'

    def execute(self, context: Context) -> None:
        """Replace this program; OSError if that fails: ENOENT (not found), EACCES, ENOEXEC…"""
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
                # As execvp(3): note a file that may not be executed, and search on.
                refused = error if os.path.isfile(path) else refused
        if refused:
            raise refused
        raise OSError(errno.ENOENT, "executable file not found in $PATH", name)
