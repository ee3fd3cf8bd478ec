"""The way of a request, from the socket to the answer.

1. `Server.serve` accepts a connection and gives it a thread (`_converse`).
2. The thread reads one request's head, and not a byte more (`connection`), and parses it
   (`requests`).  A request that breaks HTTP's rules is answered, and the connection is closed.
3. The service's handler reads the body if it needs it, does the work and returns an answer; the
   service's `error_response` turns an error into an answer.
4. The server sends the answer (`responses`): whole in one write, from a file, or as a stream; or it
   gives the connection away, and the thread ends its use.
5. It continues with 2, until the client closes, or asked for that.

No client affects another: a slow one has its own thread, a broken one its own error, and there are
never more connections than the process has file descriptors for.
"""

import resource
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from labkit.errors import InvalidParameterError, LabkitError
from labkit.http.connection import Connection
from labkit.http.end_signals import EndSignals
from labkit.http.errors import ProtocolError
from labkit.http.requests import Request, parse
from labkit.http.responses import (
    LAST_CHUNK,
    Answer,
    FilePart,
    Hijack,
    Response,
    Stream,
    chunk,
    file_head,
    hijack_head,
    response_bytes,
    stream_head,
)
from labkit.log import Log

OUT_OF_RESOURCES_PAUSE_S = 0.1
CLOSING_TIME_S = 5.0
"""How long a server that ends waits for requests in progress."""


class Exchange(NamedTuple):
    """A request and its answer, for a service's record."""

    request: Request
    answer: Answer
    seconds: float
    """The time from the request's head to the last byte of the answer."""


class Service(NamedTuple):
    """The service: labkitd's API, or a registry's."""

    name: str
    headers: str
    """The header lines of every answer, each with its CRLF."""
    handle: Callable[[Request], Answer]
    error_response: Callable[[Exception], Response]
    log: Log
    observe: Callable[[Exchange], None] | None = None
    """Called with every exchange after its end, in the connection's thread."""


class _Door(NamedTuple):
    """A socket on which clients connect."""

    listener: socket.socket
    connect: Callable[[socket.socket], Connection]


