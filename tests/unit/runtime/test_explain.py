"""What --explain shows of a plan that ran, and of one that failed."""

import errno

from labkit.runtime import explain
from labkit.runtime import plan as planning
from labkit.runtime.launch import StepFailure
from tests.unit.runtime.test_plan import SPEC


def test_a_start_that_succeeded():
    plan = planning.compute(SPEC)
    count = len(plan.steps())
    rows = explain.rows(plan, list(range(count)))
    assert [row["DurationNs"] for row in rows] == list(range(count))
    assert {row["Phase"] for row in rows} == {"host", "clone", "child"}
    assert not any(row["Errno"] for row in rows)


def test_a_start_that_failed_shows_how_far_it_came():
    plan = planning.compute(SPEC)
    rows = explain.rows(plan, [1, 2], StepFailure(2, errno.EBUSY, "busy", [1, 2]))
    assert [row["DurationNs"] for row in rows[:4]] == [1, 2, None, None]
    assert (rows[2]["Errno"], rows[2]["Error"]) == (errno.EBUSY, "busy")
    assert rows[3]["Errno"] == 0


def test_the_usual_cause():
    assert "no such program" in explain.usual_cause("exec", errno.ENOENT)
    assert "CAP_SYS_ADMIN" in explain.usual_cause("namespace.pid", errno.EPERM)
    assert explain.usual_cause("hostname", errno.EIO) == ""
