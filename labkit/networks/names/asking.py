"""Asking other servers the same question, one after the other, until one answers.

They are asked from the host's network, over UDP or TCP like the container's question.  Each
question has its own socket, with a port that cannot be predicted, and its own id.
"""

import secrets
import socket
from collections.abc import Callable, Sequence

from labkit.networks.names.loop import READ, WRITE, Loop, Timer
from labkit.networks.names.queries import HEADER_SIZE, Query

PORT = 53
ANSWER_TIMEOUT_S = 2.0
"""The wait for one server: clients give up after five seconds (resolv.conf(5))."""
MOST_SERVERS = 3
"""The maximum in a resolv.conf (MAXNS)."""
_IS_ANSWER = 0x80
_UNHELPFUL = (2, 5)
"""SERVFAIL, REFUSED: another server may know the answer."""
_MOST_BYTES = 65535

OnAnswer = Callable[[bytes | None], None]
"""Called once, with the answer, or with None if no server gave one."""


class Asking:
    """One question in progress.  Everything happens in the loop's thread."""

    def __init__(self, loop: Loop, query: Query, servers: Sequence[str], on_answer: OnAnswer):
        self._loop = loop
        self._query = query
        self._servers = list(servers[:MOST_SERVERS])
        self._on_answer = on_answer
        self._best: bytes | None = None
        """An unhelpful answer, which is used if there is no better one."""
        self._id = b""
        self._socket: socket.socket | None = None
        self._timer: Timer | None = None
        self._unsent = b""
        self._received = b""

    def begin(self) -> None:
        """Ask the first server."""
        self._ask_next()

    def cancel(self) -> None:
        """Stop, because the client is gone."""
        self._hang_up()

    def _ask_next(self) -> None:
        self._hang_up()
        while self._servers:
            try:
                self._ask(self._servers.pop(0))
            except (OSError, ValueError):
                # A bad address (ValueError), no route to it, or no free descriptor.
                self._hang_up()
                continue
            return
        self._on_answer(self._best)

    def _hang_up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._loop.forget(self._socket)
            self._socket.close()
            self._socket = None

    def _ask(self, server: str) -> None:
        is_tcp = not self._query.limit
        kind = socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        family, _, _, _, address = socket.getaddrinfo(server, PORT, type=kind, flags=numeric)[0]
        self._socket = way = socket.socket(family, kind)
        way.setblocking(False)
        self._id = secrets.token_bytes(2)
        self._timer = self._loop.after(ANSWER_TIMEOUT_S, self._ask_next)
        message = self._id + self._query.wire[2:]
        if is_tcp:
            self._unsent, self._received = len(message).to_bytes(2) + message, b""
            way.connect_ex(address)
            self._loop.watch(way, WRITE, self._send_rest)
            return
        way.connect(address)
        way.send(message)
        self._loop.watch(way, READ, self._take_datagram)

    def _take_datagram(self) -> None:
        assert self._socket is not None  # noqa: S101 it is watched
        try:
            self._take(self._socket.recv(_MOST_BYTES))
        except BlockingIOError:
            return
        except OSError:
            self._ask_next()  # no program listens there

    def _send_rest(self) -> None:
        assert self._socket is not None  # noqa: S101 it is watched
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._ask_next()
            return
        if not self._unsent:
            self._loop.watch(self._socket, READ, self._take_part)

    def _take_part(self) -> None:
        assert self._socket is not None  # noqa: S101 it is watched
        try:
            part = self._socket.recv(_MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        self._received += part
        size = 2 + int.from_bytes(self._received[:2])
        if len(self._received) >= max(size, 2 + HEADER_SIZE):
            self._take(self._received[2:size])
        if not part and self._socket is not None:
            self._ask_next()

    def _take(self, answer: bytes) -> None:
        """Accept an answer if it is for this question: any machine can send to the port."""
        if len(answer) < HEADER_SIZE or answer[:2] != self._id or not answer[2] & _IS_ANSWER:
            return
        whole = self._query.wire[:2] + answer[2:]
        if answer[3] & 0xF in _UNHELPFUL and self._servers:
            self._best = whole
            self._ask_next()
            return
        self._hang_up()
        self._on_answer(whole)
