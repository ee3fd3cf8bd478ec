"""The client's SSH agents, over its session (`--ssh`)."""

import contextlib
import socket
import threading

from labkit.buildkit.messages import CheckAgentRequest, Empty
from labkit.buildkit.sessions import Client
from labkit.rpc import calls
from labkit.rpc.errors import CallError
from labkit.rpc.tunnel import PIECE_BYTES, Piece

SERVICE = "/moby.sshforward.v1.SSH"
CHECK_TIMEOUT_S = 30.0


class SessionAgents:
    """The agents that a client forwards (`labkit.build.agents.Agents`)."""

    def __init__(self, session: Client) -> None:
        self._session = session

    def check(self, name: str) -> bool:
        """Whether the client has an agent of this name."""
        asked = CheckAgentRequest(name)
        try:
            calls.ask(self._session, f"{SERVICE}/CheckAgent", asked, Empty, CHECK_TIMEOUT_S)
        except CallError:
            return False
        return True

    def carry(self, name: str, connection: socket.socket) -> None:
        """Carry one connection: pass bytes on in both directions."""
        try:
            call = self._session.call(f"{SERVICE}/ForwardAgent", {"buildkit.ssh.id": [name]})
        except CallError:
            return

        def send() -> None:
            with contextlib.suppress(OSError, CallError):
                while data := connection.recv(PIECE_BYTES):
                    call.send(Piece(data))
                call.send(end=True)

        sender = threading.Thread(target=send, name="ssh agent", daemon=True)
        sender.start()
        with contextlib.suppress(OSError, CallError):  # a client ends with an error, "EOF"
            for piece in call.messages(Piece):
                connection.sendall(piece.data)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        sender.join()
        call.close()
