"""A container's life: the way its events tell of, how it is drawn, and what its results mean."""

import pytest

from labkit.containers.records import states as engine
from labkit.course.lifecycle.endings import PROGRAMS, Ending, Endings
from labkit.course.lifecycle.life import BENDS, COMMANDS, PLACES, Arrow, path_of, picture
from labkit.course.lifecycle.pausing import Export, Pausing
from labkit.course.lifecycle.restarts import ENDS, POLICIES, BackOff, Policies, Verdict

TABLE = [*(Arrow(row.before, row.event, row.after) for row in engine.TRANSITIONS), *COMMANDS]


def events(*actions: str) -> list[dict[str, object]]:
    return [{"Action": action, "timeNano": 1_000_000_000 * at} for at, action in enumerate(actions)]


def way(*actions: str, has_policy: bool = False) -> list[str]:
    return [move.arrow.event for move in path_of(events(*actions), TABLE, has_policy=has_policy)]


def test_every_state_has_a_place_and_every_bend_an_arrow() -> None:
    assert set(PLACES) == set(engine.STATES)
    assert set(BENDS) <= {(row.before, row.event) for row in TABLE}


def test_a_whole_life() -> None:
    told = ("create", "start", "pause", "unpause", "kill", "die", "stop", "destroy")
    assert way(*told) == ["create", "start", "pause", "unpause", "stop", "remove", "destroy"]


def test_the_end_is_drawn_by_its_cause() -> None:
    """The program's own end, a kill, and a stop that had to kill."""
    assert way("create", "start", "die")[-1] == "die"
    assert way("create", "start", "kill", "die", "start")[-2:] == ["kill", "start"]
    assert way("create", "start", "kill", "kill", "die", "stop")[-1] == "stop"
    assert way("create", "start", "pause", "kill", "die")[-1] == "die", "paused: another arrow"


def test_no_two_arrows_lie_on_each_other() -> None:
    bends = [(row.before, row.after, BENDS.get((row.before, row.event), 0.0)) for row in TABLE]
    assert len(bends) == len(set(bends))


def test_the_last_container_of_a_name_counts() -> None:
    moves = path_of(events("create", "start", "die", "destroy", "create", "start"), TABLE)
    assert [(move.time_s, move.arrow.event) for move in moves] == [(0.0, "create"), (1.0, "start")]


def test_a_restart_by_policy_goes_through_the_wait() -> None:
    told = ("create", "start", "die", "start", "die")
    assert way(*told, has_policy=True) == ["create", "start", "die", "retry", "start", "die"]
    assert way(*told) == ["create", "start", "die", "start", "die"]


def test_a_start_after_a_kill_is_its_users() -> None:
    told = ("create", "start", "kill", "die", "start")
    assert way(*told, has_policy=True) == ["create", "start", "kill", "start"]


def test_words_of_the_picture() -> None:
    figure = picture(TABLE, path_of(events("create", "start", "die", "start"), TABLE), "box")
    assert "Lit and numbered is the way of the container box: 1 create, 2 start" in figure.alt
    assert figure.table.column("leads to") == ("created", "running", "exited", "running")
    texts = {text.get_text() for text in figure.drawing.axes[0].texts}
    assert {"2  start", "4  start", "3  die", "get stuck"} <= texts
    assert figure.png.startswith(b"\x89PNG")


def endings(deaf_s: float, code: int) -> Endings:
    listener, deaf, _ = PROGRAMS
    return Endings(
        3.0,
        (
            Ending(listener, "stop", (15,), 0.01, 0),
            Ending(deaf, "stop", (15, 9), deaf_s, code),
            Ending(deaf, "kill", (9,), 0.01, 137),
        ),
    )


@pytest.mark.parametrize(
    ("deaf_s", "code", "holds"), [(3.01, 137, True), (0.2, 137, False), (3.01, 143, False)]
)
def test_ends_hold_only_by_the_rules(deaf_s: float, code: int, holds: bool) -> None:
    result = endings(deaf_s, code)
    assert result.holds is holds
    assert f"sleep, as process 1, stop: {deaf_s:.2f} s, exit code {code}" in result.plot().alt


@pytest.mark.parametrize(
    ("waits", "holds"),
    [((0.11, 0.21, 0.42), True), ((0.11, 0.11, 0.42), False), ((0.11, 0.21, 1.4), False)],
)
def test_waits_double(waits: tuple[float, ...], holds: bool) -> None:
    result = BackOff(waits)
    assert result.holds is holds
    assert "expected 0.1 s, 0.2 s, 0.4 s" in result.plot().alt


def test_whom_a_policy_brings_back() -> None:
    every = [Verdict(end, policy, False, 0, False) for end in ENDS for policy in POLICIES]
    true = Policies(tuple(one._replace(is_restarted=one.is_expected) for one in every))
    assert true.holds
    assert not Policies(tuple(every)).holds
    assert true.table().column("on-failure") == ("left", "restarted", "restarted", "left", "left")
    assert "docker kill: no left, on-failure left, always left" in true.plot().alt


@pytest.mark.parametrize(("second", "holds"), [("c", True), ("d", False)])
def test_a_paused_container_stands_still(second: str, holds: bool) -> None:
    exports = (
        Export(False, "a", "1", ""),
        Export(False, "b", "2", "1"),
        Export(True, "c", "3", "3"),
        Export(True, second, "3", "3"),
    )
    samples = ((0.0, 0.0), (1.0, 1.0), (2.0, 1.0), (3.0, 2.0))
    result = Pausing(samples, (1.0, 2.0), exports)
    assert result.holds is holds
    assert "0.0% while it was paused from 1.0 s to 2.0 s" in result.plot().alt
    assert result.table().column("in /right")[0] == "(nothing)"


def test_a_slow_machine_s_waits_double_too() -> None:
    late = tuple(due + 0.7 for due in BackOff((0.1,) * 5).expected_s)
    assert BackOff(late).holds
    assert not BackOff((0.8,) * 5).holds
