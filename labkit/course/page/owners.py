"""The owner of a container or network of the course: a label names the process that made it.

The label's value is `PURPOSE@PID:START#WORD`.  PID and START, the process's start time, name one
process for good, also after its end.
"""

import json
from collections.abc import Callable
from contextlib import suppress

from labkit.client import Client
from labkit.client.api import network_path
from labkit.client.containers import Container
from labkit.errors import ConflictError, NotFoundError

LABEL = "labkit.course"


def birth(pid: int) -> str:
    """`PID:START` of a process, which no later process shares; "" if there is none (proc(5))."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return f"{pid}:{file.read().rpartition(') ')[2].split()[19]}"
    except (FileNotFoundError, ProcessLookupError):
        return ""


def owner(mark: str) -> str:
    """The `PID:START` in a label's value; "" if there is none."""
    return mark.partition("@")[2].partition("#")[0]


def is_orphan(mark: str) -> bool:
    """Whether the process that a label names has ended."""
    pid = owner(mark).partition(":")[0]
    return pid.isdigit() and birth(int(pid)) != owner(mark)


def remove_marked(client: Client, matches: Callable[[str], bool]) -> None:
    """Remove the containers, running or not, and then the networks whose label `matches`."""
    for container in client.containers.list(all=True, filters={"label": LABEL}):
        if matches(container.labels.get(LABEL, "")):
            remove(container)
    filters = json.dumps({"label": [LABEL]})
    for network in client.api.get("/networks", filters=filters):
        if matches((network.get("Labels") or {}).get(LABEL, "")):
            with suppress(NotFoundError, ConflictError):
                client.api.delete(network_path(network["Id"]))


def remove(container: Container) -> None:
    """Remove a container, running or not; one that is removed already is no error."""
    with suppress(NotFoundError, ConflictError):
        container.remove(force=True)
