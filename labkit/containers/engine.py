"""The engine: everything that can be done to containers.

    >>> engine = Engine.open(Paths.from_environment())
    >>> config = ContainerConfig(image="busybox", cmd=["true"])
    >>> container, warnings = engine.create(config, HostConfig())
    >>> engine.start(container.id)
    >>> engine.wait(container.id).exit_code
    0

Every method may be called from any thread.  A container's changes are made under its own lock, so
that two containers never wait for each other.
"""

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Iterator, Sequence

from labkit import cgroups
from labkit.containers import logs, names, recovery, specification, starting
from labkit.containers.entry import Entry
from labkit.containers.logs import LogLine
from labkit.containers.model import Container, ContainerConfig, HostConfig, State
from labkit.containers.parts import Parts
from labkit.containers.signals import parse_signal
from labkit.errors import (
    ConflictError,
    InvalidParameterError,
    NotFoundError,
    NotModifiedError,
    StartError,
)
from labkit.kernel import messages, processes
from labkit.paths import Paths
from labkit.runtime.exit_status import ExitStatus
from labkit.runtime.explain import Rows
from labkit.runtime.log import timestamp

SHORT_ID_LENGTH = 12
DEFAULT_STOP_TIMEOUT_S = 10.0
KILL_TIMEOUT_S = 10.0
KILLED = 137
_WAIT_CONDITIONS = ("not-running", "next-exit", "removed")


