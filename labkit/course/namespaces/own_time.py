"""A time namespace, made by hand with unshare(2): how long the machine has been up, for whom.

`python -m labkit.course.namespaces.own_time SECONDS` is the process in it: a process of its own,
since only children of who makes a time namespace are in it (time_namespaces(7)).
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from labkit.course.figures.table import Table
from labkit.errors import LabkitError
from labkit.kernel import namespaces

DAY_S = 86400


def own_time(days: int = 100) -> Table:
    """What a time namespace that is `days` ahead adds to the clocks of a process in it."""
    command = [sys.executable, "-m", __name__, str(days * DAY_S)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabkitError(f"a time namespace made by hand: its process has failed: {done.stderr}")
    boot_s, wall_s = map(float, done.stdout.split())
    here_s, now_s = time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
    return Table(
        ("clock", "what the namespace adds (days)"),
        (
            ("since the start of the machine (boottime)", f"{(boot_s - here_s) / DAY_S:.1f}"),
            ("the time of day (realtime)", f"{abs(wall_s - now_s) / DAY_S:.1f}"),
        ),
    )


def _in_one(seconds: str) -> None:
    """Make the namespace, and let a child say its two clocks."""
    namespaces.unshare(namespaces.CLONE_NEWTIME)
    # The offset is to be written before the first child is in it.
    Path("/proc/self/timens_offsets").write_text(f"boottime {seconds} 0")
    if child := os.fork():
        os.waitpid(child, 0)
    else:
        print(time.clock_gettime(time.CLOCK_BOOTTIME), time.time(), flush=True)


if __name__ == "__main__":
    _in_one(sys.argv[1])
