"""The shim: one small process for each container, which outlives the daemon.

It makes the container's first process and stays its parent: it reads the container's output, writes
the log, and serves attached clients.  When the process ends, it removes the cgroups and writes the
exit status to the container's folder.  The daemon may end and start; a new one connects to the
shim's socket and receives the rest.

The messages (`labkit.kernel.messages`) are tuples that begin with a word.  To the shim: `attach`
(with the client's connection), `names` (with sockets to hold), `resize`, `exec`.  From the shim:
`failed` (the start did not succeed), `started` (with the sockets for names), `detached` (a client,
by its keys), and `exited`; about the container, or on the connection of an exec, about that.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, cast

from labkit.dialect.moments import timestamp
from labkit.kernel import files, messages, namespaces, processes, reserve
from labkit.runtime import operations, reaper
from labkit.runtime.birth import Birth, StepFailedError, exit_code_of
from labkit.runtime.exec_process import DRAIN_S, ExecProcess, ExecRequest
from labkit.runtime.exit_status import ExitStatus
from labkit.runtime.held_names import HeldNames
from labkit.runtime.streams import Attachment, Streams, make_pipes
from labkit.runtime.watcher import READABLE, Watcher

SOCKET_NAME = "shim.sock"
MESSAGES = 1
"""The version of these messages, and of the operations in an `exec`.  A shim may be of an earlier
release than the daemon, and run for months."""
ACCEPT_PAUSE_S = 0.01
MESSAGE_PAUSE_S = 2


class Request(NamedTuple):
    """The daemon's request: the encoded operations of the plan, and the paths."""

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
    """The folder of the shim's socket, and of all else that ends with a reboot."""
    cgroup_directories: list[str]
    """The container's groups, to remove at the end."""
    oom_counter: tuple[str, str]
    """A file of `key value` lines, and the key that counts processes killed for lack of memory."""
    open_stdin: bool
    stdin_once: bool
    tty: bool
    attached: list[Attachment]
    """The clients already attached; the request brings their sockets."""


class Started(NamedTuple):
    """The container runs: its process, and the time that each operation took."""

    pid: int
    start_time: int
    started_at: str
    durations_ns: list[int]
    messages: int = 0
    """The version of the messages that the shim knows."""


def main(request_fields: Any, fds: list[int], keeper: socket.socket) -> None:
    """Run one container from its start to its exit, in the process forked for it.

    `keeper` leads to the process that ends the container if this one is killed.

    The first descriptor is the daemon's connection.  The second is only kept open: it holds the
    lock by which a later daemon sees that this process exists, even before it answers.
    """
    os.setsid()
    processes.prctl(processes.PR_SET_NAME, b"labkit-shim")
    processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 1)
    request = Request(*request_fields)
    daemon = socket.socket(fileno=fds[0])
    Shim(request, daemon, fds[1], fds[2:], keeper).run()
    os._exit(0)


