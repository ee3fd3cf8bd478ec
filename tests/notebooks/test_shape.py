"""Every notebook has the shape that the course promises, and is readable for everybody."""

import ast
import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from labkit.course.page.magics import commands_of
from labkit.course.page.predict import Choice
from labkit.course.start import chapters as chapters_of_start
from tests.notebooks.notebooks import (
    CHAPTERS,
    EVERY,
    FOLDER,
    PROJECT,
    code_cells,
    is_answer,
    is_checked,
    is_question,
    name_of,
    read,
    texts_of,
)

LAST_SECTIONS = [
    "Under the hood",
    "What Docker does differently",
    "Try it",
    "Exercises",
    "Keep",
    "Clean up",
]
OPENING = ("**In the notes**", "**You will be able to**", "**Needs:**")
CELL_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

chapters = pytest.mark.parametrize("path", CHAPTERS, ids=name_of)
notebooks = pytest.mark.parametrize("path", EVERY, ids=name_of)


def markdown_of(notebook: Any) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def headings_of(notebook: Any, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} (.+)$", without_code(markdown_of(notebook)), re.MULTILINE)


def without_code(markdown: str) -> str:
    return re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)


def section_of(notebook: Any, heading: str) -> list[Any]:
    """The cells from a second-level heading up to the next one."""
    found: list[Any] = []
    is_inside = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            is_inside = cell.source.startswith(f"## {heading}\n")
        if is_inside:
            found.append(cell)
    return found


def test_there_are_chapters() -> None:
    assert [path.name for path in CHAPTERS][:1] == ["00_start_here.ipynb"]


@chapters
def test_headings_in_order(path: Path) -> None:
    notebook = read(path)
    assert len(headings_of(notebook, 1)) == 1
    assert notebook.cells[0].source.startswith(f"# Chapter {int(path.name[:2])}. ")
    sections = headings_of(notebook, 2)
    has_exercises = any((FOLDER / "exercises").glob(f"{path.name[:2]}_*.ipynb"))
    expected = [name for name in LAST_SECTIONS if name != "Exercises" or has_exercises]
    assert sections[-len(expected) :] == expected
    assert len(sections) > len(expected), "no section of its own"


@chapters
def test_opening(path: Path) -> None:
    title = read(path).cells[0].source
    positions = [title.index(mark) for mark in OPENING]
    assert positions == sorted(positions)
    goals = title[positions[1] : positions[2]]
    assert 3 <= len(re.findall(r"^- ", goals, re.MULTILINE)) <= 5
    assert re.search(r"\d+ minutes", title[positions[2] :])


@chapters
def test_keep_has_five_lines(path: Path) -> None:
    keep = section_of(read(path), "Keep")[0].source
    assert len(re.findall(r"^\d\. ", keep, re.MULTILINE)) == 5


