"""Staying with a container: its output as it comes, and its exit code.

The output comes on a connection that labkitd has handed to the container's shim, so it goes on when
labkitd dies; that the container has ended is told on another, by labkitd (`labkit.cli.ending`).
"""

import select
import signal
import time

from labkit.cli.command import Context
from labkit.cli.ending import RETRY_S, Ending
from labkit.cli.output import write
from labkit.client.api import Api, container_path
from labkit.client.frames import Demultiplexer
from labkit.errors import LabkitError

RECEIVE_BYTES = 256 * 1024


class Attachment:
    """A container about to be started, with both connections open, so that nothing is missed."""

    def __init__(self, context: Context, api: Api, container_id: str, *, removal: bool) -> None:
        """`removal` says that the container will be removed when it ends."""
        self._api = api
        self._path = container_path(container_id)
        response = api.hijack(f"{self._path}/attach", stream=True, stdout=True, stderr=True)
        self._output, early = response.hijack()
        self._frames = Demultiplexer()
        self._early = early
        self._ending = Ending(context, api, container_id, removal=removal)

    def follow(self) -> int:
        """Pass the output on until it ends; the container's exit code.

        BrokenPipeError when nobody reads the output any more; the container is killed then.
        """
        try:
            self._pass_on(self._early)
            self._pass_on_all()
        except BrokenPipeError:
            # A program of the host would be killed by SIGPIPE here.  Process 1 of a container is
            # immune to that, and would fill its log for ever.
            self._kill()
            raise
        except OSError as error:
            raise LabkitError(
                f"cannot pass the output on: {error.strerror}; the container goes on, "
                "and 'labkit logs' shows what it prints"
            ) from error
        return self._ending.exit_code()

    def _pass_on_all(self) -> None:
        poll = select.poll()
        poll.register(self._output, select.POLLIN)
        awaited, ask_at = -1, 0.0
        while True:
            if self._ending.is_lost and time.monotonic() >= ask_at:
                self._ending.ask_again()
                ask_at = time.monotonic() + RETRY_S
            if self._ending.fileno != awaited:
                if awaited >= 0:
                    poll.unregister(awaited)
                awaited = self._ending.fileno
                if awaited >= 0:
                    poll.register(awaited, select.POLLIN)
            ready = {fd for fd, _ in poll.poll(RETRY_S * 1000 if self._ending.is_lost else None)}
            if awaited in ready:
                self._ending.hear()
            if self._output.fileno() in ready:
                data = self._output.recv(RECEIVE_BYTES)
                if not data:
                    return
                self._pass_on(data)

    def _pass_on(self, data: bytes) -> None:
        for stream, payload in self._frames.feed(data):
            write(stream, payload)

    def _kill(self) -> None:
        try:
            self._api.post(f"{self._path}/kill", signal=int(signal.SIGKILL))
            self._ending.exit_code()
        except LabkitError:
            return  # it has ended already, or the daemon has, and there is nobody to tell

    def __enter__(self) -> "Attachment":
        return self

    def __exit__(self, *exception: object) -> None:
        """Let go of both connections; the container goes on if it has not ended."""
        self._output.close()
        self._ending.close()
