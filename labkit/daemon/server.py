"""The daemon's server: `labkit.http.server` with the Docker API's requests, errors and headers."""

import socket
from collections.abc import Callable

from labkit.daemon.errors import error_response
from labkit.daemon.log import LOG
from labkit.daemon.requests import Request
from labkit.daemon.responses import STANDING_HEADERS, Answer
from labkit.http import server


class Server(server.Server):
    """Serves the Docker API on a listening socket; `handle` turns requests into answers."""

    def __init__(self, listener: socket.socket, handle: Callable[[Request], Answer]) -> None:
        service = server.Service(
            name="labkitd",
            headers=STANDING_HEADERS,
            handle=lambda asked: handle(Request(asked)),
            error_response=error_response,
            log=LOG,
        )
        super().__init__(listener, service)