class Shim:
    """The state of a shim: the container's process, its streams, and the daemon's connections."""

    def __init__(
        self,
        request: Request,
        daemon: socket.socket,
        hold_fd: int,
        attached_fds: list[int],
        keeper: socket.socket,
    ) -> None:
        self.request = request
        self.keeper = keeper
        self.daemons = [daemon]
        self.hold_fd = hold_fd
        self.attached_fds = attached_fds
        self.listener: socket.socket | None = None
        self.pidfd = -1
        """The container's first process; -1 before and after it."""
        self.watcher = Watcher()
        self.pipes = make_pipes(request.open_stdin, request.tty)
        self.streams = Streams(
            self.watcher,
            self.pipes,
            request.log_path,
            request.stdin_once,
            request.log_limits,
            on_detach=lambda: self._tell("detached"),
        )
        self.held_ports: list[socket.socket] = []
        """Open while the container runs, so that no other process takes its published ports."""
        self.names = HeldNames()
        self.owned: dict[int, int] = {}
        """Namespaces made for the container, until its process has entered them."""
        self.children: set[int] = set()
        """The pids of the children whose own code reaps them; others are reaped when they end."""
        self.execs: dict[socket.socket, ExecProcess] = {}
        """The processes started by exec, by the connection that asked for each."""

    def run(self) -> None:
        """Start the container, serve until it has ended, and write its exit status."""
        try:
            self.started = self._start()
        except StepFailedError as failure:
            self._remove_cgroups()
            self._tell("failed", *failure.args)
            self._stop_listening()
            return
        self._tell("started", *self.started, fds=self.names.fds)
        self._serve()
        code = exit_code_of(self.pidfd)
        self.pidfd = -1
        self._end_the_rest()
        self._release_sockets()
        self._drain()
        # Before any client hears of the end: it may read the log at once.
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
        context.owned = self.owned
        self.names.expect(context, child)
        try:
            birth = Birth(clone.clone, child, context, self.children)
            # While the child executes its operations, this process has time for other work.
            try:
                self._prepare_to_serve()
            except OSError as error:
                birth.given_up(0, "")
                os.close(birth.report_fd)
                raise StepFailedError(0, error.errno or 0, str(error), []) from None
            born = birth.wait()
        except StepFailedError as failure:
            index, number, text, durations = failure.args
            self.streams.close()
            raise StepFailedError(
                len(before) + index, number, text, [*before, *durations]
            ) from None
        # From here on only the container's processes keep its namespaces.
        for fd in self.owned.values():
            os.close(fd)
        self.pidfd = born.pidfd
        with suppress(OSError):  # the spawner was killed: the daemon cleans up
            messages.send(self.keeper, self.request.cgroup_directories, [born.pidfd])
        self.streams.take_terminal()
        self.names.take(context)
        started_at = timestamp(time.time_ns())
        durations = [*before, *born.durations_ns]
        return Started(born.pid, processes.start_time(born.pid), started_at, durations, MESSAGES)

    def _prepare_to_serve(self) -> None:
        request = self.request
        for fd, options in zip(self.attached_fds, request.attached, strict=True):
            self.streams.attach(fd, options)
        self.streams.begin()
        # The socket at which a later daemon finds this container.
        os.makedirs(request.run_folder, 0o700, exist_ok=True)
        self.listener = messages.listen(f"{request.run_folder}/{SOCKET_NAME}")

    def _run_host_operations(self) -> list[int]:
        context = operations.Context((-1, -1, -1), {})
        self.held_ports, self.owned = context.held, context.owned
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

    def _end_the_rest(self) -> None:
        """Kill the processes that the first one left, if no PID namespace ended with it."""
        clone = cast("operations.Clone", operations.decode([self.request.clone])[0])
        if not clone.flags & namespaces.CLONE_NEWPID:
            for directory in self.request.cgroup_directories:
                empty_group(directory)
            # Without a cgroup to list them: the processes left behind become children of this one.
            while not self.request.cgroup_directories and (
                left := processes.children() - self.children
            ):
                for pid in left:
                    os.kill(pid, signal.SIGKILL)  # a child keeps its number until it is reaped
                    os.waitpid(pid, 0)

    def _release_sockets(self) -> None:
        for held in self.held_ports:
            held.close()
        self.names.hold([])

    def _stop_listening(self) -> None:
        if self.listener is None:
            return
        self.watcher.forget(self.listener.fileno())
        self.listener.close()
        with suppress(FileNotFoundError):
            os.unlink(f"{self.request.run_folder}/{SOCKET_NAME}")
            os.rmdir(self.request.run_folder)

    def _serve(self) -> None:
        """Move data and take messages until the container's first process has ended."""
        ended: list[int] = []
        self.watcher.watch(self.pidfd, READABLE, ended.append)
        if (listener := self.listener) is not None:
            self.watcher.watch(listener.fileno(), READABLE, lambda _: self._accept(listener))
        for connection in self.daemons:
            self._listen_to(connection)
        reaper.wake_at_ends(self.watcher)
        while not ended:
            deadlines = [p.deadline for p in self.execs.values() if p.deadline is not None]
            self.watcher.serve(min(deadlines) - time.monotonic() if deadlines else None)
            self._see_to_execs()
        self.watcher.forget(self.pidfd)

    def _see_to_execs(self) -> None:
        for connection, process in list(self.execs.items()):
            if process.deadline is not None:
                process.act()
            if process.is_over:
                del self.execs[connection]
        # A child may become one of these: that is known only when no exec is starting.
        if not any(process.is_being_born for process in self.execs.values()):
            reaper.reap_all_but(self.children)

    def _drain(self) -> None:
        """After the end: read the rest from the pipes, and give the clients time to take it.

        A process that the container left behind could hold a pipe open for ever (if the container
        has no PID namespace), and a client may never read, so this takes at most `DRAIN_S`.
        """
        for process in self.execs.values():
            process.kill()
        deadline = time.monotonic() + DRAIN_S
        while (left_s := deadline - time.monotonic()) > 0:
            self._see_to_execs()
            if self.streams.is_drained and not self.execs:
                return
            self.watcher.serve(left_s)
        for process in self.execs.values():
            process.leave()

    def _listen_to(self, connection: socket.socket) -> None:
        self.watcher.watch(connection.fileno(), READABLE, lambda _: self._take_message(connection))

    def _accept(self, listener: socket.socket) -> None:
        """Accept a new daemon, or one that wants to exec; send it what the first one received."""
        try:
            connection, _ = listener.accept()
        except OSError:
            # No descriptor is free (EMFILE): serve the others until one is.
            time.sleep(ACCEPT_PAUSE_S)
            return
        # A daemon that is stopped in the middle of a message must not hold up the container's log.
        messages.limit_pauses(connection, MESSAGE_PAUSE_S)
        self.daemons.append(connection)
        self._listen_to(connection)
        with suppress(OSError):
            messages.send(connection, ("started", *self.started), self.names.fds)

    def _take_message(self, connection: socket.socket) -> None:
        try:
            message = messages.receive(connection)
            value, fds = message or (None, [])
            kind, *options = cast("list[Any]", value)
        except (ConnectionError, EOFError, ValueError, TypeError):
            # The peer has closed, or is not labkit: marshal reports that in one of three ways.
            self._forget_connection(connection)
            return
        handlers: dict[str, Callable[..., None]] = {
            "attach": self._attach,
            "resize": self._resize,
            "exec": self._exec,
            "names": lambda connection, fds: self.names.hold(fds),
            "hold": lambda connection, fds: self.held_ports.extend(
                socket.socket(fileno=fd) for fd in fds
            ),
        }
        try:
            handlers[kind](connection, fds, *options)
        except Exception:
            # No bad request may stop the container or the requests of others.
            sys.excepthook(*sys.exc_info())
            if kind == "exec":
                self._forget_connection(connection)

    def _forget_connection(self, connection: socket.socket) -> None:
        self.watcher.forget(connection.fileno())
        if connection in self.daemons:
            self.daemons.remove(connection)
        connection.close()

    def _attach(self, connection: socket.socket, fds: list[int], options: Attachment) -> None:
        connection_fd, *gate_fd = fds
        self.streams.attach(connection_fd, options, *gate_fd)

    def _resize(self, connection: socket.socket, fds: list[int], height: int, width: int) -> None:
        process = self.execs.get(connection)
        (process.streams if process else self.streams).resize(height, width)

    def _exec(self, connection: socket.socket, fds: list[int], request: list[Any]) -> None:
        """Start one more process: this connection will receive its news, not the container's."""
        if self._container_has_ended():
            # The shim sees the end in the same round, or has seen it.
            for fd in fds:
                os.close(fd)
            self._forget_connection(connection)
            return
        if connection in self.daemons:
            self.daemons.remove(connection)
        process = ExecProcess(connection, self.watcher, self.children, fds)
        process.start(messages.known(ExecRequest, request), self.pidfd, self._container_has_ended)
        self.execs[connection] = process

    def _container_has_ended(self) -> bool:
        return self.pidfd < 0 or processes.has_ended(self.pidfd)

    def _tell(self, kind: str, *values: object, fds: Sequence[int] = ()) -> None:
        for connection in list(self.daemons):
            try:
                messages.send(connection, (kind, *values), fds)
            except OSError:
                # The daemon died; its successor will find the exit status in the file.
                self.daemons.remove(connection)

    def _count_oom_kills(self) -> int:
        path, key = self.request.oom_counter
        if not path:
            return 0
        try:
            with open(path) as file:
                counts = dict(line.split() for line in file)
        except OSError:
            # Another process has removed the group (ENOENT, or ENODEV during the read).
            return 0
        return int(counts.get(key, 0))

    def _remove_cgroups(self) -> None:
        """Remove the container's groups, and kill the processes that are left in them.

        With a PID namespace none is left: the kernel kills its processes with the first.  A
        container that may write to its groups may have made others below.
        """
        for directory in self.request.cgroup_directories:
            for _ in range(100):
                try:
                    os.rmdir(directory)
                except FileNotFoundError:
                    pass
                except OSError:
                    empty_group(directory)
                    time.sleep(0.005)
                    continue
                break

    def _leave(self, code: int, killed_for_memory: bool) -> None:
        now = timestamp(time.time_ns())
        status = ExitStatus(code, killed_for_memory, now, self.started.durations_ns)
        # The folder is missing if the container was removed by force; and if the disk is full, a
        # running daemon must still receive the true status.
        reserve.use(self.request.exit_path.rsplit("/", 3)[0])  # of the data root
        with suppress(OSError):
            files.write_atomically(self.request.exit_path, status.to_bytes())
        # Only now: a daemon that finds no listener will find the exit status in its file.
        self._stop_listening()
        self.streams.let_go(also_waiting=False)
        self._tell("exited", *status)
        for connection in list(self.daemons):
            self._forget_connection(connection)
        os.close(self.hold_fd)
        # A client that reads slowly (a pager, say) gets the rest, while the container can already
        # be started again or removed; a client that disconnects ends this wait.
        self.streams.close_outputs()
        while self.streams.has_waiting_clients:
            self.watcher.serve()
            self.streams.let_go(also_waiting=False)


def empty_group(directory: str) -> None:
    """Kill the processes of a group and of those below it, and remove the empty ones below."""
    for folder in reversed(files.folders_from(directory)):
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
