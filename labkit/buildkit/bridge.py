"""`LLBBridge`: the client runs the frontend, which is in the daemon, and reports its result.

`Ping` lists the daemon's capabilities, `Solve` turns a Dockerfile into a result that can be built,
and `Return` names the result for the build to export.  Only then the build runs.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from labkit.build.errors import CancelledError
from labkit.buildkit import failures, frontend
from labkit.buildkit.inputs import definition_of
from labkit.buildkit.jobs import BRIDGE_TIMEOUT_S, Job, Jobs, Solved
from labkit.buildkit.messages import (
    ApiCapability,
    BridgeSolveRequest,
    BridgeSolveResponse,
    Empty,
    EvaluateRequest,
    PongResponse,
    Ref,
    RefMap,
    Result,
    ReturnRequest,
)
from labkit.errors import LabkitError
from labkit.rpc.calls import LARGE_MESSAGE_MAX_BYTES, Message, Served, first
from labkit.rpc.errors import INVALID_ARGUMENT, CallError

BUILD_ID = "buildkit-controlapi-buildid"
CAPABILITIES = (
    "return",
    "returnmap",
    "proto.refarray",
    "frontend.caps",
    "frontend.inputs",
    "reference.output",
    "gateway.evaluate",
)
"""Without `return` clients take an older protocol, and wait for ever."""
SOLVER_CAPABILITIES = ("exporter.multiple", "exporter.image.attestations")
"""What clients ask for only where it is named.  Attestations are left out with a warning: a client
that may not ask for them refuses the whole build."""


class Bridge:
    """Serves the calls of one daemon's clients."""

    def __init__(self, jobs: Jobs, solve: "frontend.Solve") -> None:
        self._jobs = jobs
        self._solve = solve

    def handlers(self) -> Mapping[str, Callable[[Served], None]]:
        """The methods by their paths."""
        service = "/moby.buildkit.v1.frontend.LLBBridge"
        return {
            f"{service}/Ping": self.ping,
            f"{service}/Solve": self.solve,
            f"{service}/Return": self.give_back,
            f"{service}/Evaluate": self.evaluate,
        }

    def _job(self, call: Served) -> Job:
        ref = first(call.metadata, BUILD_ID)
        if not ref:
            raise CallError(INVALID_ARGUMENT, "the call names no build")
        return self._jobs.find(ref, BRIDGE_TIMEOUT_S, lambda: call.is_cancelled, or_finished=False)

    def ping(self, call: Served) -> None:
        """`Ping`."""
        self._job(call)
        call.send(PongResponse(_enabled(CAPABILITIES), _enabled(SOLVER_CAPABILITIES)))

    def solve(self, call: Served) -> None:
        """`Solve`: read the Dockerfile, and find its base images."""
        request = received(call, BridgeSolveRequest)
        job = self._job(call)
        try:
            solved = self._solve(job, request)
        except CallError:
            raise
        except (LabkitError, OSError) as error:
            if job.is_cancelled or isinstance(error, CancelledError):
                job.check()
            raise failures.call_error(error, job.source) from None
        job.add(solved)
        result = _result(solved)
        if not request.allow_result_return:
            raise CallError(INVALID_ARGUMENT, "the client is too old: it accepts no result")
        call.send(BridgeSolveResponse(result=result))

    def evaluate(self, call: Served) -> None:
        """`Evaluate`: build a result, because other builds begin with it."""
        job = self._job(call)
        solved = job.answer(received(call, EvaluateRequest).ref)
        try:
            if solved is not None:
                solved.images()
        except (LabkitError, OSError) as error:
            raise failures.call_error(error, job.source) from None
        call.send(Empty())

    def give_back(self, call: Served) -> None:
        """`Return`."""
        call.message_max_bytes = LARGE_MESSAGE_MAX_BYTES
        request = received(call, ReturnRequest)
        self._job(call).give_back(request)
        call.send(Empty())


def _result(solved: Solved) -> Result:
    """Return an answer as the client gets it: one result, or one for each platform."""
    if not solved.builds:
        return Result(ref=Ref(), metadata=solved.metadata)
    ref = Ref(solved.id, definition_of(solved.id))
    if len(solved.builds) == 1:
        return Result(ref=ref, metadata=solved.metadata)
    named = [(build.registries.shown(build.platform), build.platform) for build in solved.builds]
    platforms = {"Platforms": [{"ID": name, "Platform": platform} for name, platform in named]}
    metadata = {**solved.metadata, "refs.platforms": msgspec.json.encode(platforms)}
    return Result(refs=RefMap({name: ref for name, _ in named}), metadata=metadata)


def _enabled(names: Sequence[str]) -> list[ApiCapability]:
    return [ApiCapability(name, enabled=True) for name in names]


def received(call: Served, kind: type[Message]) -> Message:
    """Return the one message of a call.  CallError."""
    message = call.receive(kind)
    if message is None:
        raise CallError(INVALID_ARGUMENT, "the call has no message")
    return message
