"""Pausing a container: the kernel freezes its processes, and thaws them."""

from labkit.cgroups import freezer
from labkit.containers.parts import Parts
from labkit.containers.records import states
from labkit.containers.records.entry import Entry
from labkit.errors import ConflictError


def pause(parts: Parts, entry: Entry) -> None:
    """Freeze every process of the container; ConflictError unless it runs and is not paused."""
    container = entry.container
    with entry.lock:
        if container.state.status == "paused":
            raise ConflictError(f"Container {container.id} is already paused")
        entry.check_staying()
        if not entry.is_running:
            raise ConflictError(f"Container {container.id} is not running")
        try:
            freezer.freeze(parts.layout, container.id)
        except FileNotFoundError:
            raise ConflictError(f"Container {container.id} is not running: it has ended") from None
        container.state.status = states.after(container.state.status, "pause")
        parts.publish("pause", entry)


def unpause(parts: Parts, entry: Entry) -> None:
    """Thaw a paused container; ConflictError if it is not paused."""
    container = entry.container
    with entry.lock:
        if container.state.status != "paused":
            raise ConflictError(f"Container {container.id} is not paused")
        freezer.thaw(parts.layout, container.id)
        container.state.status = states.after(container.state.status, "unpause")
        parts.publish("unpause", entry)
