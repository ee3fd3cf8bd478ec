"""Messages between labkit's own processes: a length, a marshalled value, and open descriptors.

`marshal` is the interpreter's format for .pyc files: built in, fast, and enough for plain values
(None, bool, int, float, str, bytes, tuple, list, dict).  Only processes of one user exchange them,
over sockets that no other user can open.  Descriptors are sent with the first byte as SCM_RIGHTS
(unix(7)).
"""

import array
import marshal
import os
import socket
from collections.abc import Callable, Sequence
from struct import pack, unpack
from typing import Any, TypeVar

T = TypeVar("T")

_LENGTH = "<I"
_LENGTH_SIZE = 4
_MOST_FDS = 64
_MOST_BYTES = 64 * 1024 * 1024
_MARSHAL_VERSION = 4


def send(connection: socket.socket, value: Any, fds: Sequence[int] = ()) -> None:
    """Send one message; OSError (EPIPE, ECONNRESET) if the other side has closed."""
    body = marshal.dumps(value, _MARSHAL_VERSION)
    data = pack(_LENGTH, len(body)) + body
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sent = connection.sendmsg([data], rights, socket.MSG_NOSIGNAL)
    if sent < len(data):
        connection.sendall(data[sent:])


def receive(connection: socket.socket) -> tuple[object, list[int]] | None:
    """Return the next message and its descriptors (close-on-exec); None at the end."""
    space = socket.CMSG_SPACE(_MOST_FDS * array.array("i").itemsize)
    data, ancillary, _, _ = connection.recvmsg(_LENGTH_SIZE, space, socket.MSG_CMSG_CLOEXEC)
    fds = _descriptors(ancillary)
    if not data:
        return None
    (length,) = unpack(_LENGTH, data + _receive_exactly(connection, _LENGTH_SIZE - len(data)))
    if length > _MOST_BYTES:
        raise ConnectionError(f"a message has {length} bytes: the other side is not labkit")
    return marshal.loads(_receive_exactly(connection, length)), fds  # noqa: S302 our own process


def known(kind: "type[T]", values: "Sequence[Any]") -> "T":
    """Return a named tuple of the values from the other side, perhaps of another release.

    A later release sends more values: they are dropped.  An earlier one sends fewer: the rest have
    their defaults.  So new fields are added at the end, with a default.
    """
    fields: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]  # a NamedTuple's
    return kind(*values[: len(fields)])


def plain(message: tuple[Any, ...]) -> tuple[Any, ...]:
    """A named tuple as the other side gets it: without last fields that have their default.

    So an earlier release, which may not know them, is sent only what it does not do anyway.
    """
    given: dict[str, Any] = message._field_defaults  # type: ignore[attr-defined]  # a NamedTuple's
    if not given:
        return tuple(message)  # most operations of a start
    defaults, values = [*given.values()], [*message]
    while defaults and values[-1] == defaults.pop():
        values.pop()
    return tuple(values)


def _descriptors(ancillary: "list[tuple[int, int, bytes]]") -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def limit_pauses(connection: socket.socket, seconds: int) -> None:
    """From now on raise ConnectionError for a message that pauses so long (socket(7))."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, pack("@ll", seconds, 0))


def _receive_exactly(connection: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        try:
            part = connection.recv(length)
        except BlockingIOError:
            raise ConnectionError("the other side stopped in the middle of a message") from None
        if not part:
            raise ConnectionError("the other side closed in the middle of a message")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def listen(path: str) -> socket.socket:
    """Return a listening Unix socket at `path`, for its owner alone; `path` may be long."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    _with_short_path(path, server.bind)
    os.chmod(path, 0o600)
    server.listen(64)
    return server


def connect(path: str) -> socket.socket:
    """Connect to the Unix socket at `path`; FileNotFoundError or ConnectionRefusedError if none."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _with_short_path(path, client.connect)
    except OSError:
        client.close()
        raise
    return client


def _with_short_path(path: str, use: Callable[[str], None]) -> None:
    # A socket's address holds 107 bytes (unix(7)); a path through an open folder is always short.
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        use(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)
