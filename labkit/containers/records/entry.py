"""One container in the daemon's memory: its record, and data that exist only while it runs."""

import select
import socket
import threading
from collections.abc import Callable, Sequence

from labkit.containers.records import states
from labkit.containers.records.model import Container, State
from labkit.errors import ConflictError, NotFoundError
from labkit.networks import Sandbox
from labkit.runtime.shim import Started
from labkit.runtime.streams import Attachment

PendingClient = tuple[socket.socket, Attachment]
"""A client that attached before the start, and its options."""


class Entry:
    """A container, with the lock under which it is changed.

    `changed` is notified after every change of the state.
    """

    def __init__(self, container: Container) -> None:
        self.container = container
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.end: State | None = None
        """The state at the last end that this daemon knows of."""
        self.exits = 0
        """The number of its ends and removals; a wait for the next exit compares it."""
        self.restart_delay_s = 0.0
        self.restart_timer: threading.Timer | None = None
        """Set while the container waits to be restarted by its policy."""
        self.removed = False
        self.is_leaving = False
        """Whether a removal has begun: nothing starts or freezes it any more."""
        self.starts_again = False
        """Whether its end belongs to a restart that its user asked for."""
        self.shim: socket.socket | None = None
        self.start_time = 0
        """The first process's start time in clock ticks: together with the pid it is unique."""
        self.durations_ns: list[int] = []
        """The durations of the steps of the last start."""
        self.sandbox: Sandbox | None = None
        """The addresses and ports of the present or last run."""
        self.pending_clients: list[PendingClient] = []
        self.secret_environment: Sequence[str] = ()
        """`NAME=value` words for its first process alone: they are in no record."""

    @property
    def is_running(self) -> bool:
        """Whether the first process exists; True also while it is paused."""
        return self.container.state.status in states.ALIVE

    def started(self, shim: socket.socket, started: Started) -> None:
        """Record the shim's report that the container runs; the caller holds the lock."""
        self.shim = shim
        self.start_time = started.start_time
        self.durations_ns = started.durations_ns
        self.container.state = State(
            status=states.RUNNING, pid=started.pid, started_at=started.started_at
        )
        self.changed.notify_all()

    def check_present(self) -> None:
        """NotFoundError if it has been removed since it was found; the caller holds the lock."""
        if self.removed:
            raise NotFoundError(f"No such container: {self.container.id}")

    def check_staying(self) -> None:
        """ConflictError if it is being removed; the caller holds the lock."""
        if self.removed or self.is_leaving:
            raise ConflictError(
                f"container {self.container.id} is marked for removal and cannot be started"
            )

    def restart_after(self, delay_s: float, restart: Callable[[], None]) -> None:
        """Call `restart` after a delay; the caller holds the lock."""
        self.restart_timer = threading.Timer(delay_s, restart)
        self.restart_timer.daemon = True
        self.restart_timer.start()

    def cancel_restart(self) -> None:
        """Cancel the waiting restart, if there is one; the caller holds the lock."""
        if self.restart_timer is not None:
            self.restart_timer.cancel()
            self.restart_timer = None

    def keep_client(self, connection: socket.socket, options: Attachment) -> None:
        """Keep a client until the start; those that have disconnected since are dropped."""
        poll = select.poll()
        for client, _ in self.pending_clients:
            poll.register(client, 0)
        gone = {fd for fd, _ in poll.poll(0)}
        for client, _ in self.pending_clients:
            if client.fileno() in gone:
                client.close()
        self.pending_clients = [kept for kept in self.pending_clients if kept[0].fileno() >= 0]
        self.pending_clients.append((connection, options))

    def drop_pending_clients(self) -> None:
        """Close the connections of the clients that wait for a start."""
        for connection, _ in self.pending_clients:
            connection.close()
        self.pending_clients.clear()
