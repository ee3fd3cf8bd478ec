"""One container in the daemon's memory: its record, and what is true only while it runs."""

import socket
import threading

from labkit.containers.model import Container, State
from labkit.runtime.shim import Started

PendingClient = tuple[socket.socket, tuple[bool, bool, bool]]
"""A client that attached before the start, and what it wants of stdin, stdout and stderr."""


class Entry:
    """A container and the lock that its changes are made under.

    `changed` is notified whenever the state has changed; `generation` counts the runs, so that one
    who waits for the end of this run is not confused by the next.
    """

    def __init__(self, container: Container) -> None:
        self.container = container
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.generation = 0
        self.removed = False
        self.shim: socket.socket | None = None
        self.start_time = 0
        """The first process's start time in clock ticks: with the pid it names one process."""
        self.durations_ns: list[int] = []
        """What the steps of the present or last run's start took."""
        self.pending_clients: list[PendingClient] = []

    @property
    def is_running(self) -> bool:
        """Whether the first process is there."""
        return self.container.state.status == "running"

    def started(self, shim: socket.socket, started: Started) -> None:
        """Take note of a start; the lock is held."""
        self.shim = shim
        self.start_time = started.start_time
        self.durations_ns = started.durations_ns
        self.generation += 1
        self.container.state = State(
            status="running", pid=started.pid, started_at=started.started_at
        )
        self.changed.notify_all()

    def drop_pending_clients(self) -> None:
        """Let go of the clients that wait for a start."""
        for connection, _ in self.pending_clients:
            connection.close()
        self.pending_clients.clear()
