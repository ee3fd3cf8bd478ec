"""A disk's scheduler, the file /sys/block/<disk>/queue/scheduler (Linux, block/switching-sched)."""

import os

BFQ = "bfq"


def current(device: str) -> str:
    """Return the active scheduler, the one in brackets in `none [bfq] kyber`."""
    with open(_file(device), encoding="ascii") as file:
        words = file.read().split()
    return next((word[1:-1] for word in words if word.startswith("[")), "none")


def choose(device: str, name: str) -> bool:
    """Activate a scheduler, and load its module if necessary; return whether it exists."""
    try:
        with open(_file(device), "w", encoding="ascii") as file:
            file.write(name)
    except OSError:
        return False
    return True


def _file(device: str) -> str:
    return f"/sys/block/{os.path.basename(device)}/queue/scheduler"
