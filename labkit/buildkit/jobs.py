"""One build, from `Control/Solve` to its end.

A client makes its calls at once: `Solve` that lasts as long as the build, `Status` that follows it,
`LLBBridge` calls that say what to build, and the session comes when it comes.  Whichever is first
waits for what it needs, for a few seconds.
"""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from labkit.build.builder import Build
from labkit.build.contexts import Source
from labkit.buildkit.messages import Result, ReturnRequest, SolveRequest
from labkit.buildkit.progress import Progress
from labkit.buildkit.vertices import Teller, Vertices
from labkit.rpc.errors import ALREADY_EXISTS, CANCELLED, NOT_FOUND, CallError

STATUS_TIMEOUT_S = 6.0
BRIDGE_TIMEOUT_S = 3.0
SESSION_TIMEOUT_S = 5.0
"""As in buildkit: solver/jobs.go, control/gateway/gateway.go, session/manager.go."""
FINISHED_MAX = 8
"""How many builds that have ended still answer `Status`: a client may ask a moment late."""
JOBS_MAX = 256


class Solved:
    """What a frontend has made of a request: a build that can be run, or just words."""

    def __init__(
        self, build: Build | None, teller: Teller | None, metadata: dict[str, bytes] | None = None
    ) -> None:
        self.id = secrets.token_hex(16)
        self.build = build
        self.teller = teller
        self.metadata = metadata or {}


class Job:
    """One build."""

    def __init__(self, request: SolveRequest, sent: BinaryIO | None = None) -> None:
        """`sent`: the context, if it came with the request."""
        self.request = request
        self.sent = sent
        self.ref = request.ref
        self.progress = Progress()
        self.vertices = Vertices(self.progress, self.ref)
        self.stack = ExitStack()
        """Closes what the build has opened."""
        self._changed = threading.Condition()
        self._solved: dict[str, Solved] = {}
        self._returned: ReturnRequest | None = None
        self._is_cancelled = False
        self._builds: list[Build] = []
        self.metadata: dict[str, bytes] = {}
        self.source: Source | None = None
        """The Dockerfile, once it has been read: errors show its lines."""

    # What the bridge does

    def add(self, solved: Solved) -> None:
        """Keep what a frontend has made."""
        with self._changed:
            self._solved[solved.id] = solved

    def hold(self, build: Build) -> None:
        """A build that is to end when the job is cancelled.  CallError if it is already."""
        with self._changed:
            self._builds.append(build)
        if self._is_cancelled:
            build.cancellation.set()
            self.check()

    def give_back(self, returned: ReturnRequest) -> None:
        """The client says what is to be exported, or what went wrong.  CallError if it has."""
        with self._changed:
            if self._returned is not None:
                raise CallError(ALREADY_EXISTS, f"build {self.ref} has a result already")
            self._returned = returned
            self._changed.notify_all()

    # What Solve does

    def wait(self) -> ReturnRequest:
        """Wait for the client's result.  CallError."""
        with self._changed:
            self._changed.wait_for(lambda: self._returned is not None or self._is_cancelled)
            self.check()
            assert self._returned is not None  # noqa: S101 the condition above
            return self._returned

    def solved(self, result: Result) -> Solved | None:
        """What a result stands for; None for an empty one.  CallError."""
        self.metadata = result.metadata
        number = result.ref.id if result.ref else result.ref_deprecated
        if not number:
            return None
        with self._changed:
            found = self._solved.get(number)
        if found is None:
            raise CallError(NOT_FOUND, f"build {self.ref} has no result {number}")
        return found

    def cancel(self) -> None:
        """Nobody wants the build any more."""
        with self._changed:
            self._is_cancelled = True
            builds = list(self._builds)
            self._changed.notify_all()
        for build in builds:
            build.cancellation.set()

    def close(self) -> None:
        """Let go of everything but the progress."""
        self.stack.close()
        with self._changed:
            self._builds.clear()
            self._solved.clear()

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody wants the build any more."""
        return self._is_cancelled

    def check(self) -> None:
        """CallError if nobody wants the build any more."""
        if self._is_cancelled:
            raise CallError(CANCELLED, "context canceled")


class Jobs:
    """The builds that run, by their refs, and the last that have ended."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: dict[str, Job] = {}
        self._finished: deque[Job] = deque(maxlen=FINISHED_MAX)

    @contextmanager
    def running(self, request: SolveRequest, sent: BinaryIO | None = None) -> Iterator[Job]:
        """Have a build for the time of the block.  CallError if there is one of this ref."""
        job = Job(request, sent)
        with self._changed:
            if not job.ref or job.ref in self._running:
                raise CallError(ALREADY_EXISTS, f"job ID {job.ref} exists")
            if len(self._running) >= JOBS_MAX:
                raise CallError(ALREADY_EXISTS, f"there are {JOBS_MAX} builds already")
            self._running[job.ref] = job
            self._changed.notify_all()
        try:
            yield job
        finally:
            job.cancel()
            job.progress.close()
            with self._changed:
                del self._running[job.ref]
                self._finished.append(job)
            job.close()

    def find(
        self, ref: str, timeout_s: float, is_cancelled: Callable[[], bool], *, or_finished: bool
    ) -> Job:
        """The build of a ref, which may begin a little later.  CallError."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while ref not in self._running and not is_cancelled():
                ended = next((job for job in self._finished if job.ref == ref), None)
                if ended is not None and or_finished:
                    return ended
                left_s = end - time.monotonic()
                if left_s <= 0 or ended is not None:
                    raise CallError(NOT_FOUND, f"no such job {ref}")
                self._changed.wait(left_s)
            if ref not in self._running:
                raise CallError(CANCELLED, "context canceled")
            return self._running[ref]
