"""The two files that decide and count a container's CPU time, found by the kernel's names.

`/proc/PID/cgroup` names the groups of a process, `/proc/self/mountinfo` the places where they are
mounted (cgroups(7)).  The files are the lesson of chapter 9: a limit is a file, and a limit of a
running container changes when its file is written.

| | cgroup v1 | cgroup v2 |
|---|---|---|
| weight | `cpu.shares`, 2 to 262144 | `cpu.weight`, 1 to 10000 |
| CPU time used | `cpuacct.usage`, in ns | `cpu.stat`, `usage_usec` in µs |
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from labkit.cgroups.shares import clamp_shares, weight_from_shares
from labkit.course.cgroups import groups
from labkit.errors import NotFoundError

NS_PER_S = 1_000_000_000


class CpuFiles(NamedTuple):
    """The files that decide (`weight`) and count (`usage`) a container's CPU time, and `procs`.

    `version` is the cgroup version of the cpu controller, 1 or 2.
    """

    version: int
    weight: str
    usage: str
    procs: str

    @classmethod
    def of_process(cls, pid: int) -> "CpuFiles":
        """The files of the groups of process `pid`, seen from this process.

        Raises `NotFoundError` if the process has ended or its group has no CPU weight: the
        container was started without one, or there is no cpu controller here.
        """
        try:
            places = groups.places_of(pid)
        except (FileNotFoundError, ProcessLookupError):
            raise NotFoundError(f"process {pid} is gone: its container has ended") from None
        mounted = groups.mounted_here()
        files = _version_1(places, mounted) or _version_2(places, mounted)
        if files is None or _is_everyone(files, mounted) or not os.path.exists(files.weight):
            raise NotFoundError(
                f"process {pid} is in no group with a CPU weight: either its container was started "
                "without one, or there is no cpu controller for containers here "
                "(see `labkit doctor`)"
            )
        return files

    def weight_for(self, shares: int) -> int:
        """The number for these shares in the weight file of this cgroup version."""
        return clamp_shares(shares) if self.version == 1 else weight_from_shares(shares)

    def read_weight(self) -> int:
        """The number in the weight file now."""
        with open(self.weight, encoding="ascii") as file:
            return int(file.read())

    def write_shares(self, shares: int) -> int:
        """Give the container new CPU shares while it runs; returns the number written.

        `docker update --cpu-shares` does no more to a running container.  Only root may do it
        (`PermissionError`).
        """
        number = self.weight_for(shares)
        with open(self.weight, "w", encoding="ascii") as file:
            file.write(str(number))
        return number

    def pids(self) -> list[int]:
        """The host's ids of all processes in the container."""
        with open(self.procs, encoding="ascii") as file:
            return [int(line) for line in file]


class CpuMeter:
    """Reads the CPU time of one group repeatedly; the file stays open between readings.

    A reading takes about 10 µs, so the measurement hardly disturbs its object.
    """

    def __init__(self, files: CpuFiles) -> None:
        self.files = files
        self._descriptor = os.open(files.usage, os.O_RDONLY | os.O_CLOEXEC)
        self._parse: Callable[[bytes], int] = _PARSERS[files.version]

    def cpu_ns(self) -> int:
        """CPU time used by the group so far, in nanoseconds.

        Raises `NotFoundError` if the group is gone, and so the container.
        """
        try:
            return self._parse(os.pread(self._descriptor, 4096, 0))
        except OSError:
            raise NotFoundError(
                f"{self.files.usage} is gone: the container ended while it was being measured"
            ) from None

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _usage_usec(text: bytes) -> int:
    for line in text.splitlines():
        name, _, number = line.partition(b" ")
        if name == b"usage_usec":
            return int(number) * 1000
    raise ValueError("cpu.stat has no usage_usec")


_PARSERS: dict[int, Callable[[bytes], int]] = {1: int, 2: _usage_usec}


def _version_1(places: dict[str, str], mounted: dict[str, tuple[str, str]]) -> CpuFiles | None:
    weight, usage = (groups.folder(name, places, mounted) for name in ("cpu", "cpuacct"))
    if weight is None or usage is None:
        return None
    return CpuFiles(1, f"{weight}/cpu.shares", f"{usage}/cpuacct.usage", f"{usage}/cgroup.procs")


def _version_2(places: dict[str, str], mounted: dict[str, tuple[str, str]]) -> CpuFiles | None:
    folder = groups.folder("", places, mounted)
    if folder is None:
        return None
    return CpuFiles(2, f"{folder}/cpu.weight", f"{folder}/cpu.stat", f"{folder}/cgroup.procs")


def _is_everyone(files: CpuFiles, mounted: dict[str, tuple[str, str]]) -> bool:
    """Whether the group is the root of its hierarchy, with every process of the host."""
    return os.path.dirname(files.procs) in {point for point, _ in mounted.values()}
