"""What a new daemon does first: find again every container the last one left.

For each record: if its shim answers, the container runs and is adopted; if the shim has left an
exit status, that is how it ended; if neither, the shim is gone and the container with it.  No end
is acted on before every container is known: what one has left may be in use by another.  Then
whatever belongs to no container is cleaned up: cgroups, and folders of the run directory.

A record that cannot be read stops nothing: it is set aside.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator

from labkit.cgroups import freezer
from labkit.containers.given import mounting
from labkit.containers.life import restarts, starting
from labkit.containers.parts import Parts
from labkit.containers.records import folders, states
from labkit.containers.records.entry import Entry
from labkit.errors import LabkitError
from labkit.runtime.launch import START_TIMEOUT_S, connect
from labkit.set_aside import UNREADABLE


def recover(parts: Parts) -> None:
    """Bring what is known up to what is true; ConflictError (see `folders.join`)."""
    folders.join(parts.paths, parts.records)
    unfinished = _load(parts)
    asking: list[tuple[Entry, list[int]]] = []
    ended: list[Entry] = []
    for entry in parts.lookup.all():
        with _going_on(parts, entry):
            if _adopt(parts, entry, asking):
                _find_paused(parts, entry)
            elif entry.is_running or _has_run_since(parts, entry):
                ended.append(entry)
    parts.networks.reconcile()
    for entry, names_fds in asking:
        _serve_names(parts, entry, names_fds)
    for entry in ended:
        with _going_on(parts, entry):
            parts.on_end(entry, None)
    _finish_removals(parts, unfinished)
    known = {entry.container.id for entry in parts.lookup.all() if entry.is_running}
    for container_id in set(parts.layout.leftovers()) - known:
        parts.layout.remove(container_id)
    for container_id in set(os.listdir(f"{parts.paths.run}/containers")) - known:
        starting.remove_run_folder(parts, container_id)


def _load(parts: Parts) -> list[str]:
    """Make every container known; the ids of those whose creation did not finish."""
    unfinished = []
    for container_id in parts.records.ids():
        try:
            container = parts.records.load(container_id)
        except UNREADABLE as error:
            if isinstance(error, FileNotFoundError) and parts.records.is_unfinished(container_id):
                unfinished.append(container_id)
                continue
            # What no record is known of cannot be watched, stopped or removed either.
            parts.layout.remove(container_id)
            parts.records.set_aside(parts.records.folder(container_id), error)
            continue
        entry = Entry(container)
        if container.state.status == "restarting":
            container.state.status = states.after(container.state.status, "stop")
        parts.lookup.add(entry)
        if parent := container.host_config.cgroup_parent:
            parts.layout.put_below(container_id, parent)
        mounting.take_note(parts.volumes, container)
        entry.sandbox = parts.records.read_sandbox(container.id)
    return unfinished


@contextlib.contextmanager
def _going_on(parts: Parts, entry: Entry) -> Iterator[None]:
    """Whatever goes wrong with one container is said, and the others are found all the same."""
    try:
        yield
    except Exception as error:
        sys.excepthook(*sys.exc_info())
        parts.warnings.append(f"container {entry.container.id} could not be recovered: {error}")


def _finish_removals(parts: Parts, unfinished: list[str]) -> None:
    """End what a daemon that was killed had begun: creations, and removals with volumes."""
    for container_id in unfinished:
        mounting.remove_unnamed(parts.volumes, parts.records.volumes_begun(container_id))
        parts.records.delete(parts.records.move_away(container_id))
    for moved, container in parts.records.half_removed():
        if container is not None:
            mounting.remove_unnamed(parts.volumes, mounting.unnamed(container))
        parts.records.delete(moved)


def _serve_names(parts: Parts, entry: Entry, names_fds: list[int]) -> None:
    """Answer a container that was adopted, now that every other is known: who asks for one that is
    found later would be told that there is none.
    """
    with entry.lock:
        if entry.is_running:
            parts.name_server.serve(entry.container.id, names_fds)
            return
    for fd in names_fds:
        os.close(fd)


def _adopt(parts: Parts, entry: Entry, asking: list[tuple[Entry, list[int]]]) -> bool:
    """Take over a running container from its shim; False if it has none.

    `asking` gets the sockets at which it asks for names.
    A shim that has only just been asked for does not answer yet, but holds the container.
    """
    container_id = entry.container.id
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        # Asked first: one that leaves in between has left its exit status.
        is_held = parts.records.is_held(container_id)
        found = connect(parts.paths.container_run(container_id))
        if found is not None:
            break
        if not is_held or time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    connection, started, names_fds = found
    if entry.sandbox is not None:
        parts.networks.take_note(entry.sandbox)
    if names_fds:
        asking.append((entry, names_fds))
    with entry.lock:
        entry.started(connection, started)
        starting.watch(parts, entry)
    return True


def _has_run_since(parts: Parts, entry: Entry) -> bool:
    """Whether it was started, and ended, after its record was last written."""
    container = entry.container
    status = parts.records.read_exit(container.id)
    if status is None or status.finished_at == container.state.finished_at:
        return False
    container.state.status = states.after(container.state.status, "start")
    return True


def _find_paused(parts: Parts, entry: Entry) -> None:
    try:
        is_frozen = freezer.is_frozen(parts.layout, entry.container.id)
    except FileNotFoundError:  # it has just ended
        return
    if is_frozen:
        state = entry.container.state
        state.status = states.after(state.status, "pause")


def start_by_policy(parts: Parts) -> None:
    """Start the containers whose restart policy says that they run when the daemon does."""
    for entry in parts.lookup.all():
        with entry.lock:
            waits = entry.restart_timer is not None
            if entry.is_running or waits or not restarts.starts_with_daemon(entry):
                continue
            # What failed is recorded as the container's state; the others are started all the same.
            with contextlib.suppress(LabkitError):
                starting.start_or_record(parts, entry)
