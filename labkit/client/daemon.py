"""Starting labkitd if none runs, so that the first command just works."""

import fcntl
import os
import select
import subprocess
import sys

from labkit.client.api import unavailable
from labkit.client.http import Connection
from labkit.errors import DaemonUnavailableError
from labkit.paths import refuse_foreign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.paths import Paths

START_TIMEOUT_S = 30.0
LOG_NAME = "labkitd.log"
LOCK_NAME = "labkitd.starting"


def ensure(paths: "Paths", timeout_s: float = START_TIMEOUT_S) -> None:
    """Return when a labkitd listens on `paths.socket`; start one if there is none.

    Several callers at once start one daemon between them.  DaemonUnavailableError if the socket may
    not be used, or if the daemon does not start; the message says why.
    """
    error = _connect_error(paths)
    if error is None:
        return
    if isinstance(error, PermissionError):
        raise unavailable(paths.socket, error)
    _make_run_folder(paths.run)
    lock_fd = os.open(f"{paths.run}/{LOCK_NAME}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        if _connect_error(paths):
            _start(paths, timeout_s)
    finally:
        os.close(lock_fd)


def _make_run_folder(folder: str) -> None:
    try:
        os.makedirs(folder, 0o755, exist_ok=True)
        if os.geteuid():
            refuse_foreign(folder)
    except OSError as error:
        raise DaemonUnavailableError(
            f"labkitd cannot be started: {error}; XDG_RUNTIME_DIR and LABKIT_RUN name the folder"
        ) from None


def _connect_error(paths: "Paths") -> OSError | None:
    try:
        Connection(paths.socket).close()
    except OSError as error:
        return error
    return None


def _start(paths: "Paths", timeout_s: float) -> None:
    ready_fd, daemon_fd = os.pipe()
    log_path = f"{paths.run}/{LOG_NAME}"
    try:
        log_fd = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            log_begin = os.lseek(log_fd, 0, os.SEEK_END)
            # `setsid --fork` detaches the daemon from the caller: a long-lived one, such as a
            # notebook, need not wait for it, and closing the terminal does not end it.
            subprocess.run(
                ["setsid", "--fork", *daemon_command(paths), "--ready-fd", str(daemon_fd)],
                stdin=subprocess.DEVNULL,
                stdout=log_fd,
                stderr=log_fd,
                pass_fds=[daemon_fd],
                cwd="/",
                check=True,
            )
        finally:
            os.close(log_fd)
            os.close(daemon_fd)
        _await_ready(paths, ready_fd, timeout_s, log_path, log_begin)
    finally:
        os.close(ready_fd)


def daemon_command(paths: "Paths") -> list[str]:
    """Return the argument vector of a labkitd for these folders.

    `-P`: it loads no code from the caller's working directory.
    """
    program = [sys.executable, "-P", "-m", "labkit.daemon"]
    return [*program, "--root", paths.root, "--run", paths.run]


def _await_ready(
    paths: "Paths", ready_fd: int, timeout_s: float, log_path: str, log_begin: int
) -> None:
    readable, _, _ = select.select([ready_fd], [], [], timeout_s)
    if readable:
        os.read(ready_fd, 1)  # empty if it ended, perhaps because another one was faster
    if _connect_error(paths):
        took = "" if readable else f" within {timeout_s:g} s"
        raise DaemonUnavailableError(
            f"labkitd did not start{took}: {_last_words(log_path, log_begin)}"
        )


def _last_words(log_path: str, log_begin: int) -> str:
    with open(log_path, "rb") as log:
        log.seek(log_begin)
        lines = log.read().decode("utf-8", "replace").strip().splitlines()
    if not lines:
        return f"it wrote nothing to {log_path}"
    return f"{lines[-1]} (its log: {log_path})"
