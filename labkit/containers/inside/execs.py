"""`exec`: more processes in a running container, each with an id.

As in Docker an exec is created first and started afterwards, so that its client can attach before
the command runs.  It is known as long as its container exists; nothing of it is on disk.
"""

import contextlib
import os
import secrets
import socket
import threading
import time
from typing import Any

import msgspec

from labkit.containers.given import namespaces, security, ulimits
from labkit.containers.life import specification, starting
from labkit.containers.parts import Parts
from labkit.containers.records import id_ranges, states
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import docker_name
from labkit.errors import ConflictError, InvalidParameterError, NotFoundError, StartError
from labkit.kernel import capabilities, messages, processes
from labkit.runtime import operations, plan_exec
from labkit.runtime.exec_process import ExecRequest
from labkit.runtime.exit_status import KILLED
from labkit.runtime.launch import Launch, LaunchError, connect
from labkit.runtime.plan_exec import ExecSpec
from labkit.runtime.shim import MESSAGES
from labkit.runtime.streams import Attachment

KEPT_S = 300.0
SETTLE_S = 2.0
"""Longer than a shim takes to report a process that it has reaped."""


NAMED_BY_COMMAND = ("exec_create", "exec_start")
"""Docker adds the command to the names of these events."""


class ExecConfig(msgspec.Struct, rename=docker_name):
    """The request, field for field as in Docker's API (`POST /containers/{id}/exec`)."""

    cmd: list[str] | None = None
    env: list[str] | None = None
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    privileged: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""
    console_size: tuple[int, int] | None = None


class Exec:
    """One exec: its request and its state."""

    def __init__(self, entry: Entry, config: ExecConfig) -> None:
        self.id = secrets.token_hex(32)
        self.entry = entry
        self.config = config
        self.pid = 0
        self.exit_code: int | None = None
        self.running = False
        self.is_starting = False
        self.shim: socket.socket | None = None
        self.ended_at: float | None = None
        """When it ended, by the monotonic clock."""
        self.changed = threading.Condition()

    def check_first_start(self) -> None:
        """ConflictError if it was started before."""
        if self.is_starting or self.running or self.exit_code is not None:
            raise ConflictError(f"exec {self.id} has already run")


