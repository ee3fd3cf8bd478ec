"""The user and the time namespace, made by hand with unshare(2): who is root, and since when.

Each is a short program in a process of its own (`course.unshare_child`), looked at from outside
while it waits.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from labkit.course.table import Table
from labkit.errors import LabkitError

FIRST, COUNT = 100000, 65536
"""The range of the host's user numbers that the namespace is given."""
DAY_S = 86400


@dataclass(frozen=True)
class OwnUsers:
    """User numbers from both sides, and what root in there may do."""

    uid_map: str
    """What /proc/self/uid_map says: first number inside, first outside, how many."""
    numbers: tuple[tuple[str, str, str], ...]
    """(what, its user seen from inside, seen from outside)."""
    rights: tuple[tuple[str, str], ...]

    def table(self) -> Table:
        """The same process, file and folder, seen from inside and from outside."""
        caption = f"/proc/self/uid_map: {self.uid_map}"
        return Table(("whose number", "inside", "outside"), self.numbers, caption)

    def power(self) -> Table:
        """What root in there may do."""
        return Table(("may it …", "the kernel says"), self.rights)


def own_users() -> OwnUsers:
    """A process that is root in a user namespace, and user 100000 outside."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)  # the strange user shall write into it
        with _running("users", folder) as process:
            _read(process)
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{process.pid}/{name}").write_text(f"0 {FIRST} {COUNT}\n")
            _go_on(process)
            uid_map, inside, *said = (_read(process) for _ in range(5))
            status = Path(f"/proc/{process.pid}/status").read_text()
            uid, gid = (status.partition(f"\n{word}:")[2].split()[0] for word in ("Uid", "Gid"))
            made = str(Path(folder, "made").stat().st_uid)
    names = (
        "the process: user",
        "the process: group",
        "a file it makes",
        "the folder / of the host",
    )
    outside = (uid, gid, made, str(Path("/").stat().st_uid))
    deeds = (
        "make a file in the host's /etc",
        "set the host's name",
        "set the name in a UTS namespace of its own",
    )
    return OwnUsers(
        uid_map,
        tuple(zip(names, inside.split(), outside, strict=True)),
        tuple(zip(deeds, said, strict=True)),
    )


def own_time(days: int = 100) -> Table:
    """What a time namespace that is `days` ahead adds to the clocks of a process in it."""
    with _running("clocks", str(days * DAY_S)) as process:
        boot_s, wall_s = map(float, _read(process).split())
    here_s, now_s = time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
    return Table(
        ("clock", "what the namespace adds (days)"),
        (
            ("since the start of the machine (boottime)", f"{(boot_s - here_s) / DAY_S:.1f}"),
            ("the time of day (realtime)", f"{abs(wall_s - now_s) / DAY_S:.1f}"),
        ),
    )


@contextmanager
def _running(program: str, argument: str) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "labkit.course.unshare_child", program, argument]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _read(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None  # noqa: S101 it was asked for
    if line := process.stdout.readline():
        return line.rstrip("\n")
    assert process.stderr is not None  # noqa: S101 it was asked for
    raise LabkitError(f"a namespace made by hand: its process has failed: {process.stderr.read()}")


def _go_on(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None  # noqa: S101 it was asked for
    process.stdin.write("\n")
    process.stdin.flush()
