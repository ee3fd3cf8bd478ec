"""BuildKit's doors of a lab, opened by labkit's client, which also sends invalid messages."""

import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from labkit.buildkit import messages
from labkit.rpc import calls, serving
from labkit.rpc.calls import Made, Metadata, Served
from labkit.rpc.connection import Connection
from tests.lab import Lab

CONTROL = "/moby.buildkit.v1.Control"
BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge"
DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"
TIMEOUT_S = 30.0


def upgraded(lab: Lab, path: str, headers: Sequence[tuple[str, str]] = ()) -> socket.socket:
    """Return a connection upgraded from HTTP/1.1; AssertionError with the answer if it is not."""
    link = socket.socket(socket.AF_UNIX)
    link.connect(lab.socket)
    lines = [("Host", "x"), ("Connection", "Upgrade"), ("Upgrade", "h2c"), *headers]
    head = "".join(f"{name}: {value}\r\n" for name, value in lines)
    link.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode())
    link.settimeout(TIMEOUT_S)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        piece = link.recv(1)
        assert piece, answer
        answer += piece
    link.settimeout(None)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return link


class Door:
    """A client's `POST /grpc`."""

    def __init__(self, lab: Lab) -> None:
        self.link = upgraded(lab, "/grpc")
        self.connection = Connection(self.link, is_client=True)
        threading.Thread(target=self.connection.run, daemon=True).start()

    def call(self, path: str, metadata: Metadata | None = None) -> Made:
        """Begin a call."""
        return calls.call(self.connection, path, metadata)

    def control(self, method: str, request: object) -> Made:
        """Begin a call of `Control`, its request sent."""
        made = self.call(f"{CONTROL}/{method}")
        made.send(request, end=True)  # type: ignore[arg-type]
        return made

    def bridge(self, method: str, request: object, ref: str) -> Made:
        """Begin a call of `LLBBridge` for a build, its request sent."""
        made = self.call(f"{BRIDGE}/{method}", {"buildkit-controlapi-buildid": [ref]})
        made.send(request, end=True)  # type: ignore[arg-type]
        return made

    def close(self) -> None:
        """Cut the connection off."""
        self.link.shutdown(socket.SHUT_RDWR)
        self.link.close()


@contextmanager
def door(lab: Lab) -> Iterator[Door]:
    """A client's connection, closed at the end."""
    opened = Door(lab)
    try:
        yield opened
    finally:
        opened.connection.close()
        opened.link.close()


@contextmanager
def session(
    lab: Lab, handlers: Mapping[str, Callable[[Served], None]], uuid: str = ""
) -> Iterator[str]:
    """Serve some methods in a session, and yield its id."""
    uuid = uuid or secrets.token_hex(8)
    headers = [("X-Docker-Expose-Session-Uuid", uuid)]
    headers += [("X-Docker-Expose-Session-Grpc-Method", path) for path in handlers]
    link = upgraded(lab, "/session", headers)
    server = serving.Server(link, handlers)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield uuid
    finally:
        link.shutdown(socket.SHUT_RDWR)
        link.close()
        thread.join(TIMEOUT_S)


def files(contents: Mapping[str, bytes]) -> Callable[[Served], None]:
    """Return a client's `DiffCopy`: it sends those of these files that are requested by name."""

    def serve(call: Served) -> None:
        wanted = call.metadata.get("followpaths", list(contents))
        listed = [name for name in sorted(contents) if name in wanted]
        stats = [messages.Stat(name.encode(), 0o644, size=len(contents[name])) for name in listed]
        call.send(*(messages.Packet(messages.STAT, stat) for stat in stats))
        call.send(messages.Packet(messages.STAT))
        while (packet := call.receive(messages.Packet)) is not None:
            if packet.type == messages.FIN:
                call.send(messages.Packet(messages.FIN))
                return
            data = contents[listed[packet.id]]
            call.send(
                messages.Packet(messages.DATA, id=packet.id, data=data),
                messages.Packet(messages.DATA, id=packet.id),
            )

    return serve


def solve_request(ref: str, uuid: str, **more: object) -> messages.SolveRequest:
    """Return a request for a build by the daemon's own frontend."""
    given = {"frontend": "dockerfile.v0", "exporter_deprecated": "moby"} | more
    return messages.SolveRequest(ref=ref, session=uuid, **given)  # type: ignore[arg-type]
