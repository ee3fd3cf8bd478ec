"""The history of builds: `buildx history ls`, `inspect`, `logs`, `rm`.

The daemon keeps the last builds in memory, with their events (`labkit.buildkit.jobs`); they vanish
with it.  Source: buildkit's `api/services/control/control.proto` (`BuildHistoryRecord`).
"""

from typing import Annotated

from msgspec import Struct

from labkit.buildkit.jobs import Job, Jobs
from labkit.buildkit.messages import Empty, Exporter, Status, Timestamp
from labkit.rpc.calls import Served
from labkit.rpc.errors import INVALID_ARGUMENT, NOT_FOUND, CallError

STARTED, COMPLETE = 0, 1
"""The types of events."""


class HistoryRequest(Struct):
    """`ListenBuildHistory`."""

    active_only: Annotated[bool, 1] = False
    ref: Annotated[str, 2] = ""
    early_exit: Annotated[bool, 3] = False
    filter: Annotated[list[str], 4] = []
    limit: Annotated[int, 5] = 0


class UpdateRequest(Struct):
    """`UpdateBuildHistory`."""

    ref: Annotated[str, 1] = ""
    pinned: Annotated[bool, 2] = False
    delete: Annotated[bool, 3] = False


class Record(Struct):
    """One build."""

    ref: Annotated[str, 1] = ""
    frontend: Annotated[str, 2] = ""
    frontend_attributes: Annotated[dict[str, str], 3] = {}
    exporters: Annotated[list[Exporter], 4] = []
    error: Annotated[Status | None, 5] = None
    created_at: Annotated[Timestamp | None, 6] = None
    completed_at: Annotated[Timestamp | None, 7] = None
    exporter_response: Annotated[dict[str, str], 9] = {}
    cached_steps: Annotated[int, 15] = 0
    total_steps: Annotated[int, 16] = 0
    completed_steps: Annotated[int, 17] = 0
    warnings: Annotated[int, 19] = 0


class Event(Struct):
    """A build that runs or has ended."""

    type: Annotated[int, 1] = STARTED
    record: Annotated[Record | None, 2] = None


class History:
    """Serves the calls about builds."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def listen(self, call: Served) -> None:
        """`ListenBuildHistory`: the builds that there are, the oldest first; then the call ends."""
        asked = call.receive(HistoryRequest) or HistoryRequest()
        call.answer_headers()
        found = [job for job in self._jobs.all() if job.is_real]
        if asked.active_only:
            found = [job for job in found if job.completed is None]
        if asked.ref:
            found = [job for job in found if job.ref == asked.ref]
        if asked.limit > 0:
            found = found[-asked.limit :]
        for job in found:
            call.send(Event(STARTED if job.completed is None else COMPLETE, _record(job)))

    def update(self, call: Served) -> None:
        """`UpdateBuildHistory`: forget a build that has ended."""
        asked = call.receive(UpdateRequest) or UpdateRequest()
        if asked.pinned:
            raise CallError(INVALID_ARGUMENT, "labkit pins no build: it keeps the last ones")
        if asked.delete and not self._jobs.forget(asked.ref):
            raise CallError(NOT_FOUND, f"there is no finished build {asked.ref}")
        call.send(Empty())


def _record(job: Job) -> Record:
    counts = job.progress.counts()
    return Record(
        ref=job.ref,
        frontend=job.request.frontend or "dockerfile.v0",
        frontend_attributes=job.request.frontend_attributes,
        exporters=job.request.exporters,
        error=job.failure,
        created_at=job.created,
        completed_at=job.completed,
        exporter_response=job.answers,
        cached_steps=counts.cached,
        total_steps=counts.steps,
        completed_steps=counts.completed,
        warnings=counts.warnings,
    )
