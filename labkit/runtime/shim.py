"""The shim: one small process a container, which outlives the daemon.

It makes the container's first process and stays its parent: it reads what the container prints,
writes the log, feeds whoever is attached, and when the process ends it removes the cgroups and
writes the exit status to the container's folder.  The daemon may come and go; a new one connects to
the shim's socket and hears the rest.

The messages (`labkit.kernel.messages`) are tuples that begin with a word.  To the shim: `attach`
(with the client's connection), `resize`, `exec`.  From the shim: `failed` (the start did not
succeed), `started`, and `exited`; of the container, or on the connection of an exec, of that.
"""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, cast

from labkit.kernel import files, messages, namespaces, processes
from labkit.runtime import operations
from labkit.runtime.birth import StepFailedError, exit_code_of, give_birth
from labkit.runtime.exec_process import ExecProcess, ExecRequest
from labkit.runtime.exit_status import ExitStatus
from labkit.runtime.log import timestamp
from labkit.runtime.streams import Attachment, Streams, make_pipes

SOCKET_NAME = "shim.sock"


class Request(NamedTuple):
    """What the daemon asks for: the plan's operations, encoded, and where things are."""

    host: list[tuple[object, ...]]
    clone: tuple[object, ...]
    child: list[tuple[object, ...]]
    environment: list[str]
    log_path: str
    log_limits: tuple[int, int]
    """The most bytes in one file of the log (0: no limit), and the most files."""
    exit_path: str
    """Where the exit status is written, in the container's folder."""
    run_folder: str
    """Where the shim's socket is, and what else dies with a reboot."""
    cgroup_directories: list[str]
    """The container's groups, to be removed at the end."""
    oom_counter: tuple[str, str]
    """A file of `key value` lines and the key that counts processes killed for lack of memory."""
    open_stdin: bool
    stdin_once: bool
    tty: bool
    attached: list[Attachment]
    """The clients already attached; their sockets came with the request."""


class Started(NamedTuple):
    """The container runs: its process, and how long each operation took."""

    pid: int
    start_time: int
    started_at: str
    durations_ns: list[int]


def main(request_fields: Any, fds: list[int]) -> None:
    """Run one container from its start to its exit; called in the process forked for it.

    The first descriptor is the daemon's connection.  The second is only kept open: it holds the
    lock by which a later daemon sees that this process is there, also before it answers.
    """
    os.setsid()
    processes.prctl(processes.PR_SET_NAME, b"labkit-shim")
    processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 1)
    request = Request(*request_fields)
    daemon = socket.socket(fileno=fds[0])
    Shim(request, daemon, fds[2:]).run()
    os._exit(0)


