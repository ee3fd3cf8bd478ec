"""One container in the daemon's memory: its record, and what is true only while it runs."""

import socket
import threading
from collections.abc import Callable, Sequence

from labkit.containers.records import states
from labkit.containers.records.model import Container, State
from labkit.networks import Sandbox
from labkit.runtime.shim import Started
from labkit.runtime.streams import Attachment

PendingClient = tuple[socket.socket, Attachment]
"""A client that attached before the start, and what it wants."""


class Entry:
    """A container and the lock that its changes are made under.

    `changed` is notified whenever the state has changed.
    """

    def __init__(self, container: Container) -> None:
        self.container = container
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.end: State | None = None
        """The state at its last end that this daemon has heard of."""
        self.exits = 0
        """How often it has ended, and been removed: what one waits for who waits for the next."""
        self.restart_delay_s = 0.0
        self.restart_timer: threading.Timer | None = None
        """Set while the container waits to be restarted by its policy."""
        self.removed = False
        self.starts_again = False
        """Whether its end is a part of a restart that its user asked for."""
        self.shim: socket.socket | None = None
        self.start_time = 0
        """The first process's start time in clock ticks: with the pid it names one process."""
        self.durations_ns: list[int] = []
        """What the steps of the present or last run's start took."""
        self.sandbox: Sandbox | None = None
        """What the present or last run has or had of the network."""
        self.pending_clients: list[PendingClient] = []
        self.secret_environment: Sequence[str] = ()
        """`NAME=value` words for its first process alone: they are in no record."""

    @property
    def is_running(self) -> bool:
        """Whether the first process is there; paused, it is there as well."""
        return self.container.state.status in states.ALIVE

    def started(self, shim: socket.socket, started: Started) -> None:
        """Take note of what its shim says: the container runs; the lock is held."""
        self.shim = shim
        self.start_time = started.start_time
        self.durations_ns = started.durations_ns
        self.container.state = State(
            status=states.RUNNING, pid=started.pid, started_at=started.started_at
        )
        self.changed.notify_all()

    def restart_after(self, delay_s: float, restart: Callable[[], None]) -> None:
        """Have `restart` called after a while; the lock is held."""
        self.restart_timer = threading.Timer(delay_s, restart)
        self.restart_timer.daemon = True
        self.restart_timer.start()

    def cancel_restart(self) -> None:
        """Do not restart after all; the lock is held."""
        if self.restart_timer is not None:
            self.restart_timer.cancel()
            self.restart_timer = None

    def drop_pending_clients(self) -> None:
        """Let go of the clients that wait for a start."""
        for connection, _ in self.pending_clients:
            connection.close()
        self.pending_clients.clear()
