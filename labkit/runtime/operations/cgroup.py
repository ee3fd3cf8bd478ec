"""Operations on control groups: a limit is a number written to a file (cgroups(7))."""

import os
from typing import NamedTuple

from labkit.kernel import bpf
from labkit.runtime.operations.context import Context


class MakeCgroup(NamedTuple):
    """Make a group: a folder in a cgroup file system, which the kernel fills with files."""

    directory: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'mkdir("{self.directory}", 0755)'

    def execute(self, context: Context) -> None:
        """Make the folder; an existing folder is the same group."""
        if not os.path.isdir(self.directory):
            os.mkdir(self.directory, 0o755)


class WriteCgroupFile(NamedTuple):
    """Write a value to a file of a group."""

    path: str
    value: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'write("{self.path}", "{self.value}")'

    def execute(self, context: Context) -> None:
        """Write the value in one write(2), as these files require."""
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, self.value.encode())
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path) from None
        finally:
            os.close(fd)


class AttachDeviceFilter(NamedTuple):
    """Let the processes of a v2 group use these devices and no others, by an eBPF program."""

    directory: str
    rules: tuple[str, ...]
    """The rules, in the format of v1's devices.allow."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        count = len(bpf.device_program(self.rules)) // bpf.INSTRUCTION_SIZE
        where = f'"{self.directory}", BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI'
        return f"bpf(BPF_PROG_ATTACH, {{{where}, {{{count} instructions}}}})"

    def execute(self, context: Context) -> None:
        """Load the program and attach it to the group."""
        bpf.attach_device_program(self.directory, bpf.device_program(self.rules))


class EnterCgroup(NamedTuple):
    """Move the calling process into a v1 group; "0" means the writer (cgroups(7)).

    A write to `cgroup.procs` would do as well, but moving a whole process waits for a lock that all
    forks of the machine share, and so for an RCU grace period: 4 ms and more.  This process has one
    thread, and a thread that moves itself by `tasks` needs no lock (Linux 5.4).
    """

    directory: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'write("{self.directory}/tasks", "0")'

    def execute(self, context: Context) -> None:
        """Move this process; its children start in the group."""
        WriteCgroupFile(f"{self.directory}/tasks", "0").execute(context)
