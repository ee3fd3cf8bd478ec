"""What runs in a namespace made by hand: `python -m labkit.course.unshare_child users FOLDER`.

A process of its own, since a notebook's has threads, and a user or time namespace is only for who
has one (unshare(2)).  It prints what it sees, and waits for a line before it goes on.
"""

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from labkit.kernel import namespaces

READY = "ready"


def users(folder: str) -> None:
    """A user namespace: say READY, wait for the maps, become root in it, say what is seen."""
    namespaces.unshare(namespaces.CLONE_NEWUSER)
    _say(READY)
    input()
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    made = Path(folder, "made")
    made.touch()
    _say(" ".join(Path("/proc/self/uid_map").read_text().split()))
    _say(f"{os.getuid()} {os.getgid()} {made.stat().st_uid} {Path('/').stat().st_uid}")
    name = socket.gethostname()
    _say(_outcome(lambda: Path("/etc/made").touch()))
    _say(_outcome(lambda: namespaces.set_hostname(name)))
    namespaces.unshare(namespaces.CLONE_NEWUTS)
    _say(_outcome(lambda: namespaces.set_hostname(name)))
    input()


def clocks(seconds: str) -> None:
    """A time namespace that is `seconds` ahead: say the two clocks as a child sees them."""
    namespaces.unshare(namespaces.CLONE_NEWTIME)
    # Only children are in it; the offset comes before the first of them (time_namespaces(7)).
    Path("/proc/self/timens_offsets").write_text(f"boottime {seconds} 0")
    if child := os.fork():
        os.waitpid(child, 0)
    else:
        _say(f"{time.clock_gettime(time.CLOCK_BOOTTIME)} {time.time()}")


def _outcome(action: Callable[[], object]) -> str:
    """What becomes of it: `yes`, or the kernel's refusal."""
    try:
        action()
    except PermissionError as error:
        return str(error.strerror).lower()
    return "yes"


def _say(line: str) -> None:
    print(line, flush=True)


PROGRAMS: Mapping[str, Callable[[str], None]] = {"users": users, "clocks": clocks}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](sys.argv[2])
