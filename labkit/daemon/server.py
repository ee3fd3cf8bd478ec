"""What happens to a request, from the socket to the answer.

1. `Server.serve` accepts a connection and gives it a thread (`_converse`).
2. The thread reads one request's head, and not a byte more (`connection`), and parses it
   (`requests`).  What breaks HTTP's rules is answered and the connection closed.
3. The table in `routes` finds the handler.  The handler reads the body if it wants one, asks the
   engine, and returns an answer; an error becomes an answer by the table in `errors`.
4. The answer is sent (`responses`): whole in one write, or as a stream, or the connection leaves
   HTTP and is given away, and the thread forgets it.
5. From 2 again, until the client closes or asked for it.

Nothing that a client does reaches another: a slow one has its own thread, a broken one its own
error, and there are never more connections than the process has file descriptors for.
"""

import resource
import socket
import threading
import time
from collections.abc import Callable, Iterable

from labkit.daemon import log
from labkit.daemon.connection import Connection
from labkit.daemon.errors import ProtocolError, error_response
from labkit.daemon.requests import Request, parse
from labkit.daemon.responses import (
    LAST_CHUNK,
    Answer,
    Hijack,
    Response,
    Stream,
    chunk,
    hijack_head,
    json_response,
    response_bytes,
    stream_head,
)
from labkit.errors import InvalidParameterError, LabkitError

OUT_OF_RESOURCES_PAUSE_S = 0.1
CLOSING_TIME_S = 5.0
"""How long a daemon that was asked to end waits for the requests it is working on."""

Handle = Callable[[Request], Answer]


class Server:
    """Serves HTTP on a listening Unix socket; `handle` turns requests into answers."""

    def __init__(self, listener: socket.socket, handle: Handle) -> None:
        self._listener = listener
        self._handle = handle
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._places = threading.BoundedSemaphore(max(descriptors // 2, 1))
        self._is_finishing = False
        self._working = 0
        self._working_changed = threading.Condition()

    def serve(self) -> None:
        """Accept connections until `finish`, or until a signal handler raises an exception."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError as error:
                if self._is_finishing:
                    return
                # No descriptor or memory is left, for now.
                log.line(f"cannot accept a connection: {error}")
                time.sleep(OUT_OF_RESOURCES_PAUSE_S)
                continue
            self._welcome(client)

    def finish(self) -> None:
        """Accept no more, and wait for the requests that are being worked on, for a moment."""
        self._is_finishing = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._working_changed:
            self._working_changed.wait_for(lambda: self._working == 0, CLOSING_TIME_S)

    def _welcome(self, client: socket.socket) -> None:
        if not self._places.acquire(blocking=False):
            busy = json_response({"message": "labkitd has too many connections; try again"}, 503)
            client.setblocking(False)
            try:
                client.send(response_bytes(busy, keep_alive=False))
            except OSError as error:
                log.line(f"a client was turned away without a word: {error}")
            client.close()
            return
        try:
            threading.Thread(target=self._converse, args=(client,), daemon=True).start()
        except RuntimeError as error:  # no memory for another thread
            log.line(f"cannot serve a connection: {error}")
            self._places.release()
            client.close()

    def _converse(self, client: socket.socket) -> None:
        connection = Connection(client)
        try:
            while self._exchange(connection):
                pass
        except (ConnectionError, TimeoutError):
            pass  # the client went away, or does not read its answer
        except Exception:
            log.traceback("a connection failed")
        finally:
            connection.close()
            self._places.release()

    def _exchange(self, connection: Connection) -> bool:
        """One request and its answer; whether the connection can carry another."""
        try:
            head = connection.read_head()
            if head is None:
                return False
            request = parse(head, connection)
        except (ProtocolError, InvalidParameterError) as error:
            connection.send(response_bytes(error_response(error), keep_alive=False))
            connection.linger()
            return False
        with self._working_changed:
            self._working += 1
        try:
            answer = self._answer(request)
            if isinstance(answer, Response):
                return _send_response(request, answer)
        finally:
            with self._working_changed:
                self._working -= 1
                self._working_changed.notify_all()
        if isinstance(answer, Stream):
            return _send_stream(request, answer)
        return _give_away(request, answer)

    def _answer(self, request: Request) -> Answer:
        try:
            return self._handle(request)
        except LabkitError as error:
            return error_response(error)
        except Exception as error:
            log.traceback(f"{request.method} {request.path} failed")
            return json_response({"message": f"labkitd: {type(error).__name__}: {error}"}, 500)


def _send_response(request: Request, response: Response) -> bool:
    keep_alive = request.keep_alive and request.body.is_read
    head_only = request.method == "HEAD"
    request.connection.send(response_bytes(response, keep_alive=keep_alive, head_only=head_only))
    if not request.body.is_read:
        request.connection.linger()
    return keep_alive


def _send_stream(request: Request, stream: Stream) -> bool:
    chunked = request.speaks_chunked
    keep_alive = chunked and request.keep_alive and request.body.is_read
    connection = request.connection
    try:
        connection.send(stream_head(stream, chunked=chunked, keep_alive=keep_alive))
        for payload in stream.chunks:
            if payload:
                connection.send(chunk(payload) if chunked else payload, seconds=None)
    except (ConnectionError, TimeoutError):
        raise
    except Exception:
        log.traceback(f"{request.method} {request.path} was cut off")
        return False
    finally:
        _close(stream.chunks)
    if chunked:
        connection.send(LAST_CHUNK)
    return keep_alive


def _close(chunks: Iterable[bytes]) -> None:
    close = getattr(chunks, "close", None)
    if close is not None:
        close()


def _give_away(request: Request, hijack: Hijack) -> bool:
    connection = request.connection
    head = hijack_head(hijack, upgrade=request.wants_upgrade)
    try:
        hijack.take(connection.fileno(), lambda: connection.send(head))
    except LabkitError as error:
        log.line(f"{request.method} {request.path}: {error}")
    return False
