"""What a page has made ends with the page, and only then: by rule, and in a real browser."""

import os
import pytest

from labkit.client import Client
from labkit.course.page import owners
from labkit.course.page.closing import GRACE_S, RELOAD_S, SIGHT_S, Absences, remove_of
from labkit.course.page.crew import Crew

LIMIT_S = 15
"""What is promised."""


def steps(absences: Absences, count: int, connections: int) -> list[str]:
    """What is said to be closed in `count` steps with so many connections to the kernel `k`."""
    return [name for _ in range(count) for name in absences.step({"k": connections})]


def test_a_closed_page_is_named_once() -> None:
    absences = Absences()
    assert steps(absences, 3, connections=1) == []
    assert steps(absences, GRACE_S, connections=0) == []
    assert steps(absences, 100, connections=0) == ["k"]
    assert GRACE_S < LIMIT_S / 2, "the rest is for ending a kernel on a busy machine"


def test_another_page_of_the_same_kernel_keeps_it() -> None:
    absences = Absences()
    assert steps(absences, 3, connections=2) == []
    assert steps(absences, 100, connections=1) == []


def test_a_kernel_that_never_had_a_page_is_left_alone() -> None:
    assert steps(Absences(), 100, connections=0) == []


def test_a_reload_has_time() -> None:
    absences = Absences()
    steps(absences, 1, connections=1)
    absences.request()
    assert steps(absences, GRACE_S - 1, connections=0) == [], "a request before does not count"
    absences.request()
    assert steps(absences, RELOAD_S - GRACE_S, connections=0) == []
    assert steps(absences, 1, connections=1) == [], "it is back"
    assert steps(absences, GRACE_S + 1, connections=0) == ["k"]


def test_a_page_that_does_not_come_back_is_closed_in_the_end() -> None:
    absences = Absences()
    steps(absences, 1, connections=1)
    steps(absences, 1, connections=0)
    absences.request()
    assert steps(absences, RELOAD_S, connections=0) == ["k"]


def test_a_computer_that_sleeps_closes_nothing() -> None:
    absences = Absences()
    steps(absences, 1, connections=1)
    absences.lose("k")
    assert steps(absences, 3600, connections=0) == []
    assert steps(absences, 1, connections=1) == []
    assert steps(absences, GRACE_S + 1, connections=0) == ["k"], "closed, once it is awake"
    steps(absences, 1, connections=1)
    absences.lose("k")
    assert steps(absences, SIGHT_S + 1, connections=0) == ["k"]


@pytest.mark.root
def test_what_carries_a_process_label_goes_and_nothing_else(client: Client) -> None:
    mine = owners.birth(os.getpid())
    with Crew(client, "closing", 60) as crew:
        crew.hire("one", "sleep 60")
        body = {"Name": "closing-net", "Labels": crew.labels}
        client.api.post("/networks/create", body)
        other = client.containers.run("busybox", ["sleep", "60"], detach=True)
        remove_of({"1:1"})
        assert len(client.containers.list()) == 2
        remove_of({mine})
        assert [one.id for one in client.containers.list(all=True)] == [other.id]
        assert "closing-net" not in [one["Name"] for one in client.api.get("/networks")]
        other.remove(force=True)
