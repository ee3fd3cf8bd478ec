"""Every exercise: solved, it has all its points; each wrong way has its own and its hint."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.course.exercises import exercise as exercises
from labkit.course.exercises.check import judge, lay
from labkit.course.exercises.exercise import Exercise
from labkit.course.exercises.finding import Finding
from labkit.course.exercises.hints import LEVELS, hint, lines
from labkit.course.exercises.looks import trials
from labkit.course.exercises.place import Place
from labkit.course.exercises.tidying import tidy
from tests.exercises.attempts import Attempts, Bench, Way
from tests.lab import Lab

TOKEN = "a learner"
ENDLESS = "it never ends"
"""The way with a judge's longest wait, which is shorter here."""
HERE = Path(__file__).parent
CHAPTERS = sorted(path.stem[-2:] for path in HERE.glob("solutions_[0-9][0-9].py"))


def attempts_at() -> Iterator[tuple[str, Attempts]]:
    for chapter in CHAPTERS:
        module = importlib.import_module(f"tests.exercises.solutions_{chapter}")
        yield from module.ATTEMPTS.items()


EVERY = dict(attempts_at())
SOLVED = [pytest.param(number, id=number) for number in EVERY]
WRONG = [
    pytest.param(number, name, id=f"{number} {name}")
    for number, attempts in EVERY.items()
    for name in attempts.wrong
]


@pytest.fixture
def findings(lab: Lab, place: Place) -> "Iterator[Judged]":
    judged = Judged(lab, place)
    yield judged
    judged.tidy()


class Judged:
    """Lays an exercise, goes a way, and judges."""

    def __init__(self, lab: Lab, place: Place) -> None:
        self.lab, self.place = lab, place
        self.exercise: Exercise | None = None
        self.benches: list[Bench] = []

    def after(self, number: str, way: Way | None) -> list[Finding]:
        self.exercise = exercise = exercises.find(number)
        memo = lay(exercise, self.place, TOKEN)
        if way is not None:
            bench = Bench(self.lab, self.place, exercise.values(TOKEN))
            self.benches.append(bench)
            way(bench)
        return list(judge(exercise, self.place, TOKEN, memo))

    def tidy(self) -> None:
        assert self.exercise is not None
        values = self.exercise.values(TOKEN)
        tidy(self.exercise, self.place, values)
        for bench in self.benches:
            bench.close()
        left = [one.name for one in self.place.client.containers.list(all=True)]
        assert left == [], "tidying must remove what the exercise made"
        names = [name for image in self.place.client.images.list() for name in image.tags]
        assert [name for name in names if values.mark in name] == []


def earned(found: list[Finding]) -> int:
    return sum(finding.earned for finding in found)


@pytest.mark.root
@pytest.mark.parametrize("number", SOLVED)
def test_nothing_done_is_nothing_and_solved_is_all(findings: Judged, number: str) -> None:
    points = exercises.find(number).points
    nothing = findings.after(number, None)
    assert earned(nothing) == 0, nothing
    assert sum(finding.points for finding in nothing) == points
    solved = findings.after(number, EVERY[number].solve)
    assert [each.difference for each in solved if not each.is_met] == []
    assert earned(solved) == points


@pytest.mark.root
@pytest.mark.parametrize(("number", "name"), WRONG)
def test_a_wrong_way_has_its_points_and_its_hint(
    findings: Judged, number: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = EVERY[number].wrong[name]
    if name == ENDLESS:
        monkeypatch.setattr(trials, "MOST_S", 2.0)
    found = findings.after(number, wrong.way)
    assert wrong.hint in hint(found, LEVELS), hint(found, LEVELS)
    assert earned(found) == wrong.points, [each.difference for each in found if not each.is_met]
    assert sum(finding.points for finding in found) == exercises.find(number).points
    for finding in found:
        assert [line for line in lines(finding) if re.search(COMMAND, line)] == []


COMMAND = r"(?:^|\s)--?[a-z]|\b(?:docker|labkit|nsenter|unshare|ip|mount|echo) [a-z]+ -|`[a-z]+ -"
"""A flag, or a command with one: no hint contains it."""


def test_a_command_in_a_hint_would_be_noticed() -> None:
    for said in ("use --cpu-shares", "try -c 1024", "docker run -d it", "say `mount -t`"):
        assert re.search(COMMAND, said), said


def test_every_exercise_has_ways() -> None:
    there = {
        one.number for chapter in exercises.chapters() for one in exercises.of_chapter(chapter)
    }
    assert there == EVERY.keys()
    assert [number for number, each in EVERY.items() if len(each.wrong) < 3] == []
