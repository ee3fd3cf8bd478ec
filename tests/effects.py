"""Every limit by its effect: `python -m tests.effects` prints the requested and the found values.

An effect is a number that a container's programs meet: how many processes, which rate, at how much
memory the kernel kills.  `tests/integration/limits/test_limit_effects.py` checks each against its
tolerance; this command prints them as a table.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from labkit import labdisk
from labkit.client import Client
from labkit.course.cgroups.groups import place_of
from labkit.course.figures.table import Table
from labkit.course.limits import cpu_shares, disk_weights, memory_to_the_limit
from labkit.course.limits.cpu_files import CpuFiles, CpuMeter
from labkit.errors import LabkitError
from labkit.paths import Paths
from tests import leaks
from tests.lab import Lab, remove_template, running_lab

MIB = 1 << 20
TIMEOUT_S = 120
DISK_BYTES, SWAP_BYTES = 256 * MIB, 128 * MIB
EXACT, AS_A_RATE, AS_A_RATIO = 0.0, 0.10, 0.05


class Effect(NamedTuple):
    """A limit, the flags that ask for it, the number wanted, and its measurement.

    `tolerance` is relative.  `only` is the cgroup version that knows the limit, 0 for both.
    """

    limit: str
    flags: str
    wanted: float
    tolerance: float
    measure: Callable[[Lab, "Effect"], float]
    unit: str = ""
    only: int = 0
    needs_swap: bool = False

    def holds(self, found: float) -> bool:
        """Whether the number found is near enough to the wanted one."""
        return abs(found - self.wanted) <= self.tolerance * self.wanted


def said(lab: Lab, effect: Effect, script: str) -> str:
    """Return the output of the script in a container with the flags."""
    done = lab.cli(
        *("run", "--rm", "--network", "none", *effect.flags.split()),
        *("busybox", "sh", "-c", script),
        timeout=TIMEOUT_S,
    )
    return done.stdout


def last_number(script: str) -> Callable[[Lab, Effect], float]:
    """Return a measure: the last number the script prints before the limit stops it."""

    def measure(lab: Lab, effect: Effect) -> float:
        return float(re.findall(r"-?\d+", said(lab, effect, script))[-1])

    return measure


COUNTS_PROCESSES = "n=1; while :; do sleep 60 & n=$((n+1)); echo $n; done"
OPENS_FILES = """awk 'BEGIN { n = 3; name = "/dev/"
    while ((getline line < (name "null")) >= 0) { n++; name = name "/" }; print n }'"""
FILLS_SHM = "dd if=/dev/zero of=/dev/shm/file bs=4096 2>/dev/null; stat -c %s /dev/shm/file"
GROWS_A_FILE = "dd if=/dev/zero of=/file bs=1000 count=200 2>/dev/null; stat -c %s /file"
TAKES_MEMORY = (
    "n=0; (while head -c 1048576 /dev/zero; do n=$((n+1)); echo $n >&2; "
    "usleep 20000; done) 2>/seen "
    "| tail -c 900m > /dev/null; grep -c ^[0-9] /seen"
)
"""The number of MiB that `tail` received, and kept, before it was killed."""


def cpu_rate(lab: Lab, effect: Effect) -> float:
    """Return the CPUs used by an endless loop, by the group's counter, over two seconds."""
    with Client(lab.socket) as client:
        name = "effect-cpu"
        run = ("run", "-d", "--name", name, *effect.flags.split(), "busybox")
        lab.cli(*run, "sh", "-c", "while :; do :; done", check=True, timeout=TIMEOUT_S)
        container = client.containers.get(name)
        try:
            return cpus_used(container.attrs["State"]["Pid"], effect.wanted)
        finally:
            container.remove(force=True)


def cpus_used(pid: int, wanted: float) -> float:
    """Return CPU seconds a second that the group of this process uses.

    The most of three windows, or of fewer if that is enough: a quota promises no less, and a busy
    machine may give less.
    """
    meter = CpuMeter(CpuFiles.of_process(pid))
    time.sleep(0.5)
    most = 0.0
    for _ in range(3):
        begin, before = time.monotonic_ns(), meter.cpu_ns()
        time.sleep(2)
        used = (meter.cpu_ns() - before) / (time.monotonic_ns() - begin)
        most = max(most, used)
        if most >= 0.95 * wanted:
            break
    meter.close()
    return most


def shares(_lab: Lab, effect: Effect) -> float:
    """Return the ratio of two containers on one CPU."""
    weights = [int(number) for number in re.findall(r"\d+", effect.flags)]
    return cpu_shares(weights, 3).ratio


def weights(_lab: Lab, effect: Effect) -> float:
    """Return the ratio of two containers on the lab disk."""
    return disk_weights([int(number) for number in re.findall(r"\d+", effect.flags)]).ratio


