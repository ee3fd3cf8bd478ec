"""A class of every kind, and every way to cheat: right scores, and a machine as it was."""

import csv
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.course.grading import classroom
from labkit.course.grading.report import COLUMNS
from labkit.course.grading.result import Result
from labkit.course.handout import release
from tests.exercises import hostile
from tests.exercises.classroom import (
    CHEATS,
    KINDS,
    LIMITS,
    NAME,
    PARENT,
    RESTARTING,
    SOLVED,
    hand_in,
)

pytestmark = [pytest.mark.root, pytest.mark.timeout(1800)]
JOBS = 3
RUN = hostile.HOSTILE if os.environ.get("LABKIT_TEST_HOSTILE") else hostile.QUICK
"""All of the hostile class: LABKIT_TEST_HOSTILE=1 (`make test-class`)."""


class Class:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        answers = {kind: KINDS[kind][0] for kind in KINDS}
        answers["restarting"] = {"09.5": RESTARTING, "09.7": SOLVED["09.7"]}
        answers |= {f"hostile {name}": hostile.answers(hostile.HOSTILE[name]) for name in RUN}
        answers |= {f"cheat {name}": {"09.5": source} for name, source in CHEATS.items()}
        self.handed = {
            name: hand_in(folder / "submitted", f"s{at:02}", each)
            for at, (name, each) in enumerate(answers.items())
        }
        self.options = classroom.Options(str(folder / "graded"), jobs=JOBS, limits=LIMITS)
        self.said: list[str] = []
        results = classroom.grade([*self.handed.values()], self.options, self.said.append)
        self.results: dict[str, Result] = dict(zip(self.handed, results, strict=True))


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Class]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_CGROUP_PARENT", PARENT)
        yield Class(tmp_path_factory.mktemp("class"))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_score(graded: Class, kind: str) -> None:
    result = graded.results[kind]
    assert [mark.fault for mark in result.marks if mark.fault] == []
    assert result.score == KINDS[kind][1], result.notes


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_gains_nothing(graded: Class, name: str) -> None:
    result = graded.results[f"cheat {name}"]
    assert result.score == 0, result
    assert not any(mark.fault for mark in result.marks), result


@pytest.mark.parametrize("name", RUN)
def test_a_hostile_submission_has_what_it_earned(graded: Class, name: str) -> None:
    """It is never the machine's fault, whatever it does to its engine, its kernel or its disk."""
    result = graded.results[f"hostile {name}"]
    assert [mark.fault for mark in result.marks if mark.fault] == []
    assert result.score == hostile.SPOILED.get(name, 6), result.notes


def test_an_engine_that_was_restarted_costs_nothing(graded: Class) -> None:
    result = graded.results["restarting"]
    assert [mark.fault for mark in result.marks if mark.fault] == []
    assert (result.score, result.notes) == (12, ())


def test_the_judge_was_nowhere_to_be_read(graded: Class) -> None:
    """The module exists and is empty: the text that it would print is in no output."""
    path = graded.folder / "graded" / graded.handed["reading"].student / NAME / "feedback.html"
    assert path.exists()


def test_nothing_is_left_of_any_submission(graded: Class) -> None:
    left = [
        f"{folder}/{name}"
        for folder, names, _ in os.walk("/sys/fs/cgroup")
        for name in names
        if name.startswith(PARENT)
    ]
    assert left == []
    assert [name for name in os.listdir(tempfile.gettempdir()) if name.startswith(PARENT)] == []
    assert PARENT not in Path("/proc/self/mountinfo").read_text()


def test_the_table_has_nbgraders_columns(graded: Class) -> None:
    with (graded.folder / "graded" / "grades.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    by_student = {row["student_id"]: row for row in rows}
    good = by_student[graded.handed["good"].student]
    assert (good["assignment"], good["score"], good["max_score"]) == (NAME, "12.0", "57.0")
    assert good["raw_score"] == good["score"]


def test_what_was_graded_is_not_graded_again(graded: Class) -> None:
    one = graded.handed["good"]
    kept = Path(graded.options.output, one.student, NAME, classroom.RESULT)
    before = kept.stat().st_mtime_ns
    (again,) = classroom.grade([one], graded.options, lambda _: None)
    assert again.score == 12
    assert kept.stat().st_mtime_ns == before
    hand_in(graded.folder / "submitted", one.student, {"09.5": SOLVED["09.5"]})
    (changed,) = classroom.grade([one], graded.options, lambda _: None)
    assert changed.score == 6


def test_the_feedback_says_what_was_expected_and_found(graded: Class) -> None:
    one = graded.handed["wrong"]
    page = (graded.folder / "graded" / one.student / NAME / "feedback.html").read_text()
    for words in ("its memory limit", "none", "0 of 2", "1 of 6", "The kernel ends a container"):
        assert words in page, words
    assert "<script" not in page


def test_a_copied_notebook_is_noticed(graded: Class) -> None:
    folder = graded.folder / "copied"
    first = hand_in(folder, "ann", {})
    second = folder / "bob" / NAME / f"{NAME}.ipynb"
    second.parent.mkdir(parents=True)
    second.write_bytes(Path(first.path).read_bytes())
    options = graded.options._replace(output=str(folder / "graded"))
    results = classroom.grade(classroom.find([str(folder)]), options, lambda _: None)
    assert [result.student for result in results] == ["ann", "bob"]
    assert any("also those of: bob" in note for note in results[0].notes)
    assert any("also those of: ann" in note for note in results[1].notes)


def test_a_file_that_is_no_notebook_is_said_to_be_none(graded: Class) -> None:
    path = graded.folder / "odd" / "cid" / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text("no notebook")
    options = graded.options._replace(output=str(graded.folder / "odd-graded"))
    (result,) = classroom.grade(classroom.find([str(path)]), options, lambda _: None)
    assert (result.score, result.has_fault) == (0, False)
    assert "is not a notebook" in result.notes[0]


def test_an_instructors_own_exercises_are_graded(graded: Class) -> None:
    """The skeleton that `labkit exercises new` makes; its folder is not to be seen inside."""
    ours = graded.folder / "ours"
    module, source = release.new("14_mine", str(ours))
    made = release.read(source)
    for cell in made["cells"]:
        if cell["id"] == "answer-14-1":
            cell["source"] = (
                "%docker run -d --name {t14_1.name} busybox sleep {t14_1.seconds}\n"
                f"import os; assert not os.path.exists({module!r})"
            )
    path = graded.folder / "theirs" / "ann" / "14_mine" / "14_mine.ipynb"
    release.write(str(path), made)
    output = str(graded.folder / "ours-graded")
    options = graded.options._replace(output=output, exercises=str(ours))
    (result,) = classroom.grade(classroom.find([str(path)]), options, lambda _: None)
    assert (result.score, result.max_score, result.notes) == (5, 5, ())
