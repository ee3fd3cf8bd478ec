"""Grading's parts that need no sandbox: odd notebooks, odd folders, time on a busy machine."""

import csv
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit.course.exercises.finding import Finding, Findings, Lesson
from labkit.course.exercises.looks.clock import PATIENCE, Clock
from labkit.course.grading import (
    classroom,
    collecting,
    groups,
    handed_in,
    one,
    report,
    submission,
)
from labkit.course.grading.limits import Limits
from labkit.course.grading.one import Submission
from labkit.course.grading.result import Mark, Result
from tests import leaks

GOOD: dict[str, Any] = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
LESSON = Lesson("An idea.", "chapter 9, section Two", "the file cpu.shares")


def with_cell(**fields: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": "1", "outputs": []}
    return GOOD | {"cells": [cell | {"execution_count": None} | fields]}


class Times:
    """The three sources of a clock, set by hand."""

    def __init__(self) -> None:
        self.used = self.idle = self.wall = 0.0
        self.clock = Clock(lambda: self.used, lambda: self.idle, lambda: self.wall)

    def pass_on(self, wall: float, *, used: float = 0.0, idle: float = 0.0) -> float:
        before = self.clock.now()
        self.wall, self.used, self.idle = self.wall + wall, self.used + used, self.idle + idle
        return self.clock.now() - before


@pytest.mark.parametrize(
    ("used", "idle", "counted"),
    [
        pytest.param(0, 20, 10, id="it waits on an idle machine"),
        pytest.param(10, 0, 10, id="it has a processor"),
        pytest.param(15, 5, 10, id="it has more than one"),
        pytest.param(2, 0, 2, id="others have the processors"),
        pytest.param(0, 0, 10 / PATIENCE, id="it waits on a busy machine"),
        pytest.param(-5, -5, 10 / PATIENCE, id="its groups are removed"),
    ],
)
def test_a_second_counts_as_far_as_it_could_be_used(
    used: float, idle: float, counted: float
) -> None:
    assert Times().pass_on(10, used=used, idle=idle) == pytest.approx(counted)


def test_a_step_on_a_busy_machine_is_known() -> None:
    times = Times()
    assert times.clock.is_busy_in(lambda: times.pass_on(4, idle=8))[1] is False
    assert times.clock.is_busy_in(lambda: times.pass_on(4, used=1))[1] is True


LOOK = """
import fcntl, os, sys
from labkit.course.grading import locks
one, other = sys.argv[1:]
held = [open(f"{folder}/run/lock", "w") for folder in (one, other)]
assert os.fstat(held[0].fileno()).st_ino == os.fstat(held[1].fileno()).st_ino
fcntl.flock(held[1], fcntl.LOCK_EX)
def holders(*paths):
    return locks.holders(one, paths, os.getpid())
assert holders("/run/lock", "/none/lock") == set(), "the lock is on another's file"
os.symlink(f"{other}/run", f"{one}/link")
assert holders("/link/lock") == set(), "a link leads to another's file"
fcntl.flock(held[0], fcntl.LOCK_EX)
assert holders("/run/lock") == {os.getpid()}
assert locks.holders(one, ["/run/lock"], 2**22 + 1) == set(), "in another's PID namespace"
"""


@pytest.mark.root
def test_a_lock_on_anothers_file_of_the_same_number_is_not_ones_own(tmp_path: Path) -> None:
    """Disks of the same make number their files alike: an engine never waits for another's."""
    mount = 'for it; do mount -t tmpfs none "$it" && mkdir "$it/run"; done'
    script = f'shift; {mount}; exec "$0" -c "$LOOK" "$@"'
    words = ["unshare", "-m", "sh", "-c", script, sys.executable, "-"]
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    subprocess.run([*words, *map(str, folders)], env=os.environ | {"LOOK": LOOK}, check=True)


NOTEBOOKS: dict[str, Callable[[], bytes]] = {
    "text": lambda: b"no notebook",
    "a list": lambda: b"[]",
    "a number": lambda: b"7",
    "no text at all": lambda: b"\xff\xfe\x00",
    "deep": lambda: b'{"cells":' + b"[" * 100_000,
    "deep and closed": lambda: (
        b'{"nbformat":4,"nbformat_minor":5,"metadata":{},"cells":' + b"[" * 900 + b"]" * 900 + b"}"
    ),
    "no cells": lambda: json.dumps({**GOOD, "cells": 3}).encode(),
    "cells that are none": lambda: json.dumps({**GOOD, "cells": ["a", 1]}).encode(),
    "a cell without a source": lambda: json.dumps(
        {**GOOD, "cells": [{"cell_type": "code"}]}
    ).encode(),
    "a format to come": lambda: json.dumps({**GOOD, "nbformat": 99}).encode(),
    "a format that is a word": lambda: json.dumps({**GOOD, "nbformat": "x"}).encode(),
}


@pytest.mark.parametrize("kind", NOTEBOOKS)
def test_what_is_no_notebook_is_said_to_be_none(kind: str) -> None:
    with pytest.raises(handed_in.UnreadableError):
        handed_in.parse(NOTEBOOKS[kind]())


ODD: dict[str, dict[str, Any]] = {
    "half a character": with_cell(source="print('\ud800')"),
    "outputs that are none": with_cell(outputs=[3, {"data": [1]}, {"data": {"a": 1}}]),
    "metadata that are none": with_cell(metadata=[1]),
    "marks that are none": with_cell(metadata={"nbgrader": "x"}),
    "no metadata": GOOD | {"metadata": [2]},
    "a learner that is a list": GOOD | {"metadata": {"labkit": {"learner": [1] * 999}}},
    "a learner with a zero byte": GOOD | {"metadata": {"labkit": {"learner": "a\0b"}}},
    "a long learner": GOOD | {"metadata": {"labkit": {"learner": "x" * 200_000}}},
    "half a learner": GOOD | {"metadata": {"labkit": {"learner": "\udfff"}}},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ODD)
def test_an_odd_notebook_has_sound_parts(kind: str) -> None:
    """All that goes on to a kernel or an environment can go there; else it is refused."""
    try:
        notebook = handed_in.parse(json.dumps(ODD[kind]).encode())
    except handed_in.UnreadableError:
        assert "none" in kind or kind == "no metadata"
        return
    token = handed_in.token_of(notebook, "ann")
    assert token.isprintable()
    assert len(token) <= handed_in.LONGEST_TOKEN
    for cell in notebook.cells:
        json.dumps(cell.source).encode()
        cell.source.encode("utf-8")


def test_only_a_plain_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real.ipynb").write_text("{}")
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "real.ipynb")
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "folder.ipynb").mkdir()
    monkeypatch.setattr(handed_in, "MOST_BYTES", 1 << 20)
    with (tmp_path / "large.ipynb").open("wb") as file:
        file.truncate(200 << 20)
    tracemalloc.start()
    for name in ("link", "pipe", "folder", "large", "missing"):
        with pytest.raises(handed_in.UnreadableError):
            handed_in.read(str(tmp_path / f"{name}.ipynb"))
        assert handed_in.digest_of(str(tmp_path / f"{name}.ipynb")) == ""
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    assert handed_in.read(str(tmp_path / "real.ipynb")) == b"{}"


