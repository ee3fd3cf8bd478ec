"""Recording HTTP/1.1 between two sockets, while the data pass.

Everything is forwarded at once and read afterwards: recording delays neither side.  RFC 9112
defines a message and its end.  Data after a `101` are no longer HTTP, and are copied as they are
(the streams of `attach` and `exec`, which Docker calls hijacked).
"""

import contextlib
import io
import queue
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

RECEIVE_BYTES = 65536
ANSWER_TIMEOUT_S = 30.0
SWITCHED = 101
BODILESS = frozenset({204, 304})
NOT_HTTP = (ValueError, queue.Empty)
"""The errors for bytes that are no HTTP messages; these are copied nevertheless."""

Headers = dict[str, str]


@dataclass
class Exchange:
    """A request and its answer.  Times are Unix times in seconds, 0 if not known yet.

    `sent_bytes` and `received_bytes` count the bodies, streams included, but not the sizes of
    chunks; `lanes` are the sender of the request and the sender of the answer.
    """

    method: str
    target: str
    asked_s: float
    lanes: tuple[str, str] = ("client", "daemon")
    status: int = 0
    answered_s: float = 0.0
    ended_s: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0
    answered: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)


class Tee(io.RawIOBase):
    """Reads from `source` and sends the same to `target`; `last_s` is the time of the last read."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self._source, self._target = source, target
        self.last_s = 0.0

    def readable(self) -> bool:
        """Always True."""
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Read the data that have arrived, at most as many as fit; 0 at the end."""
        try:
            count = self._source.recv_into(buffer)
        except ConnectionResetError:
            count = 0
        self.last_s = time.time()
        with contextlib.suppress(OSError):  # the target has closed: its bytes are still counted
            if count:
                self._target.sendall(buffer[:count])
            else:
                self._target.shutdown(socket.SHUT_WR)
        return count


class Listener:
    """One connection: `exchanges` grows with its requests; `run` returns at its end."""

    def __init__(
        self, client: socket.socket, daemon: socket.socket, exchanges: list[Exchange]
    ) -> None:
        self._client, self._daemon = client, daemon
        self._exchanges = exchanges
        self._open: queue.Queue[Exchange] = queue.Queue()

    def run(self) -> None:
        """Copy in both directions until both have ended, then close the sockets."""
        answers = threading.Thread(target=self._listen, args=(False,), daemon=True)
        answers.start()
        self._listen(True)
        answers.join()
        self._client.close()
        self._daemon.close()

    def _listen(self, is_request: bool) -> None:
        source, target = self._client, self._daemon
        if not is_request:
            source, target = target, source
        tee = Tee(source, target)
        file: io.BufferedReader[Any] = io.BufferedReader(tee, RECEIVE_BYTES)
        with contextlib.suppress(*NOT_HTTP):
            while (self._request if is_request else self._answer)(file, tee):
                pass
        while file.read1(RECEIVE_BYTES):
            pass

    def _request(self, file: "io.BufferedReader[Any]", tee: Tee) -> bool:
        """Read one request; False if no other can follow."""
        line, headers = head(file)
        if not line:
            return False
        method, target, _ = line.split(" ", 2)
        exchange = Exchange(method, target, tee.last_s)
        self._exchanges.append(exchange)
        self._open.put(exchange)
        for count in body(file, headers):
            exchange.sent_bytes += count
        if "upgrade" not in headers:
            return True
        # The answer, which comes first, decides whether a stream or another request follows.
        first = file.peek(1)
        exchange.answered.wait(ANSWER_TIMEOUT_S)
        if first and exchange.status == SWITCHED:
            while part := file.read1(RECEIVE_BYTES):
                exchange.sent_bytes += len(part)
        return exchange.status != SWITCHED

    def _answer(self, file: "io.BufferedReader[Any]", tee: Tee) -> bool:
        line, headers = head(file)
        if not line:
            return False
        status = int(line.split(" ", 2)[1])
        if 100 <= status < 200 and status != SWITCHED:
            return True  # "100 Continue" comes before the real answer
        exchange = self._open.get(timeout=ANSWER_TIMEOUT_S)
        exchange.status, exchange.answered_s = status, tee.last_s
        exchange.answered.set()
        if exchange.method != "HEAD" and status not in BODILESS:
            for count in body(file, headers, to_the_end=True):
                exchange.received_bytes += count
        exchange.ended_s = tee.last_s
        return True


def head(file: BinaryIO) -> tuple[str, Headers]:
    """The first line of a message and its headers, in lower case; ("", {}) at the end."""
    line = file.readline().decode("latin-1").strip()
    headers: Headers = {}
    while field_line := file.readline().decode("latin-1").strip():
        name, _, value = field_line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return line, headers


def body(
    file: "io.BufferedReader[Any]", headers: Headers, *, to_the_end: bool = False
) -> Iterator[int]:
    """Read a message's body and yield the sizes of its pieces; ValueError if it is not HTTP.

    `to_the_end`: a body without a length ends with the connection.
    """
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int(file.readline().partition(b";")[0], 16):
            yield len(file.read(size))
            file.readline()
        while file.readline().strip():
            pass  # trailers
    elif "content-length" in headers and "upgrade" not in headers:
        left = int(headers["content-length"])
        while left and (part := file.read1(min(left, RECEIVE_BYTES))):
            left -= len(part)
            yield len(part)
    elif to_the_end:
        while part := file.read1(RECEIVE_BYTES):
            yield len(part)
