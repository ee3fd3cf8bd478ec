"""One build, from `Control/Solve` to its end.

A client makes its calls at once: `Solve` lasts as long as the build, `Status` follows it,
`LLBBridge` calls name the build, and the session may open at any time.  The first of them waits for
the others, for a few seconds.
"""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from labkit.build.builder import Build
from labkit.build.context.contexts import Source
from labkit.buildkit.messages import Result, ReturnRequest, SolveRequest, Status, Timestamp
from labkit.buildkit.progress import Progress, now
from labkit.buildkit.vertices import Teller, Vertices
from labkit.images import Image
from labkit.rpc.errors import ALREADY_EXISTS, CANCELLED, NOT_FOUND, CallError

STATUS_TIMEOUT_S = 6.0
BRIDGE_TIMEOUT_S = 3.0
SESSION_TIMEOUT_S = 5.0
"""As in buildkit: solver/jobs.go, control/gateway/gateway.go, session/manager.go."""
FINISHED_MAX = 50
FINISHED_LOGS_MAX_BYTES = 32 << 20
"""How many finished builds still answer `Status`, and how much output of theirs is kept."""
JOBS_MAX = 256


class Solved:
    """A frontend's answer to a request: builds that can run, one a platform, or just words."""

    def __init__(
        self, builds: Sequence[tuple[Build, Teller]], metadata: dict[str, bytes] | None = None
    ) -> None:
        self.id = secrets.token_hex(16)
        self.builds = [build for build, _ in builds]
        self.metadata = metadata or {}
        self._tellers = [teller for _, teller in builds]
        self._lock = threading.Lock()
        self._images: list[Image] = []

    def images(self) -> list[Image]:
        """Build when first asked, and return each platform's image; none for words.

        A build that begins with this one's result asks for it before the client does.
        """
        with self._lock:
            if not self._images:
                self._images = [
                    build.run_reporting(teller.take)
                    for build, teller in zip(self.builds, self._tellers, strict=True)
                ]
            return self._images


class Job:
    """One build."""

    def __init__(self, request: SolveRequest, sent: BinaryIO | None = None) -> None:
        """`sent` is the context, if the request brought it."""
        self.request = request
        self.sent = sent
        self.ref = request.ref
        self.progress = Progress()
        self.vertices = Vertices(self.progress, self.ref)
        self.stack = ExitStack()
        """Closes the files of the build."""
        self._changed = threading.Condition()
        self._solved: dict[str, Solved] = {}
        self._returned: ReturnRequest | None = None
        self._is_cancelled = False
        self._builds: list[Build] = []
        self.metadata: dict[str, bytes] = {}
        self.created = now()
        self.completed: Timestamp | None = None
        self.answers: dict[str, str] = {}
        """The answers of the exporters, after the build."""
        self.failure: Status | None = None
        self.source: Source | None = None
        """The Dockerfile, after it has been read: errors show its lines."""

    # For the bridge

    def add(self, solved: Solved) -> None:
        """Keep a frontend's answer."""
        with self._changed:
            self._solved[solved.id] = solved

    def hold(self, build: Build) -> None:
        """Note a build that ends if the job is cancelled.  CallError if it is cancelled already."""
        with self._changed:
            self._builds.append(build)
        if self._is_cancelled:
            build.cancellation.set()
            self.check()

    def give_back(self, returned: ReturnRequest) -> None:
        """Take the client's result to export, or its error.  CallError if it has sent one."""
        with self._changed:
            if self._returned is not None:
                raise CallError(ALREADY_EXISTS, f"build {self.ref} has a result already")
            self._returned = returned
            self._changed.notify_all()

    def answer(self, number: str) -> Solved | None:
        """Return a frontend's answer by its id; None if it is of another build."""
        with self._changed:
            return self._solved.get(number)

    # For Solve

    def wait(self) -> ReturnRequest:
        """Wait for the client's result.  CallError."""
        with self._changed:
            self._changed.wait_for(lambda: self._returned is not None or self._is_cancelled)
            self.check()
            assert self._returned is not None  # noqa: S101 the condition above
            return self._returned

    def solved(self, result: Result) -> Solved | None:
        """Return the answer for a result; None for an empty one.  CallError."""
        self.metadata = result.metadata
        number = result.ref.id if result.ref else result.ref_deprecated
        if result.refs and result.refs.refs:
            number = next(iter(result.refs.refs.values())).id  # all platforms have one
        if not number:
            return None
        with self._changed:
            found = self._solved.get(number)
        if found is None:
            raise CallError(NOT_FOUND, f"build {self.ref} has no result {number}")
        return found

    def cancel(self) -> None:
        """Cancel the build: no client needs it any more."""
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
    def is_real(self) -> bool:
        """Whether it builds anything; a client's probe of the daemon does not."""
        return not self.request.internal

    @property
    def is_cancelled(self) -> bool:
        """Whether the build was cancelled."""
        return self._is_cancelled

    def check(self) -> None:
        """Raise CallError if the build was cancelled."""
        if self._is_cancelled:
            raise CallError(CANCELLED, "context canceled")


class Jobs:
    """The running builds, by their refs, and the last finished ones."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: dict[str, Job] = {}
        self._finished: deque[Job] = deque()

    @contextmanager
    def running(self, request: SolveRequest, sent: BinaryIO | None = None) -> Iterator[Job]:
        """A build during the block.  CallError if another one has this ref."""
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
        except CallError as error:
            job.failure = Status(error.code, str(error))
            raise
        finally:
            job.completed = now()
            job.cancel()
            job.progress.close()
            with self._changed:
                del self._running[job.ref]
                self._finished.append(job)
                self._bound()
            job.close()

    def _bound(self) -> None:
        """Forget the oldest while there are too many; the newest stays for a late `Status`."""
        kept_bytes = sum(job.progress.log_bytes for job in self._finished)
        while len(self._finished) > 1 and (
            len(self._finished) > FINISHED_MAX or kept_bytes > FINISHED_LOGS_MAX_BYTES
        ):
            kept_bytes -= self._finished.popleft().progress.log_bytes

    def all(self) -> list[Job]:
        """Return the finished and the running builds, the oldest first."""
        with self._changed:
            return [*self._finished, *self._running.values()]

    def forget(self, ref: str) -> bool:
        """Forget a finished build; False if there is none."""
        with self._changed:
            job = next((job for job in self._finished if job.ref == ref), None)
            if job is None:
                return False
            self._finished.remove(job)
            return True

    def find(
        self, ref: str, timeout_s: float, is_cancelled: Callable[[], bool], *, or_finished: bool
    ) -> Job:
        """Return the build of a ref, which may begin a little later.  CallError."""
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

    def result(self, number: str) -> Solved:
        """Return the result of any running build.  CallError."""
        with self._changed:
            jobs = list(self._running.values())
        for job in jobs:
            found = job.answer(number)
            if found is not None:
                return found
        raise CallError(NOT_FOUND, f"there is no result {number}")
