"""The streams of one process: from its pipes or its terminal to the log and the attached clients.

An attached client is a socket on which the daemon has already answered the HTTP request; from then
on it belongs to the shim, so attached terminals survive the daemon.  Output is sent in Docker's
frames: one byte for the stream, three of zero, four for the length (big-endian), then the data
(Engine API, "Attach to a container"); from a terminal it is sent as it is.  A client's input goes
to stdin.

No client can hold up the process: one that does not read is dropped when too much waits for it.

A client that also wants the earlier output has a gate, a socket to the daemon.  On it the shim
reports where the log ends at this moment, and holds back later output.  The daemon sends the client
the log up to there, and then a byte on the gate, which releases the held output: no line between
the two is lost or sent twice.
"""

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from labkit.dialect.frames import framed
from labkit.kernel import messages, terminals
from labkit.runtime.detach import DetachKeys
from labkit.runtime.log import LogWriter
from labkit.runtime.watcher import GONE, READABLE, WRITABLE, Watcher

READ_SIZE = 65536
MOST_WAITING = 64 * 1024 * 1024

Attachment = tuple[bool, bool, bool, bytes]
"""A client's wishes: stdin, stdout, stderr, and the keys by which it detaches."""


class Client:
    """One attached client, its wishes, and the output that waits to be sent to it."""

    __slots__ = (
        "connection",
        "detach_keys",
        "gate",
        "reading",
        "stdin",
        "streams",
        "waiting",
        "watched",
    )

    def __init__(
        self, connection: socket.socket, stdin: bool, streams: set[str], keys: bytes
    ) -> None:
        self.connection = connection
        self.stdin = stdin
        self.streams = streams
        self.detach_keys = DetachKeys(keys)
        self.waiting = bytearray()
        self.gate: socket.socket | None = None
        """Set while the daemon sends the log: until then nothing is sent or read here."""
        self.reading = True
        """Whether the client may still send; false after its half-close and while stdin is full."""
        self.watched: int | None = None
        """The events that are watched for this client."""


class Pipes(NamedTuple):
    """The pipes of a process: its ends, and the shim's ends."""

    child: tuple[int, int, int]
    terminal: int = -1
    """The process's end of the socket on which it sends its terminal; -1 without one."""
    stdin: int | None = None
    """The shim's end of the process's stdin; None without input, or with a terminal."""
    outputs: tuple[tuple[int, str], ...] = ()
    """The shim's ends of the process's outputs, with the names of the streams."""
    terminal_receiver: socket.socket | None = None
    """The shim's end of the socket on which the process sends its terminal."""


def make_pipes(open_stdin: bool, tty: bool = False) -> Pipes:
    """Make all pipes that a process needs for its start.

    A stdin without input is a pipe without a writer, until the process opens its own /dev/null.
    With a terminal that holds for all three: the process opens the terminal inside its container,
    where its name will be true, and sends the other end to the shim.
    """
    child_stdin, stdin = os.pipe()
    if tty:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        os.close(stdin)
        child = (child_stdin, os.dup(child_stdin), os.dup(child_stdin))
        return Pipes(child, theirs.detach(), terminal_receiver=ours)
    out_read, child_out = os.pipe()
    err_read, child_err = os.pipe()
    child = (child_stdin, child_out, child_err)
    outputs = ((out_read, "stdout"), (err_read, "stderr"))
    if not open_stdin:
        os.close(stdin)
        return Pipes(child, outputs=outputs)
    os.set_blocking(stdin, False)
    return Pipes(child, stdin=stdin, outputs=outputs)


