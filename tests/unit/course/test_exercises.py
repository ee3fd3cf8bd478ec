"""The parts of exercises that need no container: values, hints, cells, releases, folders."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from labkit.course.exercises import exercise as exercises
from labkit.course.exercises import record
from labkit.course.exercises.drawing import Dice
from labkit.course.exercises.finding import Finding, Lesson
from labkit.course.exercises.hints import hint
from labkit.course.grading import cells, feedback, hiding
from labkit.course.grading.report import row
from labkit.course.grading.result import Mark, Result, from_json, to_json
from labkit.course.handout import release, work_folder
from labkit.course.handout.notebook import build
from labkit.errors import ConflictError, InvalidParameterError, NotFoundError

PAGES = Path(__file__).parents[3] / "notebooks"
EVERY = [one for chapter in exercises.chapters() for one in exercises.of_chapter(chapter)]
LESSON = Lesson("An idea.", "chapter 9, section Two", "the file cpu.shares")


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.number)
def test_values_are_a_learners_own_and_stay(one: exercises.Exercise) -> None:
    ann, again, bob = one.values("ann"), one.values("ann"), one.values("bob")
    assert (ann.mark, dict(ann)) == (again.mark, dict(again))
    assert ann.mark != bob.mark
    assert dict(ann) != dict(bob)
    json.dumps(dict(ann))


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.number)
def test_a_statement_has_all_its_values(one: exercises.Exercise) -> None:
    text = one.text({**one.values("ann"), "disk": "/dev/loop0", "folder": "/lab"})
    assert "{" not in text
    assert one.points > 0


def test_a_lesson_names_a_section_that_is_there() -> None:
    headings: dict[str, set[str]] = {}
    for path in PAGES.glob("[0-9][0-9]*.ipynb"):
        text = "\n".join(
            "".join(one["source"])
            for one in release.read(str(path))["cells"]
            if one["cell_type"] == "markdown"
        )
        found = set(re.findall(r"^##+ (.+)$", text, re.MULTILINE))
        headings.setdefault(str(int(path.name[:2])), set()).update(found)
    wrong = []
    for chapter in exercises.chapters():
        module = importlib.import_module(f"labkit.course.exercises.ex{chapter}")
        for lesson in vars(module).values():
            if isinstance(lesson, Lesson):
                number, _, section = lesson.section.partition(", section ")
                if section not in headings[number.removeprefix("chapter ")]:
                    wrong.append(lesson.section)
    assert wrong == []


def test_marks_do_not_look_like_ids() -> None:
    marks = {Dice(str(number), "09.1").mark for number in range(500)}
    assert len(marks) > 490
    assert not [mark for mark in marks if len(mark) != 6]


def finding(name: str, points: int, *, met: bool) -> Finding:
    return Finding(name, "three", "two", points, met, LESSON)


def test_a_hint_says_more_with_each_try() -> None:
    found = [finding("first", 1, met=True), finding("second", 2, met=False)]
    assert hint(found, 1) == "second: two; asked for: three."
    assert "chapter 9" not in hint(found, 1)
    assert "chapter 9" in hint(found, 2)
    assert "cpu.shares" not in hint(found, 2)
    assert "cpu.shares" in hint(found, 3) == hint(found, 9)
    assert hint(found[:1], 1) == ""


@pytest.mark.parametrize("number", ["9", "09", "09.", "x09.1", "09.1.2", ""])
def test_what_is_no_number_is_refused(number: str) -> None:
    with pytest.raises(NotFoundError):
        exercises.split(number)


@pytest.mark.parametrize("number", ["09.1", "ex09.1", "ex09-1", "09-1"])
def test_numbers_are_written_in_several_ways(number: str) -> None:
    assert exercises.find(number).number == "09.1"


# Cells


def cell(source: str, name: str = "x", grade_id: str = "", kind: str = "code") -> dict[str, Any]:
    metadata = {"nbgrader": {"grade_id": grade_id}} if grade_id else {}
    return {"cell_type": kind, "id": name, "metadata": metadata, "source": source}


@pytest.mark.parametrize(
    ("one", "number"),
    [
        (cell("x = 1", grade_id="answer-09-2"), "09.2"),
        (cell("x = 1", name="answer-09-2"), "09.2"),
        (cell("# ex09.2\nx = 1"), "09.2"),
        (cell("x = 1\n# ex09-2"), "09.2"),
        (cell('t = task("09.2")'), "09.2"),
        (cell("check('ex09.2')"), "09.2"),
        (cell("# ex09.3", grade_id="answer-09-2"), "09.2"),
        (cell("x = 'ex09.2'"), ""),
        (cell("text", name="answers"), ""),
    ],
)
def test_a_cell_names_its_exercise(one: dict[str, Any], number: str) -> None:
    assert cells.exercise_of(one) == number


def test_cells_without_a_name_belong_to_the_exercise_before_them() -> None:
    found = cells.code(
        [
            cell("import os"),
            cell('task("09.1")'),
            cell("text", kind="markdown"),
            cell("a = 1"),
            cell("# ex09.2"),
            cell("b = 1"),
            cell("more", grade_id="answer-09-1"),
        ]
    )
    assert found == [(0, ""), (1, "09.1"), (3, "09.1"), (4, "09.2"), (5, "09.2"), (6, "09.1")]
    ends = [at for at in range(len(found)) if cells.ends_run(found, at)]
    assert ends == [0, 2, 4, 5]


# Results


RESULT = Result(
    "ann",
    "09_limits",
    (
        Mark("09.1", "A <title>", 3, (finding("a & b", 1, met=True), finding("c", 2, met=False))),
        Mark("09.2", "Other", 4, fault="too busy"),
    ),
    notes=("<script>alert(1)</script>",),
)


def test_a_result_is_the_same_from_its_json() -> None:
    kept = json.loads(json.dumps(to_json(RESULT)))
    assert from_json(kept) == RESULT
    assert (kept["score"], kept["max_score"]) == (1, 7)
    assert RESULT.has_fault


def test_feedback_shows_text_of_a_submission_as_text() -> None:
    page = feedback.page(RESULT)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "a &amp; b" in page
    assert "not your fault" in page


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x"])
def test_a_name_is_no_formula_of_a_spreadsheet(name: str) -> None:
    assert str(row(RESULT._replace(student=name))[3]).startswith("'")


# Releases


def test_the_committed_notebooks_are_the_modules(tmp_path: Path) -> None:
    for name, path in release.sources(str(PAGES / "exercises")):
        kept = release.read(path)
        title = "".join(kept["cells"][0]["source"]).splitlines()[0].partition(". ")[2]
        made = build(name[:2], title, exercises.of_chapter(name[:2]))
        assert kept == made, f"{name}: write it again from its module"
    assert {name[:2] for name, _ in release.sources(str(PAGES / "exercises"))} == {
        *exercises.chapters()
    }


def test_a_release_has_no_solutions_no_hidden_tests_and_no_outputs(tmp_path: Path) -> None:
    source = (
        "a = 1\n### BEGIN SOLUTION\nsecret = 2\n### END SOLUTION\n"
        "    ### BEGIN HIDDEN TESTS\n    assert secret\n    ### END HIDDEN TESTS\nb = 3\n"
    )
    one = cell(source.splitlines(keepends=True)) | {  # type: ignore[arg-type]
        "outputs": [{"text": "secret"}],
        "execution_count": 3,
    }
    notebook = {"cells": [one], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    release.write(str(tmp_path / "in" / "14_mine.ipynb"), notebook)
    (written,) = release.release(str(tmp_path / "out"), str(tmp_path / "in"))
    text = Path(written).read_text()
    assert written.endswith("out/14_mine/14_mine.ipynb")
    assert "secret" not in text
    kept = json.loads(text)["cells"][0]
    assert kept["source"] == "a = 1\n# your answer\nb = 3\n"
    assert (kept["outputs"], kept["execution_count"]) == ([], None)


def test_a_submission_has_the_learners_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = release.find("09", str(PAGES / "exercises"))
    place = release.submit(path, str(tmp_path / "submitted"), "ann")
    assert place == str(tmp_path / "submitted/ann/09_limits/09_limits.ipynb")
    assert release.read(place)["metadata"]["labkit"] == {"learner": record.token()}
    assert len(record.token()) == 16


def test_in_a_learners_folder_the_exercises_are_handed_in_not_the_chapter(
    tmp_path: Path, pages: Path
) -> None:
    work_folder.update(str(tmp_path / "mine"), str(pages))
    for name in ("09", "09_limits", "09_limits.ipynb", "exercises/09_limits.ipynb"):
        found = release.find(name, str(tmp_path / "mine"))
        assert found.endswith("/mine/exercises/09_limits.ipynb")


def test_the_token_handed_in_is_the_one_whose_values_were_shown(tmp_path: Path) -> None:
    """Under sudo, JupyterLab's token is root's, and the terminal's is the person's."""
    notebook = page("task('09.2')", output="the task")
    shown = {record.TASK_MEDIA_TYPE: {"exercise": "09.2", "learner": "root's"}}
    notebook["cells"][0]["outputs"][0] = {"output_type": "execute_result", "data": shown}
    release.write(str(tmp_path / "09_limits.ipynb"), notebook)
    place = release.submit(str(tmp_path / "09_limits.ipynb"), str(tmp_path / "submitted"), "ann")
    assert release.read(place)["metadata"]["labkit"] == {"learner": "root's"}


@pytest.mark.parametrize("student", ["../ann", "", "a/b", ".", "..", "-x y"])
def test_a_students_name_is_no_way_out(tmp_path: Path, student: str) -> None:
    path = release.find("09", str(PAGES / "exercises"))
    with pytest.raises(InvalidParameterError):
        release.submit(path, str(tmp_path), student)


def test_a_skeleton_has_an_exercise_and_a_notebook(tmp_path: Path) -> None:
    module, notebook = release.new("14_mine", str(tmp_path))
    (one,) = exercises.of_chapter("14", str(tmp_path))
    assert one.number == "14.1"
    assert one.values("ann")["name"].startswith("sleeper-")
    assert [each["id"] for each in release.read(notebook)["cells"]][3] == "task-14-1"
    with pytest.raises(ConflictError):
        release.new("14_mine", str(tmp_path))
    with pytest.raises(InvalidParameterError):
        release.new("mine", str(tmp_path))
    assert Path(module).exists()


def test_judges_are_hidden_and_what_learners_call_is_not() -> None:
    names = {Path(path).name for path in hiding.paths()}
    assert {f"ex{chapter}.py" for chapter in exercises.chapters()} | {"__pycache__"} == names


# A learner's folder


def page(text: str, *, output: str = "") -> dict[str, Any]:
    outputs = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
    one = cell(text) | {"outputs": outputs, "execution_count": 7 if output else None}
    return {"cells": [one], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    made = tmp_path / "project" / "notebooks"
    for name in ("08_life.ipynb", "09_limits.ipynb", "exercises/09_limits.ipynb"):
        release.write(str(made / name), page(f"first {name}", output="an output"))
    return made


def source_of(path: Path) -> str:
    return str(release.read(str(path))["cells"][0]["source"])


def test_a_folder_has_pages_without_outputs(tmp_path: Path, pages: Path) -> None:
    folder = tmp_path / "mine"
    said = work_folder.update(str(folder), str(pages))
    assert len(said) == 3
    kept = release.read(str(folder / "09_limits.ipynb"))["cells"][0]
    assert (kept["outputs"], kept["execution_count"]) == ([], None)
    assert work_folder.update(str(folder), str(pages)) == []


def test_a_changed_page_is_kept_beside_a_new_release(tmp_path: Path, pages: Path) -> None:
    folder = tmp_path / "mine"
    work_folder.update(str(folder), str(pages))
    # One was run only, one was changed: a run changes no page.
    release.write(str(folder / "08_life.ipynb"), page("first 08_life.ipynb", output="ran"))
    release.write(str(folder / "09_limits.ipynb"), page("my own"))
    for name in ("08_life.ipynb", "09_limits.ipynb"):
        release.write(str(pages / name), page(f"second {name}"))
    said = work_folder.update(str(folder), str(pages))
    assert len(said) == 2
    assert source_of(folder / "08_life.ipynb") == "second 08_life.ipynb"
    assert source_of(folder / "09_limits.ipynb") == "second 09_limits.ipynb"
    assert source_of(folder / "09_limits (yours).ipynb") == "my own"
    assert not (folder / "08_life (yours).ipynb").exists()


def test_without_a_new_release_a_changed_page_stays(tmp_path: Path, pages: Path) -> None:
    folder = tmp_path / "mine"
    work_folder.update(str(folder), str(pages))
    release.write(str(folder / "09_limits.ipynb"), page("my own"))
    assert work_folder.update(str(folder), str(pages)) == []
    assert source_of(folder / "09_limits.ipynb") == "my own"


def test_a_page_that_was_there_before_is_never_overwritten(tmp_path: Path, pages: Path) -> None:
    folder = tmp_path / "mine"
    release.write(str(folder / "09_limits.ipynb"), page("from elsewhere"))
    work_folder.update(str(folder), str(pages))
    assert source_of(folder / "09_limits (yours).ipynb") == "from elsewhere"


def test_reset_brings_a_clean_copy_and_keeps_yours(tmp_path: Path, pages: Path) -> None:
    folder = tmp_path / "mine"
    work_folder.update(str(folder), str(pages))
    for text in ("one", "two"):
        release.write(str(folder / "09_limits.ipynb"), page(text))
        work_folder.reset(str(folder), "09", str(pages))
        assert source_of(folder / "09_limits.ipynb") == "first 09_limits.ipynb"
    assert source_of(folder / "09_limits (yours).ipynb") == "one"
    assert source_of(folder / "09_limits (yours 2).ipynb") == "two"
    with pytest.raises(NotFoundError):
        work_folder.reset(str(folder), "77", str(pages))


def test_the_project_is_no_learners_folder(pages: Path) -> None:
    with pytest.raises(InvalidParameterError):
        work_folder.update(str(pages / "mine"), str(pages))
