"""A stand-in for labkitd: a real Unix socket, and answers a test writes byte by byte.

A test gives a function that is called once for each request with what was received; what it
returns (bytes, or an iterator of bytes) goes out as it is.  `CLOSE` as the last piece closes the
connection.
"""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

from labkit import API_VERSION

CLOSE = object()


class Received(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    """Which connection it came on, counted from 0."""
    socket: socket.socket

    @property
    def path(self) -> str:
        return self.target.partition("?")[0].removeprefix(f"/v{API_VERSION}")

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.body)


Answer = Callable[[Received], "bytes | Iterable[object]"]


def response(
    status: str = "200 OK", body: bytes | object = b"", *, headers: Iterable[str] = ()
) -> bytes:
    """A whole response with a length; what is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(content)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def chunked_head(status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, "Transfer-Encoding: chunked"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


class StandIn:
    """Listens at `path` until `close`."""

    def __init__(self, path: str, answer: Answer) -> None:
        self.path = path
        self.answer = answer
        self.requests: list[Received] = []
        self.connections = 0
        self._listener = socket.socket(socket.AF_UNIX)
        folder_fd = os.open(os.path.dirname(path), os.O_PATH)
        try:
            self._listener.bind(f"/proc/self/fd/{folder_fd}/{os.path.basename(path)}")
        finally:
            os.close(folder_fd)
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._clients: list[socket.socket] = []
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        os.unlink(self.path)
        for client in self._clients:
            with contextlib.suppress(OSError):  # the other side closed first
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def wait_for_closes(self) -> None:
        """Until every conversation that has begun is over, and its connection closed."""
        for thread in self._threads[1:]:
            thread.join(5)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            thread = threading.Thread(
                target=self._converse, args=(client, self.connections), daemon=True
            )
            self.connections += 1
            self._threads.append(thread)
            thread.start()

    def _converse(self, client: socket.socket, number: int) -> None:
        file = client.makefile("rb")
        try:
            while (request := _read(file, number, client)) is not None:
                self.requests.append(request)
                answer = self.answer(request)
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    if piece is CLOSE:
                        return
                    client.sendall(piece)
        except (OSError, ValueError):
            return
        finally:
            file.close()
            client.close()


def _read(file, number: int, client: socket.socket) -> Received | None:
    line = file.readline().decode()
    if not line:
        return None
    method, target, _ = line.split()
    headers = {}
    while line := file.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = file.read(int(headers.get("content-length", 0)))
    if headers.get("transfer-encoding") == "chunked":
        while size := int(file.readline(), 16):
            body += file.read(size)
            file.readline()
        file.readline()
    return Received(method, target, headers, body, number, client)
