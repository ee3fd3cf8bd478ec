"""A session: a daemon that builds asks the client for files, agents and blobs (`POST /session`).

The connection goes on as HTTP/2, and the daemon calls: for SSH agents (`--ssh`), for folders that
have a name (`--build-context`), and for the blobs of caches (`--cache-to type=local`).
"""

import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Annotated

from labkit.client.api import Api
from labkit.errors import InvalidParameterError
from labkit.rpc.calls import Served, first
from labkit.rpc.errors import NOT_FOUND, CallError
from labkit.rpc.serving import Handler, Server
from labkit.rpc.tunnel import PIECE_BYTES, Piece
from labkit.rpc.wire import Struct

DEFAULT_AGENT = "default"
_HEADER = "X-Docker-Expose-Session"
_PULL = "/moby.upload.v1.Upload/Pull"
_AGENTS = "/moby.sshforward.v1.SSH"


class _Agent(Struct):
    """`SSH/CheckAgent`: the name of an agent."""

    id: Annotated[str, 1] = ""


class _Empty(Struct):
    """A message without fields."""


class Session:
    """The client's side of a session; `with session.open(api):` serves it during the block."""

    def __init__(self) -> None:
        self.uuid = secrets.token_hex(16)
        self._uploads: dict[str, Callable[[], Iterator[bytes]]] = {}
        self._agents: dict[str, str] = {}
        self._handlers: dict[str, Handler] = {}

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to serve."""
        return bool(self._uploads or self._agents or self._handlers)

    def offer(self, pieces: Callable[[], Iterator[bytes]]) -> str:
        """Offer an archive; return the address by which the daemon asks for it."""
        name = secrets.token_hex(8)
        self._uploads[f"/{name}"] = pieces
        return f"http://buildkit-session/{name}"

    def offer_agent(self, name: str, path: str) -> None:
        """Offer the SSH agent that listens at a path; InvalidParameterError if none does."""
        try:
            _connected(path).close()
        except OSError as error:
            raise InvalidParameterError(
                f"--ssh {name}: {path or '$SSH_AUTH_SOCK'}: {error.strerror}: start ssh-agent"
            ) from None
        self._agents[name] = path

    def serve(self, handlers: Mapping[str, Handler]) -> None:
        """Serve more methods, by their paths."""
        self._handlers.update(handlers)

    @contextmanager
    def open(self, api: Api) -> Iterator[None]:
        """Serve the session during the block."""
        handlers = {
            _PULL: self._pull,
            f"{_AGENTS}/CheckAgent": self._check_agent,
            f"{_AGENTS}/ForwardAgent": self._forward_agent,
            **self._handlers,
        }
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "h2c",
            f"{_HEADER}-Uuid": self.uuid,
            f"{_HEADER}-Grpc-Method": ",".join(handlers),
        }
        connection, early = api.send("POST", "/session", headers).hijack()
        with connection:
            server = Server(_Link(connection, early), handlers)
            thread = threading.Thread(target=server.run, name="session", daemon=True)
            thread.start()
            try:
                yield
            finally:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                thread.join()

    def _pull(self, call: Served) -> None:
        pieces = self._uploads.get(first(call.metadata, "urlpath"))
        if pieces is None:
            raise CallError(NOT_FOUND, "no such upload")
        for piece in pieces():
            for at in range(0, len(piece), PIECE_BYTES):
                call.send(Piece(piece[at : at + PIECE_BYTES]))

    def _check_agent(self, call: Served) -> None:
        asked = call.receive(_Agent) or _Agent()
        self._agent(asked.id)
        call.send(_Empty())

    def _agent(self, name: str) -> str:
        if name not in self._agents:
            raise CallError(NOT_FOUND, f"unset ssh forward key {name}: give it with --ssh {name}")
        return self._agents[name]

    def _forward_agent(self, call: Served) -> None:
        """Carry one connection to the agent: pass bytes on in both directions."""
        path = self._agent(first(call.metadata, "buildkit.ssh.id") or DEFAULT_AGENT)
        with _connected(path) as agent:

            def send() -> None:
                with suppress(OSError, CallError):
                    for piece in call.messages(Piece):
                        agent.sendall(piece.data)
                with suppress(OSError):
                    agent.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=send, name="ssh agent", daemon=True)
            sender.start()
            while data := agent.recv(PIECE_BYTES):
                call.send(Piece(data))


class _Link:
    """A connection of which some bytes were read already (`labkit.rpc.connection.Link`)."""

    def __init__(self, connection: socket.socket, early: bytes) -> None:
        self._connection = connection
        self._early = early
        self.sendall = connection.sendall

    def recv(self, count: int, /) -> bytes:
        """Return data that has arrived; empty at the end."""
        early, self._early = self._early[:count], self._early[count:]
        return early or self._connection.recv(count)


def _connected(path: str) -> socket.socket:
    agent = socket.socket(socket.AF_UNIX)
    try:
        agent.connect(path)
    except OSError:
        agent.close()
        raise
    return agent
