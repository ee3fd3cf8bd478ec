"""The first work of a new daemon: it finds every container that the last daemon left.

For each record: if its shim answers, the container runs and is adopted; if the shim has left an
exit status, the container ended with that; if neither, the shim was killed and the container with
it.  Ends are handled only when every container is known, since another container may use the same
things.  Then cgroups and run folders that belong to no container are removed.

A record that cannot be read does not stop the daemon: the record is set aside.
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
    """Make the daemon's knowledge match the machine; ConflictError (see `folders.join`)."""
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
    """Load every container; returns the ids of those whose creation did not finish."""
    unfinished = []
    for container_id in parts.records.ids():
        try:
            container = parts.records.load(container_id)
        except UNREADABLE as error:
            if isinstance(error, FileNotFoundError) and parts.records.is_unfinished(container_id):
                unfinished.append(container_id)
                continue
            # Without a record a container cannot be watched, stopped or removed.
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
    """Report an error with one container, and continue with the others."""
    try:
        yield
    except Exception as error:
        sys.excepthook(*sys.exc_info())
        parts.warnings.append(f"container {entry.container.id} could not be recovered: {error}")


def _finish_removals(parts: Parts, unfinished: list[str]) -> None:
    """Finish the removals, and undo the creations, that a killed daemon had begun."""
    for container_id in unfinished:
        mounting.remove_unnamed(parts.volumes, parts.records.volumes_begun(container_id))
        parts.records.delete(parts.records.move_away(container_id))
    for moved, container in parts.records.half_removed():
        if container is not None:
            mounting.remove_unnamed(parts.volumes, mounting.unnamed(container))
        parts.records.delete(moved)


def _serve_names(parts: Parts, entry: Entry, names_fds: list[int]) -> None:
    """Answer the DNS queries of an adopted container, once every container is known.

    Earlier, a query for a container that is found later would get the answer that there is none.
    """
    with entry.lock:
        if entry.is_running:
            parts.name_server.serve(entry.container.id, names_fds)
            return
    for fd in names_fds:
        os.close(fd)


def _adopt(parts: Parts, entry: Entry, asking: list[tuple[Entry, list[int]]]) -> bool:
    """Take over a running container from its shim; False if it has none.

    `asking` gets the sockets of its DNS queries.
    A shim that is just being started does not answer yet, but holds the container's lock.
    """
    container_id = entry.container.id
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        # Checked first: a shim that ends between the two has left its exit status.
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
        was_recorded = entry.is_running
        entry.started(connection, started)
        if not was_recorded:  # the last daemon was killed between its start and its record
            parts.records.save_if_possible(entry.container)
        starting.watch(parts, entry)
    return True


def _has_run_since(parts: Parts, entry: Entry) -> bool:
    """Whether the container was started and ended after its record was last written."""
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
    """Start the containers whose restart policy starts them with the daemon."""
    for entry in parts.lookup.all():
        with entry.lock:
            waits = entry.restart_timer is not None
            if entry.is_running or waits or not restarts.starts_with_daemon(entry):
                continue
            # The container's state records a failure; the other containers start nevertheless.
            with contextlib.suppress(LabkitError):
                starting.start_or_record(parts, entry)
