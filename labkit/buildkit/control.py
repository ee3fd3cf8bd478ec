"""`Control`: builds, their progress, and their cache; and sessions through a call."""

import platform
from collections.abc import Callable, Mapping

from labkit.build.errors import CancelledError
from labkit.buildkit import failures
from labkit.buildkit.bridge import received
from labkit.buildkit.exporting import Exporters
from labkit.buildkit.frontend import Solve
from labkit.buildkit.history import History
from labkit.buildkit.jobs import STATUS_TIMEOUT_S, Job, Jobs
from labkit.buildkit.messages import (
    BridgeSolveRequest,
    BuildkitVersion,
    DiskUsageRequest,
    DiskUsageResponse,
    InfoResponse,
    ListWorkersResponse,
    OciPlatform,
    PruneRequest,
    Result,
    SolveRequest,
    SolveResponse,
    StatusRequest,
    WorkerRecord,
)
from labkit.buildkit.sessions import Sessions
from labkit.buildkit.usage import Usage
from labkit.errors import LabkitError
from labkit.images.models import Platform
from labkit.rpc import wire
from labkit.rpc.calls import Served
from labkit.rpc.errors import UNKNOWN, CallError
from labkit.rpc.tunnel import Tunnel

PACKAGE = "labkit"
WORKER_LABELS = {
    "org.mobyproject.buildkit.worker.executor": "labkit",
    "org.mobyproject.buildkit.worker.hostname": platform.node(),
    "org.mobyproject.buildkit.worker.snapshotter": "overlayfs",
}
"""Clients ask for `-o type=docker` and `oci` only where a snapshotter is named."""


class Control:
    """Serves the calls of one daemon's clients."""

    def __init__(
        self,
        jobs: Jobs,
        *,
        sessions: Sessions,
        solve: Solve,
        exporters: Exporters,
        usage: Usage,
        worker: tuple[str, Platform, str],
    ) -> None:
        """`worker`: the engine's id, its platform, and its version."""
        self._jobs = jobs
        self._sessions = sessions
        self._solve = solve
        self._exporters = exporters
        self._usage = usage
        self._worker = worker

    def handlers(self) -> Mapping[str, Callable[[Served], None]]:
        """The methods by their paths."""
        service, history = "/moby.buildkit.v1.Control", History(self._jobs)
        return {
            f"{service}/ListWorkers": self.list_workers,
            f"{service}/Info": self.info,
            f"{service}/Solve": self.solve,
            f"{service}/Status": self.status,
            f"{service}/Session": self.session,
            f"{service}/DiskUsage": self.disk_usage,
            f"{service}/Prune": self.prune,
            f"{service}/ListenBuildHistory": history.listen,
            f"{service}/UpdateBuildHistory": history.update,
        }

    # About the daemon

    def list_workers(self, call: Served) -> None:
        """`ListWorkers`: there is one, the engine."""
        name, machine, version = self._worker
        platforms = [OciPlatform(machine.architecture, machine.os, machine.variant)]
        record = WorkerRecord(
            name, dict(WORKER_LABELS), platforms, BuildkitVersion(PACKAGE, version)
        )
        call.send(ListWorkersResponse([record]))

    def info(self, call: Served) -> None:
        """`Info`: the version of BuildKit."""
        call.send(InfoResponse(BuildkitVersion(PACKAGE, self._worker[2])))

    # Builds

    def solve(self, call: Served) -> None:
        """`Solve`: one build, to its end; cancelling the call ends the build."""
        request = received(call, SolveRequest)
        with self._jobs.running(request) as job:
            call.on_cancel(job.cancel)
            job.answers = answer = self.result(job)
            job.progress.close()
        call.send(SolveResponse(answer))

    def result(self, job: Job) -> dict[str, str]:
        """Run a job, and return the answers of its exporters.  CallError."""
        try:
            return self._solved(job)
        except CallError:
            raise
        except (LabkitError, OSError) as error:
            if job.is_cancelled or isinstance(error, CancelledError):
                job.check()
            raise failures.call_error(error, job.source) from None

    def _solved(self, job: Job) -> dict[str, str]:
        request = job.request
        if request.frontend:  # the daemon runs it by itself
            asked = BridgeSolveRequest(request.frontend, request.frontend_attributes)
            return self._exporters.export(job, self._solve(job, asked))
        returned = job.wait()
        if returned.error is not None:
            error = returned.error
            raise CallError(error.code or UNKNOWN, error.message, wire.encode(error))
        found = job.solved(returned.result or Result())
        return {} if found is None else self._exporters.export(job, found)

    def status(self, call: Served) -> None:
        """`Status`: the events of a build, to its end."""
        request = received(call, StatusRequest)
        job = self._jobs.find(
            request.ref, STATUS_TIMEOUT_S, lambda: call.is_cancelled, or_finished=True
        )
        call.answer_headers()
        for news in job.progress.follow(lambda: call.is_cancelled):
            call.send(news)

    def session(self, call: Served) -> None:
        """`Session`: a session as on `POST /session`, carried by this call."""
        call.answer_headers()
        with self._sessions.holding(Tunnel(call), call.metadata) as session:
            session.run()

    # The cache

    def disk_usage(self, call: Served) -> None:
        """`DiskUsage`."""
        request = received(call, DiskUsageRequest)
        call.send(DiskUsageResponse(self._usage.records(request.filter)))

    def prune(self, call: Served) -> None:
        """`Prune`: report each removed object at once."""
        request = received(call, PruneRequest)
        call.answer_headers()
        unused_s = request.keep_duration_ns / 1e9
        for record in self._usage.prune(request.filter, unused_s):
            call.send(record)