def memory_and_swap(_lab: Lab, _effect: Effect) -> float:
    """Return MiB of both, as the kernel counts them, when it kills.

    A page that was swapped out and is still in memory counts as both on version 2.
    """
    return memory_to_the_limit(memory_mib=64, swap_mib=32).most_bytes / MIB


def oom_score(lab: Lab, effect: Effect) -> float:
    """Return the rise of the kernel's own score; 1000 of the flag are 667 of the score."""
    plain = effect._replace(flags="")
    script = "cat /proc/self/oom_score"
    return float(said(lab, effect, script)) - float(said(lab, plain, script))


def cpu_numbers(lab: Lab, effect: Effect) -> float:
    """Return the number of CPUs on which two endless loops run."""
    script = (
        "(while :; do :; done) & (while :; do :; done) & n=0; while [ $n -lt 20 ]; do "
        "for pid in $(jobs -p); do cut -d' ' -f39 /proc/$pid/stat; done; "
        "usleep 20000; n=$((n+1)); done"
    )
    return len(set(said(lab, effect, script).split()))


def disk_rate(direction: str, block_bytes: int, count: int) -> Callable[[Lab, Effect], float]:
    """Return a measure: MiB or operations a second of `dd` past the page cache."""
    where = "if=/disk/file of=/dev/null iflag=direct"
    if direction == "write":
        where = "if=/dev/zero of=/disk/file oflag=direct"
    now = "echo now | ts %.s"
    script = f"{now}; dd {where} bs={block_bytes} count={count} 2>/dev/null && {now}"

    def measure(lab: Lab, effect: Effect) -> float:
        """Return the most of three runs, as with `cpus_used`: a rate promises no less."""
        amount = count * (block_bytes / MIB if "bps" in effect.flags else 1)
        most = 0.0
        with labdisk.borrow(Paths(lab.root, lab.run), DISK_BYTES) as disk:
            with open(f"{disk.mount}/file", "wb") as file:
                file.write(bytes(block_bytes) * count)
            flags = f"{effect.flags.format(disk=disk.device)} -v {disk.mount}:/disk"
            for _ in range(3):
                lines = said(lab, effect._replace(flags=flags), script).splitlines()
                began, ended = (float(line.split()[0]) for line in lines)
                most = max(most, amount / (ended - began))
                if most >= 0.95 * effect.wanted:
                    break
        return most

    return measure


def updated(
    flags: str, then: Callable[[Lab, str, Effect], float]
) -> Callable[[Lab, Effect], float]:
    """Return a measure: start with `flags`, change to the effect's by `labkit update`."""

    def measure(lab: Lab, effect: Effect) -> float:
        wait = "trap go=1 USR1; until [ $go ]; do usleep 50000; done; "
        script = wait + SCRIPTS_AFTER_UPDATE[effect.limit]
        name = "effect-update"
        run = ("run", "-d", "--name", name, *flags.split(), "busybox", "sh", "-c", script)
        lab.cli(*run, check=True, timeout=TIMEOUT_S)
        try:
            lab.cli("update", *effect.flags.split(), name, check=True, timeout=TIMEOUT_S)
            lab.cli("kill", "-s", "USR1", name, check=True, timeout=TIMEOUT_S)
            return then(lab, name, effect)
        finally:
            lab.cli("rm", "-f", name, timeout=TIMEOUT_S)

    return measure


def rate_of(lab: Lab, name: str, effect: Effect) -> float:
    """Return the CPUs used by a running container."""
    with Client(lab.socket) as client:
        return cpus_used(client.containers.get(name).attrs["State"]["Pid"], effect.wanted)


def last_of(lab: Lab, name: str, _: Effect) -> float:
    """Return the last number that a container has printed, after its end."""
    lab.cli("wait", name, timeout=TIMEOUT_S)
    return float(re.findall(r"\d+", lab.cli("logs", name, timeout=TIMEOUT_S).stdout)[-1])


def version() -> int:
    """Return the cgroup version that limits memory here."""
    return place_of(os.getpid(), "memory").version


SCRIPTS_AFTER_UPDATE = {
    "quota, updated": "while :; do :; done",
    "processes, updated": COUNTS_PROCESSES,
    "memory, updated": TAKES_MEMORY,
}


@contextmanager
def swap() -> Iterator[bool]:
    """Add swap during a measurement if the machine has none; yield whether there is any."""
    with open("/proc/swaps", encoding="utf-8") as file:
        if len(file.readlines()) > 1:
            yield True
            return
    with tempfile.NamedTemporaryFile(prefix=f"{leaks.RUN_NAME}-swap-") as file:
        os.posix_fallocate(file.fileno(), 0, SWAP_BYTES)
        subprocess.run(["mkswap", file.name], check=True, capture_output=True)
        # Not every file system can: swapon(8), "Files with holes".
        on = not subprocess.run(["swapon", file.name], check=False, capture_output=True).returncode
        try:
            yield on
        finally:
            if on:
                subprocess.run(["swapoff", file.name], check=True)