class Shim:
    """The state of a shim: the container's process, its streams, and the daemon's connections."""

    def __init__(self, request: Request, daemon: socket.socket, attached_fds: list[int]) -> None:
        self.request = request
        self.daemons = [daemon]
        self.attached_fds = attached_fds
        self.listener: socket.socket | None = None
        self.selector = selectors.EpollSelector()
        self.pipes = make_pipes(request.open_stdin, request.tty)
        self.streams = Streams(
            self.selector, self.pipes, request.log_path, request.stdin_once, request.log_limits
        )
        self.execs: dict[socket.socket, ExecProcess] = {}
        """The processes started by exec, by the connection that each was asked for on."""

    def run(self) -> None:
        """Start the container, serve until it has ended, and leave its exit status."""
        try:
            self.started = self._start()
        except StepFailedError as failure:
            self._remove_cgroups()
            self._tell("failed", *failure.args)
            self._stop_listening()
            return
        self._tell("started", *self.started)
        self._serve()
        code = exit_code_of(self.pidfd)
        for process in list(self.execs.values()):
            process.finish()
        self.streams.drain()
        # Before anyone hears of the end, for who does may read the log at once.
        self.streams.close_log()
        killed_for_memory = self._count_oom_kills() > 0
        self._remove_cgroups()
        self._leave(code, killed_for_memory)

    def _start(self) -> Started:
        request = self.request
        before = self._run_host_operations()
        clone = cast("operations.Clone", operations.decode([request.clone])[0])
        child = operations.decode(request.child)
        pairs = (word.split("=", 1) for word in request.environment)
        context = operations.Context(self.pipes.child, dict(pairs), self.pipes.terminal)
        try:
            born = give_birth(clone.clone, child, context, self._prepare_to_serve)
        except StepFailedError as failure:
            index, number, text, durations = failure.args
            self.streams.close()
            raise StepFailedError(
                len(before) + index, number, text, [*before, *durations]
            ) from None
        self.pidfd = born.pidfd
        started_at = timestamp(time.time_ns())
        durations = [*before, *born.durations_ns]
        return Started(born.pid, processes.start_time(born.pid), started_at, durations)

    def _prepare_to_serve(self) -> None:
        request = self.request
        for fd, options in zip(self.attached_fds, request.attached, strict=True):
            self.streams.attach(fd, options)
        self.streams.begin()
        # The socket at which a later daemon finds this container again.
        os.makedirs(request.run_folder, 0o700, exist_ok=True)
        self.listener = messages.listen(f"{request.run_folder}/{SOCKET_NAME}")

    def _run_host_operations(self) -> list[int]:
        context = operations.Context((-1, -1, -1), {})
        durations: list[int] = []
        for operation in operations.decode(self.request.host):
            begin = time.perf_counter_ns()
            try:
                operation.execute(context)
            except OSError as error:
                text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
                raise StepFailedError(len(durations), error.errno or 0, text, durations) from None
            durations.append(time.perf_counter_ns() - begin)
        return durations

    def _stop_listening(self) -> None:
        if self.listener is None:
            return
        self.listener.close()
        with suppress(FileNotFoundError):
            os.unlink(f"{self.request.run_folder}/{SOCKET_NAME}")
            os.rmdir(self.request.run_folder)

    def _serve(self) -> None:
        """Move data and take messages until the container's first process has ended."""
        self.selector.register(self.pidfd, selectors.EVENT_READ, None)
        if self.listener is not None:
            self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        for connection in self.daemons:
            self.selector.register(connection, selectors.EVENT_READ, self._take_message)
        ended = False
        while not ended:
            for key, events in self.selector.select():
                # An earlier event of the same round may have closed this one's file, and a later
                # file may have got its number.
                watched = self.selector.get_map().get(key.fd)
                if key.data is None:
                    ended = True
                elif watched is not None and watched.fileobj == key.fileobj:
                    key.data(key.fileobj, events)
        self.selector.unregister(self.pidfd)

    def _accept(self, listener: socket.socket, events: int) -> None:
        """A new daemon, or one that wants to exec: tell it what the first one was told."""
        connection, _ = listener.accept()
        self.daemons.append(connection)
        self.selector.register(connection, selectors.EVENT_READ, self._take_message)
        with suppress(OSError):
            messages.send(connection, ("started", *self.started))

    def _take_message(self, connection: socket.socket, events: int) -> None:
        try:
            message = messages.receive(connection)
        except ConnectionError:
            message = None
        if message is None:
            self._forget_connection(connection)
            return
        value, fds = message
        kind, *options = cast("list[Any]", value)
        handlers: dict[str, Callable[..., None]] = {
            "attach": self._attach,
            "resize": self._resize,
            "exec": self._exec,
        }
        handlers[kind](connection, fds, *options)

    def _forget_connection(self, connection: socket.socket) -> None:
        self.selector.unregister(connection)
        if connection in self.daemons:
            self.daemons.remove(connection)
        connection.close()

    def _attach(self, connection: socket.socket, fds: list[int], options: Attachment) -> None:
        self.streams.attach(fds[0], options)

    def _resize(self, connection: socket.socket, fds: list[int], height: int, width: int) -> None:
        process = self.execs.get(connection)
        (process.streams if process else self.streams).resize(height, width)

    def _exec(self, connection: socket.socket, fds: list[int], request: list[Any]) -> None:
        """Start a further process: this connection will hear of it, not of the container."""
        # From here on every child of the shim is born in the container's PID namespace, and the
        # shim has no other children.
        namespaces.setns(self.pidfd, namespaces.CLONE_NEWPID)
        if connection in self.daemons:
            self.daemons.remove(connection)
        process = ExecProcess(connection, self.selector, lambda: self.execs.pop(connection, None))
        self.execs[connection] = process
        process.start(ExecRequest(*request), self.pidfd, fds)

    def _tell(self, kind: str, *values: object) -> None:
        for connection in list(self.daemons):
            try:
                messages.send(connection, (kind, *values))
            except OSError:
                # A daemon that died; its successor will find the exit status in the file.
                self.daemons.remove(connection)

    def _count_oom_kills(self) -> int:
        path, key = self.request.oom_counter
        if not path:
            return 0
        try:
            with open(path) as file:
                counts = dict(line.split() for line in file)
        except FileNotFoundError:
            return 0
        return int(counts.get(key, 0))

    def _remove_cgroups(self) -> None:
        """Remove the container's groups, killing whatever is left in them.

        With a PID namespace nothing is left: the kernel kills its processes with the first.  A
        container that may write to its groups can have made others below.
        """
        for directory in self.request.cgroup_directories:
            for _ in range(100):
                try:
                    os.rmdir(directory)
                except FileNotFoundError:
                    pass
                except OSError:
                    _empty_group(directory)
                    time.sleep(0.005)
                    continue
                break

    def _leave(self, code: int, killed_for_memory: bool) -> None:
        now = timestamp(time.time_ns())
        status = ExitStatus(code, killed_for_memory, now, self.started.durations_ns)
        # The folder is missing if the container was removed by force.
        with suppress(FileNotFoundError):
            files.write_atomically(self.request.exit_path, status.to_bytes())
        self._tell("exited", *status)
        self.streams.close()
        # Only now: whoever finds nobody listening finds the exit status in its file.
        self._stop_listening()


def _empty_group(directory: str) -> None:
    """Kill what is in a group and below it, and remove the groups below that are empty."""
    for folder, _, _ in os.walk(directory, topdown=False):
        _kill_all(folder)
        if folder != directory:
            with suppress(OSError):
                os.rmdir(folder)


def _kill_all(directory: str) -> None:
    try:
        with open(f"{directory}/cgroup.procs") as file:
            pids = [int(line) for line in file]
    except OSError:
        return
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
