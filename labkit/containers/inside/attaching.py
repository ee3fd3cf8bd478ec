"""Attaching a client to a container: from now on, or with all earlier output first.

Earlier output is in the log, which this daemon reads; later output comes from the shim.  No line
may be lost or sent twice.  So the shim says where the log ends at the moment it takes the client.
It holds back later output until the daemon has sent the log up to that place
(`labkit.runtime.streams`).
"""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator

from labkit.containers.inside import logs
from labkit.containers.records.entry import Entry
from labkit.kernel import messages
from labkit.runtime.streams import Attachment

Replay = Callable[[Iterator[logs.LogLine]], None]
"""Sends these lines to the client."""


def attach(entry: Entry, fd: int, options: Attachment, announce: Callable[[], None]) -> None:
    """Hand the connection to the shim, now or when the container starts.

    `announce` is called before anything is sent, under the container's lock: a start that the
    client then asks for has to wait until the hand-over is done.  NotFoundError if the container
    has been removed since the caller found it: nothing would ever end the client's wait.
    """
    with entry.lock:
        entry.check_present()
        announce()
        _hand_over(entry, fd, options)


def attach_with_log(
    entry: Entry, log_path: str, fd: int, options: Attachment, replay: Replay
) -> None:
    """Attach as `attach` does, after `replay` has sent the log up to this moment."""
    _, stdout, stderr, _ = options
    streams = {name for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted}
    sent: logs.Position | None = None
    with contextlib.ExitStack() as stack:
        while True:
            with entry.lock:
                entry.check_present()
                gate = _hand_over_held(entry, fd, options)
                end = None if gate else _end_of(log_path)
                if not gate and (end is None or end.is_same(sent)):
                    if end is not None:
                        end.file.close()
                    _hand_over(entry, fd, options)
                    return
            if gate is not None:
                stack.enter_context(gate)
                end = _end_said_at(gate)
            if end is not None:
                stack.enter_context(end.file)
                replay(logs.read_between(log_path, sent, end, streams))
                sent = end
            if gate is not None:
                with contextlib.suppress(OSError):  # the shim has ended, and with it the client
                    gate.send(b"1")
                return


def _hand_over(entry: Entry, fd: int, options: Attachment) -> None:
    if entry.shim is not None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            messages.send(entry.shim, ("attach", options), [fd])
        return
    entry.keep_client(socket.socket(fileno=os.dup(fd)), options)


def _hand_over_held(entry: Entry, fd: int, options: Attachment) -> socket.socket | None:
    """Hand it to the shim, which holds back output; our end of the gate, or None without a shim."""
    if entry.shim is None:
        return None
    ours, theirs = socket.socketpair()
    with theirs, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        messages.send(entry.shim, ("attach", options), [fd, theirs.fileno()])
    return ours


def _end_said_at(gate: socket.socket) -> logs.Position | None:
    try:
        message = messages.receive(gate)
    except ConnectionError:
        message = None
    if message is None or not message[1]:
        return None
    size, fds = message
    return logs.Position(os.fdopen(fds[0], "rb"), int(str(size)))


def _end_of(log_path: str) -> logs.Position | None:
    """The end of the log of a container that does not run."""
    try:
        file = open(log_path, "rb")
    except FileNotFoundError:
        return None
    return logs.Position(file, os.fstat(file.fileno()).st_size)
