"""A real server on a socket of the test's own, and a client that sends exact bytes."""

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator

import pytest

from labkit.daemon import listener
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer
from labkit.daemon.server import Server

Handle = Callable[[Request], Answer]
TIMEOUT_S = 5.0


class Client:
    """A connection to the server under test."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(path)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until(self, end: bytes) -> bytes:
        """Everything up to and with `end`, byte by byte; less if the server closes."""
        got = b""
        while not got.endswith(end):
            byte = self.socket.recv(1)
            if not byte:
                break
            got += byte
        return got

    def rest(self) -> bytes:
        """Everything until the server closes."""
        got = b""
        while part := self.socket.recv(65536):
            got += part
        return got

    def response(self) -> tuple[int, dict[str, str], bytes]:
        """One whole answer with a Content-Length: status, headers, body."""
        status, headers = self.head()
        length = int(headers.get("content-length", 0))
        body = b""
        while len(body) < length:
            part = self.socket.recv(length - len(body))
            assert part, f"the body ended after {len(body)} of {length} bytes"
            body += part
        return status, headers, body

    def head(self) -> tuple[int, dict[str, str]]:
        first, *lines = self.until(b"\r\n\r\n").decode().rstrip("\r\n").split("\r\n")
        assert first, "the server closed the connection without an answer"
        headers = dict(line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in headers.items()}

    def close(self) -> None:
        self.socket.close()


class Serving:
    """A running server; `connect` opens a connection, `get` asks on a new one."""

    def __init__(self, path: str, server: Server) -> None:
        self.path = path
        self.server = server
        self.clients: list[Client] = []
        self.is_finished = False

    def connect(self) -> Client:
        client = Client(self.path)
        self.clients.append(client)
        return client

    def finish(self) -> None:
        if not self.is_finished:
            self.is_finished = True
            self.server.finish()

    def exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        client = self.connect()
        client.send(request)
        answer = client.response()
        client.close()
        return answer


@pytest.fixture
def serve() -> Iterator[Callable[[Handle], Serving]]:
    """Start a server with the handle function that is given; several may run in one test."""
    started: list[tuple[Serving, threading.Thread]] = []

    with tempfile.TemporaryDirectory(prefix="labkit-unit-") as folder:

        def start(handle: Handle) -> Serving:
            path = os.path.join(folder, f"{len(started)}.sock")
            server = Server(listener.listen(path), handle)
            thread = threading.Thread(target=server.serve)
            thread.start()
            serving = Serving(path, server)
            started.append((serving, thread))
            return serving

        yield start
        for serving, thread in started:
            for client in serving.clients:
                client.close()
            serving.finish()
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()