def put(path: Path, text: str = "{}") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_only_the_place_of_a_notebook_says_whose_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "submitted"
    put(folder / "ann/09/09.ipynb")
    put(folder / "bob/09/09.ipynb")
    put(folder / "ann/09/bob/09/x.ipynb")
    put(folder / "ann/bob.ipynb")
    put(folder / "bob/09/another.ipynb")
    put(folder / "bob/09/.ipynb_checkpoints/09.ipynb")
    (folder / "cid").symlink_to(folder / "ann")
    said: list[str] = []
    found = collecting.find([str(folder)], said.append)
    assert [(each.student, os.path.basename(each.path)) for each in found] == [
        ("ann", "09.ipynb"),
        ("bob", "09.ipynb"),
    ]
    assert len(said) == 4
    assert all("is passed over" in line for line in said)


def test_a_students_or_an_exercises_folder_is_found_too(tmp_path: Path) -> None:
    put(tmp_path / "submitted/ann/09/09.ipynb")
    expected = [("ann", "09")]
    for place in ("submitted", "submitted/ann", "submitted/ann/09"):
        found = collecting.find([str(tmp_path / place)])
        assert [(each.student, each.assignment) for each in found] == expected


def result(student: str, assignment: str = "09_limits", fault: str = "") -> Result:
    finding = Finding("a", "b", "c", 2, True, LESSON)
    return Result(student, assignment, (Mark("09.1", "x", 2, (finding,), fault),), student)


