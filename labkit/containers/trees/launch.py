"""The daemon's side of a worker (`labkit.containers.trees.worker`): start, feed and end it."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, cast

from labkit.containers.trees import worker
from labkit.containers.trees.views import View
from labkit.errors import ForbiddenError, InvalidParameterError, NotFoundError
from labkit.images import programs
from labkit.images.archives.unpacker import NO_PROGRESS_S
from labkit.kernel import messages, waiting

CHUNK_BYTES = 256 * 1024
_PACKAGES = ("labkit.containers", "labkit.images")

_KINDS: dict[str, type[Exception]] = {
    worker.NOT_FOUND: NotFoundError,
    worker.INVALID: InvalidParameterError,
    worker.READ_ONLY: ForbiddenError,
}


class Worker:
    """One worker process, which must be closed.  With `takes_input` it reads what `feed` writes."""

    def __init__(
        self,
        task: str,
        arguments: Sequence[object],
        view: View,
        fds: Sequence[int] = (),
        *,
        takes_input: bool = False,
    ) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection = ours
        with theirs:
            self._process = subprocess.Popen(
                programs.command(worker.__name__, str(theirs.fileno()), packages=_PACKAGES),
                stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                bufsize=0,
                pass_fds=[theirs.fileno()],
                cwd="/",
            )
        assert self._process.stdout is not None  # noqa: S101 it is a pipe
        waiting.widen(self._process.stdout.fileno())
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)
            waiting.widen(self._process.stdin.fileno())
        request = worker.Request(task, tuple(arguments), type(view).__name__, tuple(view))
        with suppress(BrokenPipeError):  # `ready` will raise
            messages.send(ours, tuple(request), fds)

    def ready(self) -> list[Any]:
        """Wait until it has found what the task needs, and return the values of its answer.

        NotFoundError, InvalidParameterError, ForbiddenError (read-only), OSError.
        """
        return self._hear("ready")

    def finish(self) -> None:
        """Wait until it has finished; raises as `ready` does."""
        self._hear("done")

    def _hear(self, wanted: str) -> list[Any]:
        waiting.until_readable(self._connection.fileno())
        try:
            message = messages.receive(self._connection)
        except ConnectionError:
            message = None
        if message is None:
            status = self._process.wait()
            if status == -signal.SIGALRM:
                raise InvalidParameterError(f"no progress for {NO_PROGRESS_S} s: given up")
            raise ChildProcessError(
                f"the process for a container's files ended before {wanted}: status {status}"
            )
        kind, *values = cast("list[Any]", message[0])
        if kind == "failed":
            problem, text, number = values
            known = _KINDS.get(problem)
            raise known(text) if known else OSError(number, text)
        return values

    def output(self) -> Iterator[bytes]:
        """Yield its output to the end; raises as `ready` does if the worker failed."""
        assert self._process.stdout is not None  # noqa: S101 the caller's mistake
        while True:
            waiting.until_readable(self._process.stdout.fileno())
            part = self._process.stdout.read(CHUNK_BYTES)
            if not part:
                break
            yield part
        self.finish()

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Write all its input and wait until it has finished; raises as `ready` does."""
        assert self._process.stdin is not None  # noqa: S101 the caller's mistake
        with suppress(BrokenPipeError):  # the worker has failed, and `finish` raises its error
            for chunk in chunks:
                waiting.feed(self._process.stdin.fileno(), chunk)
        self._process.stdin.close()
        self.finish()

    def close(self) -> None:
        """Kill it if it still runs."""
        self._connection.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def streaming(packer: Worker) -> Iterator[bytes]:
    """A worker's output; the worker is closed at its end, or if the reader stops early."""
    with packer:
        yield from packer.output()