class Streams:
    """The shim's side of one process's pipes or terminal, its log, and its clients."""

    def __init__(
        self,
        watcher: Watcher,
        pipes: Pipes,
        log_path: str | None,
        stdin_once: bool,
        log_limits: tuple[int, int] = (0, 1),
        *,
        framed: bool | None = None,
        on_detach: Callable[[], None] = lambda: None,
    ) -> None:
        self._watcher = watcher
        self._pipes = pipes
        self._log_path = log_path
        self._log_limits = log_limits
        self._framed_output = pipes.terminal_receiver is None if framed is None else framed
        """Whether clients get Docker's frames; by default without a terminal."""
        self._on_detach = on_detach
        self._log: LogWriter | None = None
        self._clients: set[Client] = set()
        self._stdin_once = stdin_once
        self._stdin = pipes.stdin
        self._stdin_waiting = bytearray()
        self._stdin_ends = False
        """Whether stdin is closed after everything is written to it."""
        self._outputs = dict(pipes.outputs)
        self._terminal: int | None = None
        """The master side of the process's terminal."""

    def begin(self) -> None:
        """Close the process's ends of the pipes, which it has by now, and watch the others."""
        for fd in self._pipes.child:
            os.close(fd)
        if self._pipes.terminal_receiver is not None:
            os.close(self._pipes.terminal)
        if self._log_path:
            self._log = LogWriter(self._log_path, *self._log_limits)
        for fd in self._outputs:
            self._watch_output(fd)

    def take_terminal(self) -> None:
        """Receive the terminal, which the process has sent before it runs its program, if any."""
        receiver = self._pipes.terminal_receiver
        if receiver is None:
            return
        with receiver:
            message = messages.receive(receiver)
        if message is None:
            return
        self._terminal = message[1][0]
        self._outputs = {self._terminal: "stdout"}
        # Separate descriptors to write and to read, so that each can be watched and closed alone.
        self._stdin = os.dup(self._terminal)
        os.set_blocking(self._stdin, False)
        self._watch_output(self._terminal)

    def _watch_output(self, fd: int) -> None:
        self._watcher.watch(fd, READABLE, lambda _: self._read_output(fd))

    def resize(self, height: int, width: int) -> None:
        """Set the terminal's size, in characters; without a terminal this does nothing."""
        if self._terminal is not None:
            terminals.set_size(self._terminal, height, width)

    def attach(self, fd: int, options: Attachment, gate_fd: int | None = None) -> None:
        """Serve another client: `fd` is its connected socket, which this object owns from now on.

        With a gate, the client waits behind it (see above).
        """
        stdin, stdout, stderr, keys, *_ = options  # a later daemon may send more
        connection = socket.socket(fileno=fd)
        connection.setblocking(False)
        wanted = {name for name, wants in (("stdout", stdout), ("stderr", stderr)) if wants}
        client = Client(connection, stdin, wanted, keys)
        self._clients.add(client)
        if gate_fd is not None:
            self._hold(client, socket.socket(fileno=gate_fd))
        self._watch(client)

    def _hold(self, client: Client, gate: socket.socket) -> None:
        client.gate = gate
        fds: list[int] = []
        size = 0
        if self._log:
            path, size = self._log.end()
            with suppress(FileNotFoundError):
                fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            for name, rest in self._log.unfinished():
                if name in client.streams:
                    client.waiting += self._framed(name, rest)
        with suppress(OSError):  # the daemon has died: the gate reports its end
            messages.send(gate, size, fds)
        for fd in fds:
            os.close(fd)
        self._watcher.watch(gate.fileno(), READABLE, lambda _: self._open_gate(client, gate))

    def _open_gate(self, client: Client, gate: socket.socket) -> None:
        """Release the client if the daemon has sent the log; drop it if the daemon has died."""
        try:
            word = gate.recv(1)
        except ConnectionResetError:
            word = b""
        if word:
            self._close_gate(client)
            self._send(client)
        else:
            self._give_up(client)

    def _close_gate(self, client: Client) -> None:
        if client.gate is not None:
            self._watcher.forget(client.gate.fileno())
            client.gate.close()
            client.gate = None

    def _framed(self, name: str, data: bytes) -> bytes:
        if not self._framed_output:
            return data
        return framed(name, data)

    def _read_output(self, fd: int) -> None:
        try:
            data = os.read(fd, READ_SIZE)
        except BlockingIOError:
            # A terminal can discard what was to be read (ctrl-c does that).
            return
        except OSError as error:
            # A read from a terminal that no process has open any more fails with EIO.
            if error.errno != errno.EIO:
                raise
            data = b""
        name = self._outputs[fd]
        if not data:
            self._watcher.forget(fd)
            os.close(fd)
            del self._outputs[fd]
            self._terminal = None
            return
        if self._log:
            self._log.write(name, data)
        framed = self._framed(name, data)
        for client in list(self._clients):
            if name in client.streams:
                self._send(client, framed)

    def _send(self, client: Client, data: bytes = b"") -> None:
        """Send what waits and then `data`; keep what the client's socket does not accept."""
        client.waiting += data
        try:
            held = client.gate is not None
            sent = 0 if held else client.connection.send(client.waiting, socket.MSG_NOSIGNAL)
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
        """Watch for what this client can do now; epoll reports a hang-up in any case."""
        if client.gate is not None:
            return
        wanted = READABLE if client.reading else 0
        if client.waiting:
            wanted |= WRITABLE
        if wanted != client.watched:
            client.watched = wanted
            fd = client.connection.fileno()
            self._watcher.watch(fd, wanted, lambda events: self._serve_client(client, events))

    def _serve_client(self, client: Client, events: int) -> None:
        if events & GONE:
            self._take_rest(client)
            return
        if events & READABLE:
            self._take_input(client)
        if events & WRITABLE and client in self._clients:
            self._send(client)

    def _take_input(self, client: Client) -> None:
        try:
            data = client.connection.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self._give_up(client)
            return
        self._pass_on(client, data)

    def _take_rest(self, client: Client) -> None:
        """Take the rest of a client that closed both directions: it is still input."""
        while client in self._clients:
            try:
                data = client.connection.recv(READ_SIZE)
            except OSError:
                data = b""
            self._pass_on(client, data)
            if not data:
                self._give_up(client)

    def _pass_on(self, client: Client, data: bytes) -> None:
        """Pass on a client's input; empty `data` means that it will send no more."""
        if not data:
            # The client has no more input, but may still read, so its output continues.
            client.reading = False
            if client.stdin and self._stdin_once and self._terminal is None:
                self._stdin_ends = True
                self._write_stdin()
        elif client.stdin:
            passed, detached = client.detach_keys.take(data)
            self._stdin_waiting += passed
            self._write_stdin()
            if detached:
                self._give_up(client)
                self._on_detach()
                return
            client.reading = not self._stdin_waiting
        self._watch(client)

    def _write_stdin(self) -> None:
        """Write the waiting input to the process's stdin, as much as fits."""
        if self._stdin is None:
            self._stdin_waiting.clear()
            return
        try:
            while self._stdin_waiting:
                del self._stdin_waiting[: os.write(self._stdin, self._stdin_waiting)]
        except BlockingIOError:
            self._watcher.watch(self._stdin, WRITABLE, lambda _: self._stdin_has_room())
            return
        except OSError as error:
            # No process of the container reads stdin any more.
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            self._stdin_waiting.clear()
            self._stdin_ends = True
        if self._stdin_ends:
            self._close_stdin()

    def _stdin_has_room(self) -> None:
        if self._stdin is not None:
            self._watcher.forget(self._stdin)
        self._write_stdin()
        if self._stdin_waiting:
            return
        for client in self._clients:
            if client.stdin and not client.reading:
                client.reading = True
                self._watch(client)

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            self._watcher.forget(self._stdin)
            os.close(self._stdin)
            self._stdin = None

    def _give_up(self, client: Client) -> None:
        self._close_gate(client)
        self._watcher.forget(client.connection.fileno())
        self._clients.discard(client)
        client.connection.close()

    @property
    def is_drained(self) -> bool:
        """Whether all output has been read to its end, and sent to every client."""
        return not (self._outputs or self.has_waiting_clients)

    @property
    def has_waiting_clients(self) -> bool:
        """Whether output waits for a client."""
        return any(client.waiting for client in self._clients)

    def close_log(self) -> None:
        """Finish the log; its last line may lack a newline."""
        if self._log:
            self._log.close()
            self._log = None

    def let_go(self, *, also_waiting: bool = True) -> None:
        """Close stdin, and the connections of all clients or of those without waiting output.

        The outputs are read to their end: a process that was left behind may still write.
        """
        for client in list(self._clients):
            if also_waiting or not client.waiting:
                self._give_up(client)
        self._close_stdin()

    def close_outputs(self) -> None:
        """Close the outputs: nothing more is read."""
        for fd in self._outputs:
            self._watcher.forget(fd)
            os.close(fd)
        self._outputs.clear()
        self._terminal = None

    def close(self) -> None:
        """Finish the log, and close everything."""
        if self._pipes.terminal_receiver is not None:
            self._pipes.terminal_receiver.close()
        self.close_log()
        self.let_go()
        self.close_outputs()