class Execs:
    """Every exec of every container.  Thread-safe."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._by_id: dict[str, Exec] = {}

    def create(self, ref: str, config: ExecConfig) -> Exec:
        """Make an exec that can be started; ConflictError if the container does not run."""
        entry = self._parts.lookup.find(ref)
        if not config.cmd or not config.cmd[0]:
            raise InvalidParameterError("No exec command specified")
        with entry.lock:
            _check_running(entry)
            made = Exec(entry, config)
            with self._lock:
                self._forget_old()
                self._by_id[made.id] = made
        self._publish("exec_create", made)
        return made

    def _forget_old(self) -> None:
        """Forget the execs that ended a while ago (Docker: five minutes), to limit their number.

        Those of a removed container that never started end with it.
        """
        now = time.monotonic()

        def is_kept(known: Exec) -> bool:
            if known.ended_at is None:
                return not known.entry.removed
            return now - known.ended_at < KEPT_S

        self._by_id = {key: known for key, known in self._by_id.items() if is_kept(known)}

    def _publish(self, action: str, made: Exec, **attributes: str) -> None:
        program, *arguments = made.config.cmd or [""]
        # Docker writes the blank after the program without arguments, too.
        words = f": {program} {' '.join(arguments)}" if action in NAMED_BY_COMMAND else ""
        self._parts.publish(f"{action}{words}", made.entry, execID=made.id, **attributes)

    def get(self, exec_id: str) -> Exec:
        """The exec; NotFoundError."""
        with self._lock:
            found = self._by_id.get(exec_id)
        if found is None:
            raise NotFoundError(f"No such exec instance: {exec_id}")
        return found

    def discard(self, exec_id: str) -> None:
        """Forget an exec that no client will ask for."""
        with self._lock:
            self._by_id.pop(exec_id, None)

    def settled(self, exec_id: str) -> Exec:
        """The exec; if its process has ended, this waits until its exit code is known.

        A client sees the end of the output before this daemon learns of the exit, and asks for the
        code at once.
        """
        found = self.get(exec_id)
        with found.changed:
            if found.is_starting:
                found.changed.wait_for(lambda: not found.is_starting, SETTLE_S)
            if found.running and not processes.start_time(found.pid):
                found.changed.wait_for(lambda: not found.running, SETTLE_S)
        return found

    def check_startable(self, exec_id: str) -> Exec:
        """The exec, if it can be started; ConflictError."""
        found = self.get(exec_id)
        found.check_first_start()
        _check_running(found.entry)
        return found

    def of(self, entry: Entry) -> list[str]:
        """The ids of a container's running execs."""
        with self._lock:
            return [e.id for e in self._by_id.values() if e.entry is entry and e.running]

    def forget(self, entry: Entry) -> None:
        """Forget the execs of a container that is removed."""
        with self._lock:
            self._by_id = {k: e for k, e in self._by_id.items() if e.entry is not entry}

    def start(
        self,
        exec_id: str,
        fd: int | None,
        keys: bytes,
        size: tuple[int, int] = (0, 0),
        *,
        framed: bool | None = None,
    ) -> None:
        """Run it, with a client's connection attached to its streams or without one.

        `framed`: whether the client gets the output in Docker's frames; None: unless the exec has
        a terminal.

        StartError (126, 127…) if the command cannot run, ConflictError if it ran before or the
        container does not run.  The descriptor is duplicated, as in `Engine.attach`.  However a
        start fails, the exec has an exit code afterwards: a client waits for one.
        """
        found = self.get(exec_id)
        with found.changed:
            found.check_first_start()
            found.is_starting = True
        try:
            _check_running(found.entry)
            shim = self._launch(found, fd, keys, size, framed=framed)
        finally:
            with found.changed:
                found.is_starting = False
                if not found.running and found.exit_code is None:
                    found.exit_code = starting.COMMAND_CANNOT_BE_INVOKED
                    found.ended_at = time.monotonic()
                found.changed.notify_all()
        self._publish("exec_start", found)
        self._parts.monitor.watch(
            shim,
            lambda told: self._ended(found, told),
            lambda: self._publish("exec_detach", found),
        )

    def _launch(
        self,
        found: Exec,
        fd: int | None,
        keys: bytes,
        size: tuple[int, int],
        *,
        framed: bool | None,
    ) -> socket.socket:
        shim, known = self._connect(found.entry)
        config = found.config
        attached: list[Attachment] = []
        if fd is not None:
            wants = (config.attach_stdin, config.attach_stdout, config.attach_stderr, keys)
            attached.append(wants)
        size = config.console_size or size
        clone, steps = plan_exec.compute(self._spec(found, size))
        request = ExecRequest(
            clone=operations.encode([clone.operation])[0],
            child=operations.encode([step.operation for step in steps]),
            environment=self._environment(found),
            tty=config.tty,
            open_stdin=config.attach_stdin,
            attached=attached,
            framed=framed if framed == config.tty else None,
        )
        try:
            messages.send(shim, ("exec", messages.plain(request)), [] if fd is None else [fd])
            answer = Launch(shim).finish()
            if len(answer) != 1:
                raise StartError("the shim reports the container's end")
            (found.pid,) = answer
        except LaunchError as error:
            failure = starting.start_error(
                (clone, *steps),
                error.failure,
                what="the command",
                otherwise=starting.COMMAND_CANNOT_BE_INVOKED,
            )
            self._ended(found, [failure.exit_code])
            raise failure from None
        except (OSError, StartError):
            # The shim has no container any more in which it could start the command.
            shim.close()
            self._ended(found, None)
            if found.entry.is_running and known < MESSAGES:
                raise _of_earlier_release(found.entry) from None
            raise _not_running(found.entry) from None
        with found.changed:
            found.shim, found.running = shim, True
        return shim

    def _ended(self, found: Exec, told: list[Any] | None) -> None:
        with found.changed:
            found.running = False
            found.exit_code = told[0] if told else KILLED
            found.ended_at = time.monotonic()
            found.changed.notify_all()
        self._publish("exec_die", found, exitCode=str(found.exit_code))

    def resize(self, exec_id: str, height: int, width: int) -> None:
        """Resize its terminal; ConflictError if it does not run."""
        found = self.get(exec_id)
        with found.changed:
            if not found.running or found.shim is None:
                raise ConflictError(f"exec {exec_id} is not running")
            with contextlib.suppress(OSError):  # it has ended since
                messages.send(found.shim, ("resize", height, width))

    def _connect(self, entry: Entry) -> tuple[socket.socket, int]:
        connected = connect(self._parts.paths.container_run(entry.container.id))
        if connected is None:
            raise _not_running(entry)
        connection, started, names_fds = connected
        for fd in names_fds:
            os.close(fd)
        return connection, started.messages

    def _spec(self, found: Exec, size: tuple[int, int]) -> ExecSpec:
        config, container = found.config, found.entry.container
        placement = starting.place(self._parts, container)
        users = namespaces.users(self._parts, id_ranges.in_use(container))
        ablated = "cgroup" in container.without
        # `--privileged` as for a container; an exec always has its container's rights.
        host = msgspec.structs.replace(
            container.host_config,
            privileged=config.privileged or container.host_config.privileged,
        )
        return ExecSpec(
            container_id=container.id,
            command=tuple(config.cmd or ()),
            user=config.user or container.config.user,
            working_directory=config.working_dir or container.config.working_dir or "/",
            open_stdin=config.attach_stdin,
            tty=config.tty,
            console_size=size,
            capabilities=security.kept_capabilities(host),
            seccomp_program=security.seccomp_program(host),
            no_new_privileges=security.no_new_privileges(host),
            cgroup_join=() if ablated else placement.join,
            cgroup_clone_into="" if ablated else placement.clone_into,
            last_capability=capabilities.last_capability(),
            oom_score_adj=security.oom_score(host),
            # As in Docker, a privileged exec keeps the container's AppArmor profile.
            apparmor_profile=security.apparmor_profile(container.host_config),
            more_groups=tuple(host.group_add or ()),
            resource_limits=ulimits.resource_limits(host),
            user_namespace=users,
        )

    def _environment(self, found: Exec) -> list[str]:
        container = found.entry.container
        words = [*specification.environment(container), *(found.config.env or [])]
        if found.config.tty:
            words.append("TERM=xterm")
        return specification.set_variables(words)


def _check_running(entry: Entry) -> None:
    state = entry.container.state
    if state.status == states.PAUSED:
        raise ConflictError(
            f"Container {entry.container.name} is paused, unpause the container before exec"
        )
    if not entry.is_running:
        raise _not_running(entry)


def _not_running(entry: Entry) -> ConflictError:
    return ConflictError(f"Container {entry.container.id} is not running")


def _of_earlier_release(entry: Entry) -> ConflictError:
    return ConflictError(
        f"exec in {entry.container.name} failed: labkit was updated while the container ran, and "
        "its shim does not know the request of this release; restart the container"
    )