@chapters
def test_every_section_asks_before_it_answers(path: Path) -> None:
    """A section with code has a question, and the answer stands below it."""
    notebook = read(path)
    own = [name for name in headings_of(notebook, 2) if name not in LAST_SECTIONS]
    for heading in [*own, "Under the hood"]:
        code = [cell for cell in section_of(notebook, heading) if cell.cell_type == "code"]
        kinds = [
            kind
            for cell in code
            for kind, matches in (("ask", is_question(cell)), ("answer", is_answer(cell)))
            if matches
        ]
        if [cell.id for cell in code] != ["load"]:
            assert kinds and kinds == ["ask", "answer"] * (len(kinds) // 2), heading


@chapters
def test_under_the_hood_explains_and_leaves_out(path: Path) -> None:
    hood = "\n".join(cell.source for cell in section_of(read(path), "Under the hood"))
    assert "--explain" in hood
    assert "--without" in hood


@chapters
def test_ends_by_cleaning_up(path: Path) -> None:
    notebook = read(path)
    *_, last, way_on = notebook.cells
    assert (way_on.cell_type, way_on.id) == ("markdown", chapters_of_start.WAY_ON)
    assert last.cell_type == "code"
    assert last.id == "clean-up"
    assert is_checked(last), "that nothing is left is to be seen, and checked"
    assert last.source.endswith("%docker ps --all")


@chapters
def test_the_last_cell_leads_to_the_neighbours_and_to_the_start_page(path: Path) -> None:
    assert read(path).cells[-1].source == chapters_of_start.way_on(path.name[:2])


@notebooks
def test_cell_ids_are_stable(path: Path) -> None:
    ids = [cell.id for cell in read(path).cells]
    assert len(ids) == len(set(ids))
    assert [name for name in ids if not CELL_ID.fullmatch(name)] == []
    random_looking = [name for name in ids if re.fullmatch(r"[0-9a-f]{8}", name)]
    assert random_looking == [], "give the cell an id that says what it is"


@notebooks
def test_no_heading_level_is_skipped(path: Path) -> None:
    levels = [
        len(marks)
        for marks in re.findall(r"^(#+) ", without_code(markdown_of(read(path))), re.MULTILINE)
    ]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


@notebooks
def test_every_picture_has_words(path: Path) -> None:
    notebook = read(path)
    for description in re.findall(r"!\[(.*?)\]\(", markdown_of(notebook)):
        assert description.strip()
    for cell in code_cells(notebook):
        for output in cell.outputs:
            kinds = dict(texts_of(output))
            assert not {"image/png", "image/svg+xml"} & kinds.keys(), (
                f"{cell.id}: show pictures through labkit.course.figures.figure.Figure"
            )
            for tag in re.findall(r"<img\b[^>]*>", kinds.get("text/html", "")):
                assert re.search(r'\balt="[^"]{20,}"', tag), cell.id
                assert "<table" in kinds["text/html"], f"{cell.id}: the data as a table"


@notebooks
def test_every_column_of_a_table_has_a_heading(path: Path) -> None:
    """A screen reader names the column of each cell."""
    texts = [without_code(cell.source) for cell in read(path).cells if cell.cell_type == "markdown"]
    for head in re.findall(r"^\|(.*)\|\n\|[-:| ]+\|$", "\n".join(texts), re.MULTILINE):
        assert all(each.strip() for each in head.split("|")), head


@notebooks
def test_it_has_been_run_whole_and_in_order(path: Path) -> None:
    counts = [cell.execution_count for cell in code_cells(read(path))]
    assert counts == list(range(1, len(counts) + 1)), "run: python -m tests.notebooks.execute"


@notebooks
def test_no_cell_has_failed(path: Path) -> None:
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            assert output.output_type != "error", cell.id
            assert "(exit status" not in dict(texts_of(output)).get("stream", ""), cell.id


def choices_of(cell: Any) -> tuple[str, str, list[str]]:
    """The id, the question and the choices in a question's source; no choices for a guess."""
    for node in ast.walk(ast.parse(cell.source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Choice", "Guess"):
            question_id, question, *rest = (
                ast.literal_eval(one) for one in node.args if isinstance(one, ast.Constant | ast.List)
            )
            choices = next((one for one in rest if isinstance(one, list)), [])
            return question_id, question, choices
    raise AssertionError(f"{cell.id} asks nothing")


@notebooks
def test_a_question_is_shown_as_it_is_asked(path: Path) -> None:
    """What is committed below a question is that question, not one of an earlier version."""
    for cell in code_cells(read(path)):
        if is_question(cell):
            _, question, choices = choices_of(cell)
            (shown,) = (dict(texts_of(output))["text/plain"] for output in cell.outputs)
            first, *lines = shown.splitlines()
            assert first == f"Predict: {question}", cell.id
            assert sorted(lines) == sorted(f"  ( ) {choice}" for choice in choices), cell.id


@notebooks
def test_a_question_is_a_sentence(path: Path) -> None:
    """It ends as one, and does not begin with a command in the place of a verb."""
    for cell in code_cells(read(path)):
        if is_question(cell):
            _, question, _ = choices_of(cell)
            assert question.endswith("?"), cell.id
            assert not re.search(r"(^|\. )And |\?.*\?", question), cell.id


@notebooks
def test_commands_are_shown_as_they_are_written(path: Path) -> None:
    """`%%docker` prints each command before it runs it: those below a cell are the cell's own."""
    for cell in code_cells(read(path)):
        if cell.source.startswith("%%docker") and not cell.source.startswith("%%dockerfile"):
            written = [f"$ docker {one}" for one in commands_of(cell.source.partition("\n")[2])]
            said = "".join(dict(texts_of(output)).get("stream", "") for output in cell.outputs)
            shown = [line for line in said.splitlines() if line.startswith("$ docker ")]
            assert shown == written, cell.id


def test_the_place_of_the_right_choice_says_nothing() -> None:
    """Of three choices each place is right about as often; it was the middle half of the time."""
    places = []
    for path in CHAPTERS:
        cells = list(code_cells(read(path)))
        for cell in filter(is_question, cells):
            question_id, question, choices = choices_of(cell)
            answer = next(one for one in cells if one.id == f"beside-{cell.id[8:]}").source
            right = [one for one in choices if f'beside("{one}"' in answer]
            if len(choices) == 3 and right:
                places.append(Choice(question_id, question, choices).shown.index(right[0]))
    assert len(places) > 30
    for place in range(3):
        assert 0.2 < places.count(place) / len(places) < 0.5, places


@notebooks
def test_what_only_checks_is_folded(path: Path) -> None:
    for cell in code_cells(read(path)):
        lines = [line for line in cell.source.splitlines() if line and not line.startswith("#")]
        if lines and all(re.match(r"assert |[ )\]]", line) for line in lines):
            assert cell.metadata.get("jupyter", {}).get("source_hidden"), cell.id
            assert cell.source.startswith("#"), f"{cell.id}: a folded cell shows its first line"


@notebooks
def test_checked_cells_have_an_output(path: Path) -> None:
    """nbval passes a cell that was never run; so none may be checked that was not."""
    for cell in code_cells(read(path)):
        if is_checked(cell):
            assert cell.execution_count and cell.outputs, cell.id


@notebooks
def test_results_are_folded_until_they_are_the_readers_own(path: Path) -> None:
    for cell in code_cells(read(path)):
        folds = cell.metadata.get("jupyter", {})
        if is_question(cell) or is_answer(cell):
            assert folds.get("source_hidden"), cell.id
        if cell.outputs and not is_question(cell):
            assert folds.get("outputs_hidden"), cell.id
        if is_answer(cell):
            assert not cell.outputs, cell.id
            assert cell.source.startswith("#"), f"{cell.id}: a folded cell shows its first line"


@notebooks
def test_nothing_of_the_machine_it_was_run_on(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/tmp/|\blk\d+-|application/vnd\.jupyter\.widget-view", text)
    assert str(PROJECT) not in text
    metadata = read(path).metadata
    assert set(metadata) == {"kernelspec", "language_info"}
    assert metadata.kernelspec.name == "python3"


def test_the_readme_lists_every_notebook() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    links = set(re.findall(r"\]\(([^)]+\.ipynb)\)", readme))
    assert links == {"start.ipynb", *(str(path.relative_to(FOLDER)) for path in EVERY)}


@notebooks
def test_chapters_that_are_spoken_of_exist(path: Path) -> None:
    there = {int(chapter.name[:2]) for chapter in CHAPTERS}
    spoken_of = re.findall(r"\bchapters? (\d+)", markdown_of(read(path)), re.IGNORECASE)
    assert {int(number) for number in spoken_of} <= there


@notebooks
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", markdown_of(read(path))):
        if "://" not in link:
            assert (path.parent / link).exists(), link
