"""A time namespace, made by hand with unshare(2), and the machine's uptime inside and outside.

`python -m labkit.course.namespaces.own_time SECONDS` makes it in a separate process, since only
children of the maker are in a time namespace (time_namespaces(7)).
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
    """The difference that a time namespace, `days` ahead, makes to the clocks of its process."""
    command = [sys.executable, "-m", __name__, str(days * DAY_S)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabkitError(f"a time namespace made by hand: its process has failed: {done.stderr}")
    boot_s, wall_s = map(float, done.stdout.split())
    here_s, now_s = time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
    return Table(
        ("clock", "added by the namespace (days)"),
        (
            ("since the start of the machine (boottime)", f"{(boot_s - here_s) / DAY_S:.1f}"),
            ("the time of day (realtime)", f"{abs(wall_s - now_s) / DAY_S:.1f}"),
        ),
    )


def _in_one(seconds: str) -> None:
    """Make the namespace, and let a child print its two clocks."""
    namespaces.unshare(namespaces.CLONE_NEWTIME)
    # The offset must be written before the first child is in the namespace.
    Path("/proc/self/timens_offsets").write_text(f"boottime {seconds} 0")
    if child := os.fork():
        os.waitpid(child, 0)
    else:
        print(time.clock_gettime(time.CLOCK_BOOTTIME), time.time(), flush=True)


if __name__ == "__main__":
    _in_one(sys.argv[1])
