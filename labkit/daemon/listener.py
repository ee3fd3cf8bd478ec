"""The daemon's place in the run folder: its lock, its pid file, its socket."""

import contextlib
import fcntl
import grp
import os
import socket
from collections.abc import Iterator

from labkit.daemon import log
from labkit.errors import ConflictError, InvalidParameterError
from labkit.kernel import power, reserve
from labkit.paths import Paths

GROUP = "labkit"
BACKLOG = 128
LONGEST_SOCKET_PATH = 107
"""unix(7): `sun_path` has 108 bytes, the last of them zero."""
ONLY_OWNER_AND_GROUP = 0o117
"""The umask under which a socket is made with mode 0660."""


def pid_path(paths: Paths) -> str:
    """Where the daemon writes its process id."""
    return f"{paths.run}/labkitd.pid"


def lock(path: str) -> int:
    """Hold the pid file at `path` for as long as this process lives, and write our pid into it.

    The lock is flock(2)'s: it ends with its process, however that ends, so a pid file left by a
    crash stops nobody.  Returns the descriptor, to be kept open.

    Raises:
        ConflictError: a live labkitd holds it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(fd, 32).decode("ascii", "replace").strip()
        os.close(fd)
        raise ConflictError(f"labkitd already runs, pid {holder} ({path})") from None
    text = f"{os.getpid()}\n".encode()
    try:
        os.pwrite(fd, text, 0)  # over what is there, so that a full disk takes it as well
        os.ftruncate(fd, len(text))
    except OSError as error:
        if error.errno not in reserve.FULL:
            raise
        log.line(f"the process id could not be written to {path}: {error.strerror}")
    return fd


@contextlib.contextmanager
def docker_name(paths: Paths) -> Iterator[None]:
    """Let Docker's clients find a user's socket as `docker.sock`, as in Docker's rootless mode."""
    if not power.IS_LIMITED:
        yield
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(paths.docker_socket)
    os.symlink(os.path.basename(paths.socket), paths.docker_socket)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(paths.docker_socket)


def listen(path: str, group: str = "") -> socket.socket:
    """Listen on a Unix socket at `path`, for root and a group: `labkit`, if there is one.

    An engine without root is for its user alone.

    A socket left there by a daemon that is gone is replaced; hold the lock before calling this.

    Raises:
        InvalidParameterError: the path is too long for a Unix socket, or no group is called so.
    """
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise InvalidParameterError(
            f"the socket's path is over {LONGEST_SOCKET_PATH} bytes, choose a shorter --run: {path}"
        )
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old_umask = os.umask(ONLY_OWNER_AND_GROUP)
    try:
        listener.bind(path)
    finally:
        os.umask(old_umask)
    if not power.IS_LIMITED:  # else it is its user's alone
        try:
            os.chown(path, -1, grp.getgrnam(group or GROUP).gr_gid)
        except KeyError:  # the socket stays root's alone
            if group:
                listener.close()
                raise InvalidParameterError(f"group {group} not found") from None
    listener.listen(BACKLOG)
    return listener
