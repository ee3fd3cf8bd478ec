"""One container's sockets: its queries come in, and the answers go out.

A container may be hostile, so each has limits: queries per second, questions in progress to other
servers, connections, and the time of a connection.  Queries above the limits wait in the
container's own socket until the kernel drops them, and do not affect other containers.
"""

import contextlib
import functools
import socket
import time
from collections.abc import Callable, Sequence

from labkit.networks.names import queries
from labkit.networks.names.answering import Answers
from labkit.networks.names.asking import Asking
from labkit.networks.names.budget import Budget
from labkit.networks.names.loop import READ, WRITE, Loop
from labkit.networks.names.shares import Shares
from labkit.networks.names.table import Table

QUERIES_PER_S = 1000.0
QUERIES_AT_ONCE = 1000.0
PAUSE_S = 0.05
"""How long a container that has used up its budget is ignored."""
TURN = 16
"""The number of queries from one container before the next one's turn."""
MOST_CONNECTIONS = 16
CONNECTION_TIMEOUT_S = 10.0
"""How long a connection may take for one question and its answer."""

Reply = Callable[[bytes | None], None]
"""Sends an answer, or none for None."""


class Client:
    """A container as a client of the server.  Everything happens in the loop's thread."""

    def __init__(
        self,
        loop: Loop,
        container_id: str,
        fds: Sequence[int],
        table: Callable[[], Table],
        shares: Shares,
    ) -> None:
        """`fds`: the UDP socket and the listening TCP socket; this object closes them.

        `shares` limits the questions of all containers to other servers.
        """
        self._loop = loop
        self._container_id = container_id
        self._table = table
        self._answers = Answers(container_id)
        self._udp, self._tcp = (socket.socket(fileno=fd) for fd in fds)
        self._budget = Budget(QUERIES_PER_S, QUERIES_AT_ONCE, time.monotonic())
        self._shares = shares
        self._asked: dict[int, Asking] = {}
        self._connections: set[_Connection] = set()
        self._is_closed = False

    def begin(self) -> None:
        """Start to listen; earlier queries still wait in the sockets."""
        for listening in (self._udp, self._tcp):
            listening.setblocking(False)
        self._listen_to_udp()
        self._listen_to_tcp()

    def close(self) -> None:
        """Close everything, because the container is gone."""
        self._is_closed = True
        for number, asking in self._asked.items():
            asking.cancel()
            self._shares.give_back(self, number)
        for connection in list(self._connections):
            connection.close()
        for listening in (self._udp, self._tcp):
            self._loop.forget(listening)
            listening.close()

    def may_ask(self) -> bool:
        """Whether the container's limit allows one more query, which is counted."""
        return self._budget.take(time.monotonic())

    def resolve(self, wire: bytes, reply: Reply, *, is_tcp: bool) -> None:
        """Answer a query, now or when another server has answered."""
        try:
            query = queries.read(wire, is_tcp=is_tcp)
        except queries.BadQueryError as error:
            reply(error.reply)
            return
        table = self._table()
        if (own := self._answers.to(query, table)) is not None:
            reply(own)
            return

        def give_way() -> None:
            asking.cancel()
            answered(None)

        def answered(answer: bytes | None) -> None:
            if number is not None and self._asked.pop(number, None) is not None:
                self._shares.give_back(self, number)
            reply(queries.fitted(query, answer) if answer else queries.failure(query))

        number = self._shares.take(self, give_way)
        if number is None:
            reply(queries.failure(query))
            return
        asking = Asking(self._loop, query, table.servers(self._container_id), answered)
        self._asked[number] = asking
        asking.begin()

    def _listen_to_udp(self) -> None:
        if not self._is_closed:
            self._loop.watch(self._udp, READ, self._take_datagrams)

    def _take_datagrams(self) -> None:
        for _ in range(TURN):
            if not self.may_ask():
                self._loop.forget(self._udp)
                self._loop.after(PAUSE_S, self._listen_to_udp)
                return
            try:
                wire, sender = self._udp.recvfrom(queries.LARGEST_QUERY + 1)
            except OSError:
                return
            self.resolve(wire, functools.partial(self._send_datagram, sender), is_tcp=False)

    def _send_datagram(self, sender: tuple[str, int], answer: bytes | None) -> None:
        # A container that does not read its answers loses them, as always with UDP.
        with contextlib.suppress(OSError):
            if answer:
                self._udp.sendto(answer, sender)

    def _listen_to_tcp(self) -> None:
        if not self._is_closed:
            self._loop.watch(self._tcp, READ, self._accept)

    def _accept(self) -> None:
        try:
            accepted, _ = self._tcp.accept()
        except BlockingIOError:
            return
        except OSError:
            # No descriptor is free (EMFILE): try again later.
            self._loop.forget(self._tcp)
            self._loop.after(PAUSE_S, self._listen_to_tcp)
            return
        self._connections.add(_Connection(self._loop, accepted, self, self._closed))
        if len(self._connections) >= MOST_CONNECTIONS:
            self._loop.forget(self._tcp)

    def _closed(self, connection: "_Connection") -> None:
        self._connections.discard(connection)
        self._listen_to_tcp()


class _Connection:
    """One TCP connection: one question at a time, each preceded by its length."""

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        client: Client,
        on_close: Callable[["_Connection"], None],
    ) -> None:
        self._loop = loop
        self._socket = connection
        self._client = client
        self._on_close = on_close
        self._received = b""
        self._unsent = b""
        self._is_closed = False
        self._timer = loop.after(CONNECTION_TIMEOUT_S, self.close)
        connection.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Close the connection."""
        if self._is_closed:
            return
        self._is_closed = True
        self._timer.cancel()
        self._loop.forget(self._socket)
        self._socket.close()
        self._on_close(self)

    def _listen(self) -> None:
        if not self._is_closed:
            self._loop.watch(self._socket, READ, self._read)

    def _read(self) -> None:
        try:
            part = self._socket.recv(queries.LARGEST_QUERY)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part:
            self.close()
            return
        self._received += part
        self._take_question()

    def _take_question(self) -> None:
        if self._is_closed:
            return
        size = int.from_bytes(self._received[:2])
        if size > queries.LARGEST_QUERY:
            self.close()
            return
        if len(self._received) < 2 + size or len(self._received) < 2:
            self._listen()
            return
        self._loop.forget(self._socket)
        if not self._client.may_ask():
            self._loop.after(PAUSE_S, self._take_question)
            return
        wire, self._received = self._received[2 : 2 + size], self._received[2 + size :]
        self._client.resolve(wire, self._reply, is_tcp=True)

    def _reply(self, answer: bytes | None) -> None:
        if self._is_closed:
            return
        if answer is None:
            self.close()
            return
        self._unsent = len(answer).to_bytes(2) + answer
        self._loop.watch(self._socket, WRITE, self._send_rest)

    def _send_rest(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not self._unsent:
            self._timer.cancel()
            self._timer = self._loop.after(CONNECTION_TIMEOUT_S, self.close)
            self._take_question()
