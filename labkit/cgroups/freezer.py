"""Freezing a container: none of its processes gets any CPU time until it is thawed.

v1 has a controller for it (`freezer.state`, kernel document cgroup-v1/freezer-subsystem), v2 a
file in every group (`cgroup.freeze`; `frozen` in `cgroup.events` reports completion).  Both are
asynchronous: a process freezes when it next enters the kernel, so the functions here wait.
"""

import contextlib
import os
import time
from collections.abc import Callable

from labkit.cgroups import groups, v1
from labkit.cgroups.layout import Layout
from labkit.errors import InvalidParameterError

TIMEOUT_S = 10.0


def freeze(layout: Layout, container_id: str) -> None:
    """Freeze the container's processes, and return when all of them are frozen.

    InvalidParameterError without a freezer on this machine; FileNotFoundError if the container has
    just ended; TimeoutError if a process stays in the kernel and does not freeze: then all of them
    are thawed again.
    """
    try:
        _set(layout, container_id, frozen=True)
    except TimeoutError:
        thaw(layout, container_id)
        raise


def thaw(layout: Layout, container_id: str) -> None:
    """Let the container's processes continue.

    A process that was killed while frozen ends now, and its group may vanish during the read: then
    no process is frozen any more.
    """
    with contextlib.suppress(FileNotFoundError):
        _set(layout, container_id, frozen=False)


def is_frozen(layout: Layout, container_id: str) -> bool:
    """Whether the container is frozen; FileNotFoundError if it has just ended."""
    if not layout.hierarchies:
        return False
    path, frozen, _ = _file(layout, container_id)
    return groups.read(path) == frozen


def _set(layout: Layout, container_id: str, *, frozen: bool) -> None:
    path, freeze_word, thaw_word = _file(layout, container_id)
    word = freeze_word if frozen else thaw_word
    groups.write(path, word)
    if os.path.basename(path) == "freezer.state":
        _wait(lambda: groups.read(path) == word)
    else:
        events = f"{os.path.dirname(path)}/cgroup.events"
        _wait(lambda: f"frozen {word}" in groups.read(events).splitlines())


def _file(layout: Layout, container_id: str) -> tuple[str, str, str]:
    """Return the file to write, and the words for frozen and thawed."""
    for controller, hierarchy in layout.hierarchies.items():
        if hierarchy.version == v1.VERSION and controller == "freezer":
            return layout.path(container_id, controller, "freezer.state"), "FROZEN", "THAWED"
    for controller, hierarchy in layout.hierarchies.items():
        if hierarchy.version != v1.VERSION:
            return layout.path(container_id, controller, "cgroup.freeze"), "1", "0"
    raise InvalidParameterError("this machine has no freezer cgroup: a container cannot be paused")


def _wait(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not is_done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the processes did not freeze within {TIMEOUT_S:.0f} s")
        time.sleep(0.001)