class Engine:
    """Creates, starts, watches and removes containers."""

    def __init__(self, paths: Paths) -> None:
        self.parts = Parts(paths, self.ended)
        self.paths = self.parts.paths
        self.images = self.parts.images
        self.layout = self.parts.layout
        self.warnings = self.parts.warnings

    @classmethod
    def open(cls, paths: Paths) -> "Engine":
        """Start the spawner, and find again what ran when the last daemon ended."""
        engine = cls(paths)
        engine.parts.spawner.start()
        recovery.recover(engine.parts)
        return engine

    def close(self) -> None:
        """Let go of everything; running containers go on in the care of their shims."""
        self.parts.spawner.stop()
        self.parts.monitor.stop()
        for entry in self.parts.registry.all():
            with entry.lock:
                entry.drop_pending_clients()

    def create(
        self,
        config: ContainerConfig,
        host_config: HostConfig,
        *,
        name: str = "",
        without: Sequence[str] = (),
    ) -> tuple[Container, list[str]]:
        """Make a container that can be started; returns it and the warnings for the user.

        NotFoundError (no such image), ConflictError (name in use), InvalidParameterError.
        """
        image = self.images.resolve(config.image)
        cgroups.check(specification.limits_of(host_config), specification.online_cpus())
        specification.check_init(host_config)
        host_config.network_mode = specification.check_network(host_config.network_mode)
        container_id = secrets.token_hex(32)
        if name:
            names.check(name := name.removeprefix("/"))
        else:
            name = names.choose(self.parts.registry.names())
        if not config.hostname:
            is_host = host_config.network_mode == "host"
            config.hostname = os.uname().nodename if is_host else container_id[:SHORT_ID_LENGTH]
        container = Container(
            id=container_id,
            name=name,
            created=timestamp(time.time_ns()),
            image_id=image.id,
            config=config,
            host_config=host_config,
            state=State(),
            command=specification.merge_command(config, image),
            without=list(without),
        )
        placement = starting.place(self.parts, container)
        if without:
            starting.make_plan(self.parts, container, image, placement)  # refuses unknown steps
        self.parts.registry.reserve_name(name, container_id)
        try:
            self.parts.records.create(container, specification.etc_files(container))
        except BaseException:
            self.parts.registry.release(name, container_id)
            raise
        self.parts.registry.add(Entry(container))
        return container, [*placement.warnings, *specification.without_warnings(without)]

    def get(self, ref: str) -> Container:
        """The container's record; NotFoundError."""
        return self.parts.registry.find(ref).container

    def list(self) -> list[Container]:
        """Every container, the newest first."""
        return [entry.container for entry in self.parts.registry.all()]

    def start(self, ref: str) -> None:
        """Run a created or exited container; StartError, NotModifiedError if it runs already."""
        entry = self.parts.registry.find(ref)
        with entry.lock:
            if entry.is_running:
                raise NotModifiedError(f"container {ref} is already running")
            if entry.removed:
                raise ConflictError(f"container {ref} is being removed")
            try:
                starting.start(self.parts, entry)
            except StartError as error:
                self._record_failed_start(entry, error)
                raise

    def _record_failed_start(self, entry: Entry, error: StartError) -> None:
        entry.drop_pending_clients()
        entry.container.state = State(exit_code=error.exit_code, error=str(error))
        if entry.container.host_config.auto_remove:
            self._remove(entry)
        else:
            self.parts.records.save(entry.container)
            entry.changed.notify_all()

    def ended(self, entry: Entry, status: ExitStatus | None) -> None:
        """A shim has told the end of its container, or has gone without a word (None)."""
        container = entry.container
        with entry.lock:
            if entry.removed:
                return
            entry.shim = None
            status = status or self.parts.records.read_exit(container.id)
            lost = status is None
            if status is None:
                # The shim was killed, and the container with it (die_with_shim).
                self.layout.remove(container.id)
                status = ExitStatus(KILLED, False, timestamp(time.time_ns()))
                self.parts.records.write_exit(container.id, status)
            starting.remove_run_folder(self.parts, container.id)
            container.state = State(
                status="exited",
                exit_code=status.code,
                oom_killed=status.killed_for_memory,
                started_at=container.state.started_at,
                finished_at=status.finished_at,
                error="the container's shim was killed, and the container with it" if lost else "",
            )
            if container.host_config.auto_remove:
                self._remove(entry)
                return
            durations_ns = entry.durations_ns
            entry.changed.notify_all()
        # For readers, so whoever waits for the end goes first; a container that was removed or
        # started again meanwhile needs none, nor one without its image.
        with contextlib.suppress(NotFoundError):
            rows = starting.steps(self.parts, entry)
            with entry.lock:
                if not entry.removed and entry.durations_ns is durations_ns:
                    self.parts.records.write_steps(container.id, rows)

    def attach(
        self, ref: str, connection_fd: int, *, stdin: bool, stdout: bool, stderr: bool
    ) -> None:
        """Hand a client's connection to the container's shim, now or when it will be started.

        The descriptor is duplicated; the caller closes its own without shutting the socket down.
        """
        entry = self.parts.registry.find(ref)
        options = (stdin, stdout, stderr)
        with entry.lock:
            if entry.shim is not None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    messages.send(entry.shim, ("attach", *options), [connection_fd])
                return
            connection = socket.socket(fileno=os.dup(connection_fd))
            entry.pending_clients.append((connection, options))

    def wait(
        self, ref: str, condition: str = "not-running", timeout_s: float | None = None
    ) -> State:
        """Block until the condition holds, and return the state then; TimeoutError.

        `not-running` holds at once for a container that does not run; `next-exit` waits for the end
        of the present or the next run; `removed` for the container to be gone.
        """
        entry = self.parts.registry.find(ref)
        if condition not in _WAIT_CONDITIONS:
            raise InvalidParameterError(
                f'invalid condition: "{condition}"; it is one of {", ".join(_WAIT_CONDITIONS)}'
            )
        with entry.lock:
            awaited = entry.generation if entry.is_running else entry.generation + 1

            def holds() -> bool:
                if entry.removed:
                    return True
                if condition == "removed" or entry.is_running:
                    return False
                return condition == "not-running" or entry.generation >= awaited

            if not entry.changed.wait_for(holds, timeout_s):
                raise TimeoutError(f"container {ref} did not reach {condition} in {timeout_s} s")
            return entry.container.state

    def kill(self, ref: str, signal_number: int = 9) -> None:
        """Send a signal to the container's first process; ConflictError if it does not run."""
        entry = self.parts.registry.find(ref)
        with entry.lock:
            state = entry.container.state
            if not entry.is_running or not processes.send_signal(
                state.pid, entry.start_time, signal_number
            ):
                raise ConflictError(f"container {ref} is not running")

    def stop(
        self, ref: str, timeout_s: float | None = None, signal_number: int | None = None
    ) -> None:
        """Ask the container to end (SIGTERM, or its own stop signal), and kill it if it does not.

        `timeout_s` is the time it is given, negative for all the time it wants.
        """
        entry = self.parts.registry.find(ref)
        config = entry.container.config
        if not entry.is_running:
            raise NotModifiedError(f"container {ref} is not running")
        if signal_number is None:
            stop_signal = config.stop_signal or self._image_stop_signal(entry.container)
            signal_number = parse_signal(stop_signal or "SIGTERM")
        if timeout_s is None:
            given = config.stop_timeout
            timeout_s = DEFAULT_STOP_TIMEOUT_S if given is None else float(given)
        # A container that ended of itself meanwhile is stopped, which is what was asked.
        with contextlib.suppress(ConflictError):
            self.kill(ref, signal_number)
            try:
                self._wait_for_end(entry, None if timeout_s < 0 else timeout_s)
            except TimeoutError:
                self.kill(ref)
                self._wait_for_end(entry, KILL_TIMEOUT_S)

    def _image_stop_signal(self, container: Container) -> str:
        return self.images.resolve(container.image_id).config.stop_signal

    def _wait_for_end(self, entry: Entry, timeout_s: float | None) -> None:
        with entry.lock:
            if not entry.changed.wait_for(lambda: not entry.is_running, timeout_s):
                raise TimeoutError(f"container {entry.container.name} still runs")

    def remove(self, ref: str, *, force: bool = False) -> None:
        """Remove a container and everything it wrote; ConflictError if it runs, unless forced."""
        entry = self.parts.registry.find(ref)
        if entry.is_running:
            if not force:
                raise ConflictError(
                    f'cannot remove container "/{entry.container.name}": container is running: '
                    "stop the container before removing or force remove"
                )
            with contextlib.suppress(ConflictError):
                self.kill(ref)
            self._wait_for_end(entry, KILL_TIMEOUT_S)
        with entry.lock:
            if not entry.removed:
                self._remove(entry)

    def _remove(self, entry: Entry) -> None:
        """Remove what there is of a container that does not run; the lock is held."""
        entry.removed = True
        entry.drop_pending_clients()
        self.parts.records.remove(entry.container.id)
        self.parts.registry.release(entry.container.name, entry.container.id)
        entry.changed.notify_all()

    def logs(
        self,
        ref: str,
        *,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        since: float = 0.0,
        until: float = 0.0,
        tail: int | None = None,
    ) -> Iterator[LogLine]:
        """What the container has printed (and, with `follow`, prints until it ends)."""
        entry = self.parts.registry.find(ref)
        streams = {name for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted}
        return logs.read(
            self.parts.records.log_path(entry.container.id),
            streams=streams,
            since=since,
            until=until,
            tail=tail,
            is_running=(lambda: entry.is_running) if follow else None,
        )

    def log_path(self, ref: str) -> str:
        """Where the container's log is."""
        return self.parts.records.log_path(self.get(ref).id)

    def steps(self, ref: str) -> Rows:
        """The steps of the last start, in order (`labkit.runtime.explain`)."""
        return starting.steps(self.parts, self.parts.registry.find(ref))
