"""Builds in a request of Docker's API: `POST /build?version=2`.

Docker's command of 2018 to 2022, and clients made like it, use BuildKit in this way: the request
has all parameters of `Control/Solve`, and the answer is a stream with the messages of
`Control/Status`.  The context comes from the client's session, with the request, or with a second
request that names the first.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from labkit.buildkit.messages import Exporter, SolveRequest
from labkit.buildkit.service import Service
from labkit.rpc import wire
from labkit.rpc.errors import DEADLINE_EXCEEDED, CallError

UPLOAD_TIMEOUT_S = 30.0
FRONTEND = "dockerfile.v0"


class Uploads:
    """Contexts in separate requests, by the id of their build."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, BinaryIO] = {}
        self._wanted: set[str] = set()

    def give(self, build: str, file: BinaryIO) -> None:
        """Hand a context over; CallError if no build takes it."""
        with self._changed:
            if not self._changed.wait_for(lambda: build in self._wanted, UPLOAD_TIMEOUT_S):
                raise CallError(DEADLINE_EXCEEDED, f"no build {build} waits for a context")
            self._wanted.discard(build)
            self._waiting[build] = file
            self._changed.notify_all()

    def take(self, build: str) -> BinaryIO:
        """Wait for the context of a build; CallError."""
        with self._changed:
            self._wanted.add(build)
            self._changed.notify_all()
            try:
                if not self._changed.wait_for(lambda: build in self._waiting, UPLOAD_TIMEOUT_S):
                    raise CallError(DEADLINE_EXCEEDED, f"no context arrived for build {build}")
                return self._waiting.pop(build)
            finally:
                self._wanted.discard(build)


def request_for(
    ref: str, session: str, attributes: Mapping[str, str], names: list[str]
) -> SolveRequest:
    """Return the equivalent request of `Control/Solve`."""
    exporter = Exporter("moby", {"name": ",".join(names)})
    return SolveRequest(
        ref=ref,
        session=session,
        frontend=FRONTEND,
        frontend_attributes=dict(attributes),
        exporters=[exporter],
    )


def run(
    service: Service, request: SolveRequest, sent: BinaryIO | None, is_gone: Callable[[], bool]
) -> Iterator[bytes | dict[str, str]]:
    """Build: yield the messages of `Status` as bytes, and last the answer of the exporter.

    It ends early, and the build with it, if the client `is_gone`.  CallError.
    """
    failed: list[CallError] = []
    answers: list[dict[str, str]] = []
    with service.jobs.running(request, sent) as job:

        def work() -> None:
            try:
                answers.append(service.control.result(job))
            except CallError as error:
                failed.append(error)
            finally:
                job.progress.close()

        thread = threading.Thread(target=work, name="build by request", daemon=True)
        thread.start()
        try:
            for message in job.progress.follow(is_gone):
                yield wire.encode(message)
            if is_gone():
                job.cancel()
        except GeneratorExit:
            job.cancel()
            raise
        finally:
            thread.join()
    if failed:
        raise failed[0]
    yield from answers