NAMES = ("=cmd|' /C calc'!A0", "  =1+1", "\t=1+1", "\r@sum(a1)", "-2+3", "+1", "|x", "a\nb,c,100")


@pytest.mark.parametrize("name", NAMES)
def test_no_name_is_a_formula_or_another_line(name: str, tmp_path: Path) -> None:
    report.write(str(tmp_path), [result(name, name), result("bad \udcff byte")])
    lines = (tmp_path / report.CSV).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    read = list(csv.DictReader(lines))
    for column in ("student_id", "assignment"):
        assert read[0][column].strip()[0] not in "=+-@|\t\r"
    assert "\x1b" not in report.plain("\x1b[2K12/12 ann: 57 of 57")


def test_a_row_has_no_score_that_the_machine_could_not_judge(tmp_path: Path) -> None:
    report.write(str(tmp_path), [result("ann", fault="too slow"), result("bob")])
    with (tmp_path / report.CSV).open(newline="") as file:
        ann, bob = csv.DictReader(file)
    assert (ann["raw_score"], ann["score"]) == ("", "")
    assert bob["score"] == "2.0"


def test_names_that_differ_in_capital_letters_are_noted() -> None:
    noted = classroom._noted([result("Ann"), result("ann"), result("bob")])
    assert [len(each.notes) for each in noted] == [1, 1, 0]


def test_a_fault_of_the_machine_is_graded_once_more_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    asked: list[str] = []

    def run(submission: Submission, limits: Limits, exercises: str) -> Result:
        asked.append(submission.student)
        fault = "too slow" if submission.student != "ann" and len(asked) < 5 else ""
        return result(submission.student, fault=fault)

    monkeypatch.setattr(one, "run", run)
    handed = [Submission(f"/none/{name}", name, "09_limits") for name in ("ann", "bob", "cid")]
    options = classroom.Options(str(tmp_path / "graded"), jobs=3)
    results = classroom.grade(handed, options, lambda _: None)
    assert sorted(asked) == ["ann", "bob", "bob", "cid", "cid"]
    assert [each.has_fault for each in results] == [False, True, False]


def test_only_the_assignments_chapter_counts() -> None:
    """Another chapter's easy exercises bring nothing; removed ones still count as not solved."""
    cells = [(0, ""), (1, "00.1"), (2, "09.5")]
    assert submission._chapters(cells, "09_limits", "") == ["09"]
    assert submission._chapters([], "09_limits", "") == ["09"]
    assert submission._chapters(cells, "homework", "") == ["00", "09"]


@pytest.mark.root
def test_what_a_killed_grader_has_left_is_removed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_CGROUP_PARENT", f"labkit-{leaks.RUN_NAME}-sweep")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    keys = {"held": "0000aaaa", "new": "0000bbbb", "left": "0000cccc"}
    folders = {what: tmp_path / f"{groups.name_of(key)}-x" for what, key in keys.items()}
    for what, folder in folders.items():
        (folder / "disk").mkdir(parents=True)
        if what != "new":
            os.utime(folder, (0, 0))
    swept: list[str] = []
    monkeypatch.setattr(groups.Groups, "remove", lambda self: swept.append(self.name))
    fd = os.open(folders["held"], os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    one.sweep_old()
    os.close(fd)
    assert swept == [groups.name_of(keys["left"])]
    assert [what for what, folder in folders.items() if folder.exists()] == ["held", "new"]


def test_a_students_name_is_not_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(one, "run", lambda each, *_: result(each.student))
    handed = [Submission(f"/none/{name}", name, "09") for name in report.FILES]
    options = classroom.Options(str(tmp_path), jobs=1)
    assert len(classroom.grade(handed, options, lambda _: None)) == len(handed)
    assert (tmp_path / report.CSV).is_file()


def test_what_a_judge_has_found_is_short() -> None:
    found = Findings()
    assert not found.add("a" * 10**6, "b", "c" * 10**6, 1, LESSON)
    assert found.add("a", "d" * 10**6, "d" * 10**6, 1, LESSON)
    assert max(len(text) for each in found.all for text in each[:3]) < 2000
