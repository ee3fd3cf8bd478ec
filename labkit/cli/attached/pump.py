"""The streams of an attached container, over one raw connection, until the connection ends."""

import os
import select
import socket
import sys
import time

from labkit.cli.attached.ending import RETRY_S
from labkit.cli.base.output import write
from labkit.client.detach import DetachWatch
from labkit.dialect.frames import STDOUT, Demultiplexer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.cli.attached.ending import Ending
    from labkit.client.http import Response

RECEIVE_BYTES = 256 * 1024
READ_BYTES = 64 * 1024
STDIN = 0


class Pump:
    """Reads no more of stdin than the container takes, and never waits for one side alone."""

    def __init__(
        self, response: "Response", *, tty: bool, stdin: bool, detach_keys: str = ""
    ) -> None:
        """`response` is hijacked; with a `tty` the output has no frames.

        InvalidParameterError for unknown detach keys.
        """
        self._watch = DetachWatch(detach_keys)
        self._socket, self._early = response.hijack()
        self._frames = None if tty else Demultiplexer()
        self._unsent = b""
        self._reads = stdin
        self._ended = not stdin
        """Whether the container knows that no more input follows, or never expects any."""

    def run(self, ending: "Ending | None" = None) -> bool:
        """Pass data on until the output ends; also watch for the container's end.

        True if the user typed the detach keys.  OSError (BrokenPipeError, …) if the command's own
        output cannot be written.
        """
        self._pass_on(self._early)
        self._socket.setblocking(False)
        ask_at = 0.0
        while True:
            lost = ending is not None and ending.is_lost
            if ending and lost and time.monotonic() >= ask_at:
                ending.ask_again()
                ask_at = time.monotonic() + RETRY_S
            awaited = ending.fileno if ending else -1
            ready = self._wait(awaited, RETRY_S if ending and ending.is_lost else None)
            if ending and awaited in ready:
                ending.hear()
            if STDIN in ready:
                self._read_stdin()
            if not self._exchange(ready.get(self._socket.fileno(), 0)):
                return self._watch.has_left

    def _wait(self, awaited: int, timeout_s: float | None) -> dict[int, int]:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        if awaited >= 0:
            poll.register(awaited, select.POLLIN)
        if self._reads and not self._unsent:
            poll.register(STDIN, select.POLLIN)
        return dict(poll.poll(None if timeout_s is None else timeout_s * 1000))

    def _read_stdin(self) -> None:
        try:
            data = os.read(STDIN, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # closed, or the terminal was closed: no more input
        self._reads = bool(data)
        self._unsent = data
        if self._frames is None:
            self._watch.see(data)  # only terminals have such keys
        self._send()

    def _exchange(self, events: int) -> bool:
        """Send and receive what is possible now; False at the end of the output."""
        if events & select.POLLOUT:
            self._send()
        if not events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            return True
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        self._pass_on(data)
        return bool(data)

    def _send(self) -> None:
        try:
            if self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._reads, self._unsent, self._ended = False, b"", True  # it no longer reads
            return
        if not (self._reads or self._unsent or self._ended):
            self._socket.shutdown(socket.SHUT_WR)
            self._ended = True

    def _pass_on(self, data: bytes) -> None:
        if self._frames is None:
            write(STDOUT, data)
            return
        for stream, payload in self._frames.feed(data):
            write(stream, payload)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def say_detached() -> None:
    """Print Docker's message on its own line, readable on a raw terminal too."""
    sys.stderr.write("\r\nread escape sequence\r\n")
