"""What buildx asks besides builds: the history, the cache's records with filters, outlines."""

import json

import pytest

from labkit.buildkit.history import COMPLETE, Event, HistoryRequest, UpdateRequest
from labkit.buildkit.messages import (
    BridgeSolveRequest,
    BridgeSolveResponse,
    DiskUsageRequest,
    DiskUsageResponse,
    Empty,
    PruneRequest,
    SolveResponse,
    StatusRequest,
    StatusResponse,
    UsageRecord,
)
from labkit.rpc import errors
from labkit.rpc.errors import CallError
from tests.doors import DIFF_COPY, door, files, session, solve_request
from tests.lab import running_lab

pytestmark = pytest.mark.root

GOOD = b"FROM busybox\nRUN --mount=type=cache,target=/c,id=here echo said > /c/f; echo said\n"


@pytest.fixture(scope="module")
def lab():
    with running_lab() as lab:
        yield lab


@pytest.fixture
def opened(lab):
    with door(lab) as opened:
        yield opened


def built(lab, opened, ref, text=GOOD):
    with session(lab, {DIFF_COPY: files({"Dockerfile": text})}) as uuid:
        try:
            return opened.control("Solve", solve_request(ref, uuid)).receive(SolveResponse, 60)
        except CallError as error:
            return error


def listed(opened, **wanted):
    made = opened.control("ListenBuildHistory", HistoryRequest(early_exit=True, **wanted))
    return list(made.messages(Event))


def test_builds_stay_with_their_output_until_they_are_removed(lab, opened):
    built(lab, opened, "good")
    assert isinstance(built(lab, opened, "bad", b"FROM busybox\nRUN false\n"), CallError)
    found = {event.record.ref: event for event in listed(opened)}
    assert found["good"].type == found["bad"].type == COMPLETE
    record = found["good"].record
    assert record.completed_steps == record.total_steps > 2
    assert record.completed_at.seconds >= record.created_at.seconds
    assert "exit code: 1" in found["bad"].record.error.message
    assert [event.record.ref for event in listed(opened, limit=1)] == ["bad"]
    assert listed(opened, active_only=True) == []
    news = opened.control("Status", StatusRequest("good")).receive(StatusResponse, 30)
    assert any(log.message == b"said\n" for log in news.logs)
    update = opened.control("UpdateBuildHistory", UpdateRequest("good", delete=True))
    assert update.receive(Empty, 30) == Empty()
    assert listed(opened, ref="good") == []
    with pytest.raises(CallError) as error:
        opened.control("UpdateBuildHistory", UpdateRequest("good", delete=True)).receive(Empty, 30)
    assert error.value.code == errors.NOT_FOUND


def test_filters_choose_what_is_shown_and_removed(lab, opened):
    built(lab, opened, "filters")

    def shown(*filters):
        made = opened.control("DiskUsage", DiskUsageRequest(list(filters)))
        return {record.record_type for record in made.receive(DiskUsageResponse, 30).record}

    def pruned(**wanted):
        made = opened.control("Prune", PruneRequest(**wanted))
        return {record.record_type for record in made.messages(UsageRecord)}

    assert "exec.cachemount" in shown("")
    assert shown("type==exec.cachemount,inuse==false") == {"exec.cachemount"}
    assert shown("type==other") == shown("inuse") == set()
    assert pruned(filter=["type==other"]) == set()
    assert pruned(keep_duration_ns=24 * 3600 * 10**9) == set()
    assert pruned(filter=["description~=cached mount"]) == {"exec.cachemount"}
    assert "exec.cachemount" not in shown("")
    with pytest.raises(CallError, match="known are"):
        shown("colour==red")


def test_an_outline_has_the_arguments_and_mounts_of_all_needed_stages(lab, opened):
    text = (
        b"ARG G=1\nFROM busybox AS base\nARG B=2\nRUN --mount=type=secret,id=s,required true\n"
        b"FROM busybox AS unused\nARG U=3\nFROM base AS last\nARG A\n"
        b"RUN --mount=type=ssh --mount=type=cache,target=/c true\n"
    )
    attributes = {"requestid": "frontend.outline", "build-arg:A": "given"}
    with session(lab, {DIFF_COPY: files({"Dockerfile": text})}) as uuid:
        opened.control("Solve", solve_request("outline", uuid, frontend=""))
        asked = BridgeSolveRequest("dockerfile.v0", attributes, allow_result_return=True)
        answer = opened.bridge("Solve", asked, "outline").receive(BridgeSolveResponse, 30)
    found = json.loads(answer.result.metadata["result.json"])
    values = {each["name"]: each["value"] for each in found["args"]}
    assert values == {"G": "1", "B": "2", "A": "given"}
    assert found["secrets"] == [{"name": "s", "required": True}]
    assert found["ssh"] == [{"name": "default", "required": False}]
    assert found["cache"] == [{"ID": "/c"}]
