"""The daemon's side of the spawner: start it, request a shim, and receive the answer."""

import os
import socket
import subprocess
import sys
import threading
from typing import Any, NamedTuple, cast

import labkit
from labkit.errors import StartError
from labkit.kernel import messages, trees
from labkit.runtime.shim import SOCKET_NAME, Request, Started

START_TIMEOUT_S = 60.0


class StepFailure(NamedTuple):
    """The operation at which a start failed, with the durations up to there."""

    step_index: int
    errno: int
    text: str
    durations_ns: list[int]


class Spawner:
    """The warm process that forks the shims.  Thread-safe; a spawner that died is restarted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def start(self) -> None:
        """Start the process, so that the first container does not wait for it."""
        with self._lock:
            self._ensure()

    def stop(self) -> None:
        """End the process.  The shims that it forked continue."""
        with self._lock:
            self._forget()

    def launch(self, request: Request, hold_fd: int, attached: list[socket.socket]) -> "Launch":
        """Ask the spawner to start a container, without waiting for it; StartError.

        `hold_fd` is a descriptor that the shim keeps open as long as it runs; it is duplicated.
        """
        ours, shims = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with shims:
                clients = (client.fileno() for client in attached)
                self._send(request, [shims.fileno(), hold_fd, *clients])
        except OSError as error:
            ours.close()
            raise StartError(f"the spawner cannot be reached: {error}") from error
        return Launch(ours)

    def _send(self, request: Request, fds: list[int]) -> None:
        with self._lock:
            try:
                messages.send(self._ensure(), tuple(request), fds)
            except OSError:
                # It has died since the last container: try once more with a new one.
                self._forget()
                messages.send(self._ensure(), tuple(request), fds)

    def _ensure(self) -> socket.socket:
        if self._process and self._process.poll() is not None:
            self._forget()
        if self._requests is None:
            self._process, self._requests = _start_process()
        return self._requests

    def _forget(self) -> None:
        if self._requests:
            self._requests.close()
        if self._process:
            self._process.wait()
        self._requests = self._process = None


class ShimGoneError(StartError):
    """The shim, or the spawner that had to fork it, was killed before it could answer."""


class LaunchError(Exception):
    """A step of the plan failed in the shim or in the container's first process."""

    def __init__(self, failure: StepFailure) -> None:
        super().__init__(failure.text)
        self.failure = failure


class Launch:
    """A start in progress: the connection on which the shim will report the result."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.names_fds: list[int] = []
        """After `finish`: the sockets for names.  A caller that does not use them closes them."""

    def finish(self) -> list[Any]:
        """Wait until the process runs, and return what the shim reports.

        Then `connection` leads to the shim.  Raises LaunchError with the step that failed, or
        ShimGoneError or StartError if no answer arrived; then the connection is closed.
        """
        try:
            self.connection.settimeout(START_TIMEOUT_S)
            answer = messages.receive(self.connection)
            self.connection.settimeout(None)
        except OSError as error:
            self.connection.close()
            raise StartError(f"the container's shim did not answer: {error}") from error
        if answer is None:
            self.connection.close()
            raise ShimGoneError("the container's shim ended before the container was started")
        kind, *values = cast("list[Any]", answer[0])
        self.names_fds = answer[1]
        if kind == "failed":
            self.connection.close()
            raise LaunchError(StepFailure(*values))
        return values


def connect(run_folder: str) -> tuple[socket.socket, Started, list[int]] | None:
    """Connect to the shim of a running container; None if there is none, or it is just ending.

    Returns the connection, the shim's report, and copies of the sockets for names.
    """
    try:
        connection = messages.connect(f"{run_folder}/{SOCKET_NAME}")
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    try:
        launch = Launch(connection)
        started = messages.known(Started, launch.finish())
    except (StartError, LaunchError):
        return None
    return connection, started, launch.names_fds


def _start_process() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    package_parent = os.path.dirname(os.path.dirname(labkit.__file__))
    # -I and -S keep site-packages and the environment out of the interpreter: less to load, and
    # less for every fork to copy.
    interpreter = _read_only(sys.executable)
    program = (
        f"import os, sys; os.close({interpreter}); sys.path.insert(0, {package_parent!r}); "
        f"from labkit.runtime import spawner; spawner.main({theirs.fileno()})"
    )
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-SI", "-c", program],
            executable=f"/proc/self/fd/{interpreter}",
            env={},  # a process that may trace one that enters a container could read it
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno(), interpreter],
            start_new_session=True,
        )
    os.close(interpreter)
    return process, ours


def _read_only(program: str) -> int:
    """Open a program through a detached mount that is read-only.

    A process that has entered a container can be made to run itself again, as /proc/self/exe, with
    the container's libraries: through that name they could write to the program (CVE-2019-5736).
    """
    fd = os.open(program, os.O_PATH | os.O_CLOEXEC)
    try:
        tree = trees.clone_tree(fd, recursive=False)
    finally:
        os.close(fd)
    trees.set_attributes(tree, trees.MOUNT_ATTR_RDONLY)
    return tree