EFFECTS = (
    Effect("shares", "-c 1024 -c 512", 2, AS_A_RATIO, shares, ": 1"),
    Effect("quota", "--cpus 0.2", 0.2, AS_A_RATE, cpu_rate, "CPUs"),
    Effect("quota and period", "--cpu-period 20000 --cpu-quota 3000", 0.15, AS_A_RATE, cpu_rate),
    Effect("quota, updated", "--cpus 0.1", 0.1, AS_A_RATE, updated("--cpus 0.4", rate_of), "CPUs"),
    Effect("CPUs", "--cpuset-cpus 0", 1, EXACT, cpu_numbers),
    Effect("memory", "-m 64m --memory-swap 64m", 64, 0.05, last_number(TAKES_MEMORY), "MiB"),
    Effect(
        *("memory, updated", "-m 48m --memory-swap 48m", 48, 0.05),
        updated("-m 96m --memory-swap 96m", last_of),
        "MiB",
    ),
    Effect(
        *("memory and swap", "-m 64m --memory-swap 96m", 96, 0.05, memory_and_swap),
        *("MiB", 0, True),
    ),
    Effect(
        *("swappiness", "-m 48m --memory-swap 80m --memory-swappiness 0", 48, 0.05),
        last_number(TAKES_MEMORY),
        *("MiB", 1, True),
    ),
    Effect("shared memory", "--shm-size 3m", 3 * MIB, EXACT, last_number(FILLS_SHM), "bytes"),
    Effect("processes", "--pids-limit 12", 12, EXACT, last_number(COUNTS_PROCESSES)),
    Effect(
        *("processes, updated", "--pids-limit 9", 9, EXACT),
        updated("--pids-limit 40", last_of),
    ),
    Effect("open files", "--ulimit nofile=30", 30, EXACT, last_number(OPENS_FILES)),
    Effect(
        *("processes of a user", "--ulimit nproc=7 --user 45670", 7, EXACT),
        last_number(COUNTS_PROCESSES),
    ),
    Effect(
        *("size of a file", "--ulimit fsize=70001", 70001, EXACT),
        last_number(GROWS_A_FILE),
        "bytes",
    ),
    Effect("out-of-memory score", "--oom-score-adj 300", 200, 0.02, oom_score),
    Effect(
        *("read bytes", "--device-read-bps {disk}:5mb", 5, AS_A_RATE),
        disk_rate("read", 5 * MIB, 3),
        "MiB/s",
    ),
    Effect(
        *("written bytes", "--device-write-bps {disk}:5mb", 5, AS_A_RATE),
        disk_rate("write", 5 * MIB, 3),
        "MiB/s",
    ),
    Effect(
        *("reads", "--device-read-iops {disk}:50", 50, AS_A_RATE),
        disk_rate("read", 4096, 150),
        "/s",
    ),
    Effect(
        *("writes", "--device-write-iops {disk}:50", 50, AS_A_RATE),
        disk_rate("write", 4096, 150),
        "/s",
    ),
    Effect("disk weights", "--blkio-weight 600 --blkio-weight 300", 2, 0.05, weights, ": 1"),
)
"""The effects in the order of the table.  Names are unique."""


def number_text(number: float) -> str:
    """Return whole numbers whole, others with three significant digits."""
    return f"{number:.0f}" if number == round(number) else f"{number:.3g}"


def row(lab: Lab, effect: Effect) -> tuple[str, ...]:
    """Return the effect's line in the table."""
    if effect.only not in (0, version()):
        found = f"cgroup v{effect.only} only"
    else:
        try:
            number = effect.measure(lab, effect)
            verdict = "" if effect.holds(number) else ", OFF"
            found = f"{number_text(number)} ({number / effect.wanted - 1:+.1%}{verdict})"
        except (LabkitError, OSError, IndexError, ValueError, subprocess.SubprocessError) as error:
            found = f"{type(error).__name__}: {error}"
    within = f"± {effect.tolerance:.0%}" if effect.tolerance else "exactly"
    wanted = f"{number_text(effect.wanted)} {effect.unit}".strip()
    return effect.limit, effect.flags, wanted, within, found


def main() -> int:
    """Measure all of them; return 1 if any is off."""
    with running_lab() as lab, swap():
        os.environ.update(lab.env)
        rows = tuple(row(lab, effect) for effect in EFFECTS)
    remove_template()
    print(Table(("limit", "flags", "wanted", "within", f"found, cgroup v{version()}"), rows))
    return int(any("OFF" in cells[-1] or "Error" in cells[-1] for cells in rows))


if __name__ == "__main__":
    sys.exit(main())
