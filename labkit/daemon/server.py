"""The daemon's server: `labkit.http.server` with the Docker API's requests, errors and headers."""

import socket
from collections.abc import Callable

from labkit.daemon.errors import error_response
from labkit.daemon.requests import Request
from labkit.daemon.responses import STANDING_HEADERS, Answer
from labkit.errors import NO_SPACE, LabkitError
from labkit.http import requests, server
from labkit.http.responses import Response
from labkit.kernel import reserve, threads
from labkit.log import LABKITD


class Server(server.Server):
    """Serves the Docker API; `handle` answers the requests."""

    def __init__(self, listener: socket.socket | None, handle: Callable[[Request], Answer]) -> None:
        self.is_talkative = False
        """Whether every request is logged."""

        def answer(asked: requests.Request) -> Answer:
            threads.work_for(asked.connection.client_is_gone)
            try:
                return handle(Request(asked))
            except OSError as error:
                if error.errno not in reserve.FULL:
                    raise
                # A full disk is no defect of labkit.
                raise LabkitError(f"{error.strerror}: {NO_SPACE}") from error

        service = server.Service(
            name="labkitd",
            headers=STANDING_HEADERS,
            handle=answer,
            error_response=error_response,
            log=LABKITD,
            observe=self._tell,
        )
        super().__init__(listener, service)

    def _tell(self, exchange: server.Exchange) -> None:
        if self.is_talkative:
            status = exchange.answer.status if isinstance(exchange.answer, Response) else 200
            asked = exchange.request
            LABKITD.line(f"{asked.method} {asked.target} {status} {exchange.seconds:.3f}s")
