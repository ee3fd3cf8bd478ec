"""The daemon's files in the run folder: its lock, its pid file, its socket."""

import contextlib
import fcntl
import grp
import os
import socket
from collections.abc import Iterator

from labkit.errors import ConflictError, InvalidParameterError
from labkit.kernel import power, reserve
from labkit.log import LABKITD
from labkit.paths import Paths

GROUP = "labkit"
BACKLOG = socket.SOMAXCONN
"""A client that does not wait gets EAGAIN if so many connections are not accepted yet (unix(7))."""
LONGEST_SOCKET_PATH = 107
"""unix(7): `sun_path` has 108 bytes, the last of them zero."""
ONLY_OWNER_AND_GROUP = 0o117
"""The umask that gives a socket the mode 0660."""


def pid_path(paths: Paths) -> str:
    """The path of the file with the daemon's process id."""
    return f"{paths.run}/labkitd.pid"


def lock(path: str) -> int:
    """Lock the pid file at `path` as long as this process lives, and write our pid into it.

    It is a flock(2), which ends with its process in any case, so a pid file that a crash has left
    does not block a start.  Returns the descriptor, which must stay open.

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
        os.pwrite(fd, text, 0)  # in place, which works on a full disk too
        os.ftruncate(fd, len(text))
    except OSError as error:
        if error.errno not in reserve.FULL:
            raise
        LABKITD.line(f"the process id could not be written to {path}: {error.strerror}")
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
    """Listen on a Unix socket at `path`, for root and a group: `labkit`, if it exists.

    The socket of an engine without root is only for its user.

    A socket that an earlier daemon left is replaced; hold the lock before calling this.

    Raises:
        InvalidParameterError: the path is too long for a Unix socket, or there is no such group.
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
    if not power.IS_LIMITED:  # otherwise only its user may use it
        try:
            os.chown(path, -1, grp.getgrnam(group or GROUP).gr_gid)
        except KeyError:  # only root may use it
            if group:
                listener.close()
                raise InvalidParameterError(f"group {group} not found") from None
    listener.listen(BACKLOG)
    return listener
