"""The graph of stages: what needs what, and solving it side by side."""

import threading
from collections.abc import Callable

import pytest

from labkit.build import solver
from labkit.build.dockerfile.parser import parse
from labkit.build.errors import BuildError, CancelledError
from labkit.build.events import Event, Said
from labkit.errors import InvalidParameterError

TEXT = b"""
ARG BASE=busybox
FROM $BASE AS one
FROM one AS two
COPY --from=0 a b
FROM ${BASE}:1 AS three
RUN --mount=type=bind,from=two,target=/x true
FROM busybox AS four
COPY --from=nginx a b
FROM three
"""


def graph(text: bytes = TEXT) -> list[solver.Node]:
    return solver.graph(parse(text), {"BASE": "debian"})


def test_what_stages_need() -> None:
    nodes = graph()
    assert [sorted(node.needs) for node in nodes] == [[], [0], [1], [], [2]]
    assert [node.base for node in nodes] == ["debian", "", "debian:1", "busybox", ""]


def test_what_is_not_needed_is_left_out() -> None:
    assert solver.needed(graph(), 4) == [0, 1, 2, 4]
    assert solver.needed(graph(), 3) == [3]


def test_targets() -> None:
    dockerfile = parse(TEXT)
    assert solver.target(dockerfile, "") == 4
    assert solver.target(dockerfile, "TWO") == 1
    assert solver.target(dockerfile, "2") == 2
    with pytest.raises(InvalidParameterError, match="the named stages are one, two, three, four"):
        solver.target(dockerfile, "five")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"FROM a\nCOPY --from=1 x y", "invalid stage index 1"),
        (b"ARG X\nFROM $X", "should not be blank"),
    ],
)
def test_graphs_that_cannot_be(text: bytes, why: str) -> None:
    with pytest.raises(InvalidParameterError, match=why):
        solver.graph(parse(text), {})


def needed(text: bytes) -> list[int]:
    dockerfile = parse(text)
    return solver.needed(solver.graph(dockerfile, {}), len(dockerfile.stages) - 1)


def test_a_stage_may_copy_from_a_later_one() -> None:
    text = b"FROM a AS one\nCOPY --from=two x y\nFROM b AS two\nFROM one"
    assert needed(text) == [1, 0, 2]
    assert needed(b"FROM a\nCOPY --from=1 x y\nFROM b") == [1]


@pytest.mark.parametrize(
    "text",
    [
        b"FROM a AS x\nCOPY --from=x a b",
        b"FROM a AS x\nCOPY --from=1 a b\nFROM x",
        b"FROM a AS y\nCOPY --from=x a b\nFROM a AS x\nCOPY --from=y a b",
        b"FROM a AS x\nCOPY --from=x a b\nFROM a",
    ],
    ids=["itself", "a stage from it", "each other", "not needed"],
)
def test_stages_in_a_circle(text: bytes) -> None:
    with pytest.raises(
        InvalidParameterError, match=r"dependency detected on stage: [xy0]\nDockerfile:[2-4]: "
    ):
        needed(text)


def test_of_two_stages_with_one_name_the_last_counts() -> None:
    text = b"FROM a AS x\nFROM x AS x\nFROM x\nCOPY --from=x a b\nFROM a AS x"
    nodes = solver.graph(parse(text), {})
    assert [node.base_stage for node in nodes] == [None, 0, 1, None]
    assert nodes[2].needs == {1, 3}


Report = Callable[[Event], None]


def solve(text: bytes, build: Callable[[int, Report], None]) -> list[object]:
    nodes = graph(text)
    batches = solver.solve(
        nodes,
        solver.needed(nodes, len(nodes) - 1),
        lambda node, report: build(node.stage.number, report),
        lambda: None,
    )
    return [event.text for events in batches for event in events if isinstance(event, Said)]


INDEPENDENT = b"FROM a AS x\nFROM b AS y\nFROM c\nCOPY --from=x f f\nCOPY --from=y f f\n"


def test_independent_stages_meet_and_output_has_the_stages_order() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def build(number: int, report: Report) -> None:
        report(Said(f"begin {number}"))
        if number < 2:
            meeting.wait()
        report(Said(f"end {number}"))

    assert solve(INDEPENDENT, build) == [
        *("begin 0", "end 0", "begin 1", "end 1", "begin 2", "end 2"),
    ]


def test_a_stage_waits_for_what_it_needs() -> None:
    order: list[int] = []
    solve(b"FROM a AS x\nFROM x AS y\nFROM y", lambda number, _: order.append(number))
    assert order == [0, 1, 2]


def test_the_error_of_a_stage_is_raised_and_not_that_of_one_that_was_cancelled() -> None:
    failed = threading.Event()

    def build(number: int, report: Report) -> None:
        if number == 0:
            failed.wait(10)
            raise CancelledError("cancelled")
        failed.set()
        raise BuildError("the reason")

    with pytest.raises(BuildError, match="the reason"):
        solve(INDEPENDENT, build)
