"""The shim: one small process a container, which outlives the daemon.

It makes the container's first process and stays its parent: it reads what the container prints,
writes the log, feeds whoever is attached, and when the process ends it removes the cgroups and
writes the exit status to the container's folder.  The daemon may come and go; a new one connects to
the shim's socket and hears the rest.

The messages (`labkit.kernel.messages`) are tuples that begin with a word.  To the shim: `attach`
with the options and the client's connection.  From the shim: `failed` (the start did not succeed),
`started`, and `exited`.
"""

import os
import selectors
import signal
import socket
import time
from contextlib import suppress
from typing import Any, NamedTuple, cast

from labkit.kernel import files, messages, processes
from labkit.runtime import executor, operations
from labkit.runtime.exit_status import ExitStatus
from labkit.runtime.log import timestamp
from labkit.runtime.streams import Pipes, Streams, make_pipes

SOCKET_NAME = "shim.sock"


class Request(NamedTuple):
    """What the daemon asks for: the plan's operations, encoded, and where things are."""

    host: list[tuple[object, ...]]
    clone: tuple[object, ...]
    child: list[tuple[object, ...]]
    environment: list[str]
    log_path: str
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
    attached: list[tuple[bool, bool, bool]]
    """Clients already attached (stdin, stdout, stderr); their sockets came with the request."""


class Started(NamedTuple):
    """The container runs: its process, and how long each operation took."""

    pid: int
    start_time: int
    started_at: str
    durations_ns: list[int]


class StepFailedError(Exception):
    """An operation of the plan failed: its index among all operations, and what is known of it."""

    def __init__(self, index: int, number: int, text: str, durations_ns: list[int]) -> None:
        super().__init__(index, number, text, durations_ns)


def main(request_fields: Any, fds: list[int]) -> None:
    """Run one container from its start to its exit; called in the process forked for it."""
    os.setsid()
    processes.prctl(processes.PR_SET_NAME, b"labkit-shim")
    processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 1)
    request = Request(*request_fields)
    daemon = socket.socket(fileno=fds[0])
    Shim(request, daemon, fds[1:]).run()
    os._exit(0)


class Shim:
    """The state of a shim: the container's process, its streams, and the daemon's connections."""

    def __init__(self, request: Request, daemon: socket.socket, attached_fds: list[int]) -> None:
        self.request = request
        self.daemons = [daemon]
        self.attached_fds = attached_fds
        self.listener: socket.socket | None = None
        self.selector = selectors.EpollSelector()

    def run(self) -> None:
        """Start the container, serve until it has ended, and leave its exit status."""
        try:
            self.started, pidfd = self._start()
        except StepFailedError as failure:
            self._remove_cgroups()
            self._tell("failed", *failure.args)
            self._stop_listening()
            return
        self._tell("started", *self.started)
        self._serve(pidfd)
        status = self._wait(pidfd)
        self.streams.drain()
        self.streams.close_log()
        killed_for_memory = self._count_oom_kills() > 0
        self._remove_cgroups()
        self._leave(status, killed_for_memory)

    def _start(self) -> tuple[Started, int]:
        durations = self._run_host_operations()
        clone = cast("operations.Clone", operations.decode([self.request.clone])[0])
        child = operations.decode(self.request.child)
        pairs = (word.split("=", 1) for word in self.request.environment)
        pipes = make_pipes(self.request.open_stdin)
        context = operations.Context(pipes.child, dict(pairs))
        report_read, report_write = os.pipe()
        begin = time.perf_counter_ns()
        try:
            pid, pidfd = clone.clone()
        except OSError as error:
            raise StepFailedError(len(durations), error.errno or 0, str(error), durations) from None
        if pid == 0:
            executor.run(child, context, report_write)
        durations.append(time.perf_counter_ns() - begin)
        os.close(report_write)
        # While the child goes through its operations there is time for this.
        self._prepare_to_serve(pipes)
        report = executor.read_report(report_read)
        os.close(report_read)
        if report.failed:
            os.waitpid(pid, 0)
            self.streams.close()
            index = len(durations) + report.failed_index
            every = durations + report.durations_ns
            raise StepFailedError(index, report.errno, report.text, every)
        # What is left of the time is the last operation's, the exec.
        total = time.perf_counter_ns() - begin
        exec_ns = max(total - durations[-1] - sum(report.durations_ns), 0)
        every = [*durations, *report.durations_ns, exec_ns]
        started_at = timestamp(time.time_ns())
        return Started(pid, processes.start_time(pid), started_at, every), pidfd

    def _prepare_to_serve(self, pipes: Pipes) -> None:
        request = self.request
        self.streams = Streams(self.selector, pipes, request.log_path, request.stdin_once)
        for fd, options in zip(self.attached_fds, request.attached, strict=True):
            self.streams.attach(fd, *options)
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

    def _serve(self, pidfd: int) -> None:
        """Move data and take messages until the container's first process has ended."""
        self.selector.register(pidfd, selectors.EVENT_READ, None)
        if self.listener is not None:
            self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        for connection in self.daemons:
            self.selector.register(connection, selectors.EVENT_READ, self._take_message)
        ended = False
        while not ended:
            for key, events in self.selector.select():
                if key.data is None:
                    ended = True
                else:
                    key.data(key.fileobj, events)
        self.selector.unregister(pidfd)

    def _accept(self, listener: socket.socket, events: int) -> None:
        """A new daemon: tell it what the one that asked for this container was told."""
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
            self.selector.unregister(connection)
            self.daemons.remove(connection)
            connection.close()
            return
        value, fds = message
        kind, *options = cast("list[Any]", value)
        if kind == "attach":
            self.streams.attach(fds[0], *options)

    def _tell(self, kind: str, *values: object) -> None:
        for connection in list(self.daemons):
            try:
                messages.send(connection, (kind, *values))
            except OSError:
                # A daemon that died; its successor will find the exit status in the file.
                self.daemons.remove(connection)

    def _wait(self, pidfd: int) -> int:
        """The exit status as a shell gives it: the code, or 128 plus the signal."""
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        if result is None:
            return 0
        return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status

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

        With a PID namespace nothing is left: the kernel kills its processes with the first.
        """
        for directory in self.request.cgroup_directories:
            for _ in range(100):
                try:
                    os.rmdir(directory)
                except FileNotFoundError:
                    pass
                except OSError:
                    _kill_all(directory)
                    time.sleep(0.005)
                    continue
                break

    def _leave(self, code: int, killed_for_memory: bool) -> None:
        status = ExitStatus(code, killed_for_memory, timestamp(time.time_ns()))
        # The folder is missing if the container was removed by force.
        with suppress(FileNotFoundError):
            files.write_atomically(self.request.exit_path, status.to_bytes())
        self._tell("exited", *status)
        self.streams.close()
        # Only now: whoever finds nobody listening finds the exit status in its file.
        self._stop_listening()


def _kill_all(directory: str) -> None:
    try:
        with open(f"{directory}/cgroup.procs") as file:
            pids = [int(line) for line in file]
    except OSError:
        return
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
