"""What a new daemon does first: find again every container the last one left.

For each record: if its shim answers, the container runs and is adopted; if the shim has left an
exit status, that is how it ended; if neither, the shim is gone and the container with it.  Then
whatever belongs to no container is cleaned up: cgroups, and folders of the run directory.
"""

import os
import socket
from typing import cast

from labkit.containers.entry import Entry
from labkit.containers.parts import Parts
from labkit.containers.starting import remove_run_folder
from labkit.kernel import messages
from labkit.runtime.shim import SOCKET_NAME, Started

HELLO_TIMEOUT_S = 20.0


def recover(parts: Parts) -> None:
    """Bring what is known up to what is true."""
    for container in parts.records.load_all():
        entry = Entry(container)
        parts.registry.add(entry)
        if not _adopt(parts, entry) and container.state.status == "running":
            parts.on_end(entry, None)
    known = {entry.container.id for entry in parts.registry.all() if entry.is_running}
    for container_id in set(parts.layout.leftovers()) - known:
        parts.layout.remove(container_id)
    for container_id in set(os.listdir(f"{parts.paths.run}/containers")) - known:
        remove_run_folder(parts, container_id)


def _adopt(parts: Parts, entry: Entry) -> bool:
    """Take over a running container from its shim; False if no shim answers."""
    folder = parts.paths.container_run(entry.container.id)
    try:
        connection = messages.connect(f"{folder}/{SOCKET_NAME}")
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    started = _hear_started(connection)
    if started is None:
        connection.close()
        return False
    with entry.lock:
        entry.started(connection, started)
    parts.monitor.watch(connection, lambda status: parts.on_end(entry, status))
    return True


def _hear_started(connection: socket.socket) -> Started | None:
    """What the shim says of its container; None when it ended or failed in this very moment."""
    connection.settimeout(HELLO_TIMEOUT_S)
    try:
        message = messages.receive(connection)
    except OSError:
        return None
    connection.settimeout(None)
    if message is None:
        return None
    kind, *values = cast("list[object]", message[0])
    return Started(*values) if kind == "started" else None  # type: ignore[arg-type]