class Server:
    """Serves HTTP on listening stream sockets."""

    def __init__(
        self,
        listener: socket.socket | None,
        service: Service,
        connect: Callable[[socket.socket], Connection] = Connection,
    ) -> None:
        self._doors: dict[int, _Door] = {}
        self._service = service
        if listener is not None:
            self.add(listener, connect)
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._places = threading.BoundedSemaphore(max(descriptors // 2, 1))
        self._is_finishing = False
        self._working = 0
        self._working_changed = threading.Condition()

    def add(
        self,
        listener: socket.socket,
        connect: Callable[[socket.socket], Connection] = Connection,
    ) -> None:
        """Accept connections on this socket as well; call it before `serve`.

        `connect` turns an accepted socket into a connection, in the connection's thread.
        """
        listener.setblocking(False)
        self._doors[listener.fileno()] = _Door(listener, connect)

    def serve(
        self, end: EndSignals | None = None, on_hangup: Callable[[], None] = lambda: None
    ) -> None:
        """Accept connections until `finish`, or until `end` has received a signal.

        SIGHUP, if `end` receives it, calls `on_hangup`.
        """
        poll = select.poll()
        for fd in self._doors:
            poll.register(fd, select.POLLIN)
        if end is not None:
            poll.register(end, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if end is not None and end.fileno() in ready:
                if not end.is_hangup():
                    return
                on_hangup()
            for fd in ready & self._doors.keys():
                if not self._accept(self._doors[fd]):
                    return

    def _accept(self, door: "_Door") -> bool:
        """Welcome the next client; return whether the server continues."""
        try:
            client, _ = door.listener.accept()
        except BlockingIOError:
            return True  # the client has disconnected already
        except OSError as error:
            if self._is_finishing:
                return False
            # No descriptor or memory is free now.
            self._service.log.line(f"cannot accept a connection: {error}")
            time.sleep(OUT_OF_RESOURCES_PAUSE_S)
            return True
        self._welcome(client, door.connect)
        return True

    def finish(self) -> None:
        """Accept no more, and wait a moment for the requests in progress."""
        self._is_finishing = True
        for door in self._doors.values():
            door.listener.shutdown(socket.SHUT_RDWR)
            door.listener.close()
        with self._working_changed:
            self._working_changed.wait_for(lambda: self._working == 0, CLOSING_TIME_S)

    def _welcome(
        self, client: socket.socket, connect: Callable[[socket.socket], Connection]
    ) -> None:
        if not self._places.acquire(blocking=False):
            name = self._service.name
            busy = ProtocolError(503, f"{name} has too many connections; try again")
            client.setblocking(False)
            try:
                client.send(self._error_bytes(busy))
            except OSError as error:
                self._service.log.line(f"a client was refused without an answer: {error}")
            client.close()
            return
        try:
            threading.Thread(target=self._converse, args=(client, connect), daemon=True).start()
        except RuntimeError as error:  # no memory for another thread
            self._service.log.line(f"cannot serve a connection: {error}")
            self._places.release()
            client.close()

    def _error_bytes(self, error: LabkitError) -> bytes:
        response = self._service.error_response(error)
        return response_bytes(response, self._service.headers, keep_alive=False)

    def _converse(
        self, client: socket.socket, connect: Callable[[socket.socket], Connection]
    ) -> None:
        connection: Connection | None = None
        try:
            connection = connect(client)
            while self._exchange(connection):
                pass
        except (ConnectionError, TimeoutError):
            pass  # the client disconnected, or does not read its answer
        except Exception as error:
            self._service.log.defect("a connection failed", error)
        finally:
            (connection or client).close()
            self._places.release()

    def _exchange(self, connection: Connection) -> bool:
        """Serve one request; return whether the connection can carry another."""
        try:
            head = connection.read_head()
            if head is None:
                return False
            request = parse(head, connection)
        except (ProtocolError, InvalidParameterError) as error:
            connection.send(self._error_bytes(error))
            connection.linger()
            return False
        return self._reply(request)

    def _reply(self, request: Request) -> bool:
        started = time.monotonic()
        with self._working_on_one():
            answer = self._answer(request)
            if isinstance(answer, Response):
                return self._send_observed(request, answer, started)
        return self._send_observed(request, answer, started)

    @contextmanager
    def _working_on_one(self) -> Iterator[None]:
        with self._working_changed:
            self._working += 1
        try:
            yield
        finally:
            with self._working_changed:
                self._working -= 1
                self._working_changed.notify_all()

    def _answer(self, request: Request) -> Answer:
        try:
            return self._service.handle(request)
        except Exception as error:
            return self._service.error_response(self._for_client(request, error))

    def _for_client(self, request: Request, error: Exception) -> LabkitError:
        """The error that the client gets; a defect of the service is logged."""
        if isinstance(error, LabkitError):
            return error
        self._service.log.defect(f"{request.method} {request.path} failed", error)
        return LabkitError(f"{self._service.name}: {type(error).__name__}: {error}")

    def _send_observed(self, request: Request, answer: Answer, started: float) -> bool:
        try:
            return self._send(request, answer)
        finally:
            if self._service.observe is not None:
                self._service.observe(Exchange(request, answer, time.monotonic() - started))

    def _send(self, request: Request, answer: Answer) -> bool:
        if isinstance(answer, Response):
            return self._send_response(request, answer)
        if isinstance(answer, FilePart):
            return self._send_file(request, answer)
        if isinstance(answer, Stream):
            return self._send_stream(request, answer)
        return self._give_away(request, answer)

    def _send_response(self, request: Request, response: Response) -> bool:
        keep_alive = request.keep_alive and request.body.is_short
        head_only = request.method == "HEAD"
        whole = response_bytes(
            response, self._service.headers, keep_alive=keep_alive, head_only=head_only
        )
        request.connection.send(whole)
        if request.body.is_read:
            return keep_alive
        if keep_alive and request.body.drop():
            return True
        request.connection.linger()
        return False

    def _send_file(self, request: Request, part: FilePart) -> bool:
        keep_alive = request.keep_alive and request.body.is_read
        with part.file:
            request.connection.send(file_head(part, self._service.headers, keep_alive=keep_alive))
            if request.method != "HEAD":
                request.connection.send_file(part.file, part.offset, part.length)
        return keep_alive

    def _send_stream(self, request: Request, stream: Stream) -> bool:
        chunked = request.speaks_chunked
        keep_alive = chunked and request.keep_alive and request.body.is_read
        connection = request.connection
        head = stream_head(stream, self._service.headers, chunked=chunked, keep_alive=keep_alive)
        try:
            # The stream may read the body as it goes; after the head it would be too late to ask.
            request.body.ask()
            connection.send(head)
            for payload in stream.chunks:
                if payload:
                    connection.send(chunk(payload) if chunked else payload, seconds=None)
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            self._service.log.defect(f"{request.method} {request.path} was cut off", error)
            return False
        finally:
            _close(stream.chunks)
        if chunked:
            connection.send(LAST_CHUNK)
        return keep_alive

    def _give_away(self, request: Request, hijack: Hijack) -> bool:
        """Pass the connection on; an error before the head is sent becomes the answer."""
        connection = request.connection
        head = hijack.head or hijack_head(hijack, upgrade=request.wants_upgrade)
        is_sent = False

        def send_head() -> None:
            nonlocal is_sent
            is_sent = True
            connection.send(head)
            if hijack.protocol == "tcp":
                connection.wait_until_read()

        try:
            with connection.given_away() as fd:
                hijack.take(fd, send_head)
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            told = self._for_client(request, error)
            if is_sent:
                self._service.log.line(f"{request.method} {request.path}: {told}")
            else:
                connection.send(self._error_bytes(told))
                connection.linger()
        return False


def _close(chunks: Iterable[bytes]) -> None:
    close = getattr(chunks, "close", None)
    if close is not None:
        close()
