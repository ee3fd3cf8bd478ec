"""The container's three streams: from its pipes to the log and to everyone attached.

An attached client is a socket on which the daemon has already answered the HTTP request; from then
on it belongs to the shim, so attached terminals survive the daemon.  What the container prints is
sent in Docker's frames: one byte for the stream, three of zero, four for the length (big-endian),
then the data (Engine API, "Attach to a container").  What the client sends goes to stdin.

No client can hold up the container: one that does not read is given up when too much waits for it.
"""

import os
import selectors
import socket
import time
from struct import pack
from typing import NamedTuple

from labkit.runtime.log import LogWriter

READ_SIZE = 65536
MOST_WAITING = 64 * 1024 * 1024
DRAIN_S = 2.0
FRAME_HEADER = ">BxxxL"
STREAM_NUMBERS = {"stdout": 1, "stderr": 2}


class Client:
    """One attached client, what it wants, and what waits to be sent to it."""

    __slots__ = ("connection", "reading", "stdin", "streams", "waiting", "watched")

    def __init__(self, connection: socket.socket, stdin: bool, streams: set[str]) -> None:
        self.connection = connection
        self.stdin = stdin
        self.streams = streams
        self.waiting = bytearray()
        self.reading = True
        """Whether the client may still send; false after its half-close and while stdin is full."""
        self.watched = 0
        """The events the selector watches for this client now."""


class Pipes(NamedTuple):
    """The pipes of a container: the ends its process gets, and the ends the shim keeps."""

    child: tuple[int, int, int]
    stdin: int | None
    """Where the shim writes the container's stdin; None when that is /dev/null."""
    outputs: dict[int, str]
    """Where the shim reads what is printed, with the name of the stream."""


def make_pipes(open_stdin: bool) -> Pipes:
    """Make the pipes; it is all a container's process needs in order to be started."""
    stdin: int | None = None
    if open_stdin:
        child_stdin, stdin = os.pipe()
        os.set_blocking(stdin, False)
    else:
        child_stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    out_read, child_out = os.pipe()
    err_read, child_err = os.pipe()
    outputs = {out_read: "stdout", err_read: "stderr"}
    return Pipes((child_stdin, child_out, child_err), stdin, outputs)


class Streams:
    """The shim's side of one container's pipes, its log, and the clients attached to it."""

    def __init__(
        self, selector: selectors.BaseSelector, pipes: Pipes, log_path: str, stdin_once: bool
    ) -> None:
        self._selector = selector
        self._log = LogWriter(log_path)
        self._clients: dict[socket.socket, Client] = {}
        self._stdin_once = stdin_once
        self._stdin = pipes.stdin
        self._stdin_waiting = bytearray()
        self._stdin_ends = False
        """Whether stdin is to be closed once everything is written to it."""
        self._outputs = dict(pipes.outputs)
        for fd in pipes.child:
            os.close(fd)
        for fd in self._outputs:
            selector.register(fd, selectors.EVENT_READ, self._read_output)

    def attach(self, fd: int, stdin: bool, stdout: bool, stderr: bool) -> None:
        """Serve another client: `fd` is its connected socket, which is ours from now on."""
        connection = socket.socket(fileno=fd)
        connection.setblocking(False)
        wanted = {name for name, wants in (("stdout", stdout), ("stderr", stderr)) if wants}
        client = Client(connection, stdin and self._stdin is not None, wanted)
        self._clients[connection] = client
        self._watch(client)

    def _read_output(self, fd: int, events: int) -> None:
        data = os.read(fd, READ_SIZE)
        name = self._outputs[fd]
        if not data:
            self._selector.unregister(fd)
            os.close(fd)
            del self._outputs[fd]
            return
        self._log.write(name, data)
        frame = pack(FRAME_HEADER, STREAM_NUMBERS[name], len(data)) + data
        for client in list(self._clients.values()):
            if name in client.streams:
                self._send(client, frame)

    def _send(self, client: Client, data: bytes = b"") -> None:
        """Send what waits and then `data`, keeping what the client's socket does not take."""
        client.waiting += data
        try:
            sent = client.connection.send(client.waiting, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._give_up(client)
            return
        del client.waiting[:sent]
        if len(client.waiting) > MOST_WAITING:
            self._give_up(client)
            return
        self._watch(client)

    def _watch(self, client: Client) -> None:
        """Let the selector watch for what this client can do now, and for nothing else."""
        wanted = selectors.EVENT_READ if client.reading else 0
        if client.waiting:
            wanted |= selectors.EVENT_WRITE
        if wanted == client.watched:
            return
        if not client.watched:
            self._selector.register(client.connection, wanted, self._serve_client)
        elif not wanted:
            self._selector.unregister(client.connection)
        else:
            self._selector.modify(client.connection, wanted, self._serve_client)
        client.watched = wanted

    def _serve_client(self, connection: socket.socket, events: int) -> None:
        client = self._clients.get(connection)
        if client and events & selectors.EVENT_READ:
            self._take_input(client)
        if connection in self._clients and client and events & selectors.EVENT_WRITE:
            self._send(client)

    def _take_input(self, client: Client) -> None:
        try:
            data = client.connection.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self._give_up(client)
            return
        if not data:
            # The client has no more input, but may still read: its output goes on.
            client.reading = False
            if client.stdin and self._stdin_once:
                self._stdin_ends = True
                self._write_stdin()
        elif client.stdin:
            self._stdin_waiting += data
            self._write_stdin()
            client.reading = not self._stdin_waiting
        self._watch(client)

    def _write_stdin(self) -> None:
        """Write what waits for the container's stdin, as much as its pipe takes."""
        if self._stdin is None:
            return
        try:
            while self._stdin_waiting:
                del self._stdin_waiting[: os.write(self._stdin, self._stdin_waiting)]
        except BlockingIOError:
            if self._stdin not in self._selector.get_map():
                self._selector.register(self._stdin, selectors.EVENT_WRITE, self._stdin_has_room)
            return
        except BrokenPipeError:
            # Nobody in the container reads stdin any more.
            self._stdin_waiting.clear()
            self._stdin_ends = True
        if self._stdin_ends:
            self._close_stdin()

    def _stdin_has_room(self, fd: int, events: int) -> None:
        self._selector.unregister(fd)
        self._write_stdin()
        if self._stdin_waiting:
            return
        for client in self._clients.values():
            if client.stdin and not client.reading:
                client.reading = True
                self._watch(client)

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            if self._stdin in self._selector.get_map():
                self._selector.unregister(self._stdin)
            os.close(self._stdin)
            self._stdin = None

    def _give_up(self, client: Client) -> None:
        if client.watched:
            self._selector.unregister(client.connection)
        del self._clients[client.connection]
        client.connection.close()

    def drain(self) -> None:
        """After the container's end: read what is left in its pipes and hand it on.

        A process that left the container's PID namespace could hold a pipe open for ever, and a
        client may never read, so this takes `DRAIN_S` at most.
        """
        deadline = time.monotonic() + DRAIN_S
        while self._outputs or any(client.waiting for client in self._clients.values()):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            for key, events in self._selector.select(left):
                key.data(key.fileobj, events)

    def close_log(self) -> None:
        """Finish the log: its last line may have no newline."""
        self._log.close()

    def close(self) -> None:
        """Let go of the clients: their streams end here."""
        for client in list(self._clients.values()):
            self._give_up(client)
        self._close_stdin()
