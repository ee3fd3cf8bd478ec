"""A chapter as a page to read: the question first, and what happened in a fold below it.

In the lab a learner runs a cell to see its result.  Here the results are there already.  So each
question is followed by the code that answers it, and by a fold with the outputs and the
explanation, up to the next question or heading.  The printed edition has no folds: its answers are
on the last pages.
"""

import ast
import html
import json
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from labkit.course.start import chapters

ANSWERS = os.path.join(os.path.dirname(__file__), "answers.json")
"""What each question's answer was when the chapters were run, by chapter and cell."""


class Question(NamedTuple):
    """A prediction: its number ("3.2"), its cell, its words, and its choices or its unit."""

    number: str
    chapter: str
    cell: str
    words: str
    choices: tuple[str, ...]
    unit: str

    @property
    def answer(self) -> str:
        """The result in the words of the lab, such as "It was: one."."""
        return answers()[self.chapter][self.cell]


@lru_cache(maxsize=1)
def answers() -> dict[str, dict[str, str]]:
    """The answers, by chapter ("03") and by the question's cell ("predict-kernels")."""
    with open(ANSWERS, encoding="utf-8") as file:
        found: dict[str, dict[str, str]] = json.load(file)
    return found


def questions(chapter: str) -> list[Question]:
    """The questions of a chapter, in order."""
    asked = [
        cell for cell in chapters.notebook(chapter)["cells"] if cell["id"].startswith("predict-")
    ]
    return [_question(chapter, number, cell) for number, cell in enumerate(asked, 1)]


def page(chapter: str, *, is_printed: bool = False) -> dict[str, Any]:
    """The notebook from which MyST-NB makes the page."""
    found = chapters.notebook(chapter)
    asked = {question.cell: question for question in questions(chapter)}
    kind = _Printed() if is_printed else _Folded()
    cells = [cell for cell in found["cells"] if not _is_for_the_lab(cell)]
    metadata = found["metadata"] | {
        "language_info": {"name": "python", "pygments_lexer": "ipython3"}
    }
    return found | {"cells": list(_cells(chapter, cells, asked, kind)), "metadata": metadata}


class _Folded:
    """The web edition: a fold after the code that follows a question."""

    def __init__(self) -> None:
        self._is_open = False

    def ask(self, question: Question) -> str:
        return _asked(question, _inputs(question))

    def open(self, question: Question) -> str:
        self._is_open = True
        return (
            '<details class="answer">\n<summary>Show what happened</summary>\n'
            f'<p class="happened"><b>{plain(question.answer)}</b></p>\n'
        )

    def close(self) -> str:
        was_open, self._is_open = self._is_open, False
        return "</details>\n" if was_open else ""


class _Printed:
    """The printed edition: choices to tick, and a reference to the last pages."""

    def ask(self, question: Question) -> str:
        choices = "".join(f"<li>☐ {plain(each)}</li>" for each in question.choices)
        listed = f"<ul>{choices}</ul>" if choices else f"<p>My guess: ________ {question.unit}</p>"
        return _asked(question, f"{listed}<p>{_to_the_answer(question)}</p>")

    def open(self, question: Question) -> str:
        return ""

    def close(self) -> str:
        return ""


def _cells(
    chapter: str, cells: list[dict[str, Any]], asked: dict[str, Question], kind: _Folded | _Printed
) -> Iterator[dict[str, Any]]:
    """The cells of the page; a code cell after a question becomes its code and its outputs."""
    waiting: Question | None = None
    for cell in cells:
        name = cell["id"]
        if name in asked:
            waiting = asked[name]
            yield _markdown(
                f"{kind.close()}{_anchored(chapter, name)}\n\n{kind.ask(waiting)}", name
            )
        elif cell["cell_type"] == "markdown":
            text = _links("".join(cell["source"]))
            closing = kind.close() if re.match(r"#|\[", text) else ""
            yield _markdown(f"{closing}{_anchored(chapter, name)}\n\n{text}", name)
        elif waiting:
            yield _markdown(_anchored(chapter, name), f"{name}-anchor")
            yield cell | {"outputs": [], "metadata": {}}
            if fold := kind.open(waiting):
                yield _markdown(fold, f"{name}-fold")
            waiting = None
            if cell["outputs"]:
                hidden = {"metadata": {"tags": ["remove-input"]}, "id": f"{name}-outputs"}
                yield cell | hidden
        else:
            yield _markdown(_anchored(chapter, name), f"{name}-anchor")
            yield cell | {"metadata": {}}
    if closing := kind.close():
        yield _markdown(closing, "end")


def _is_for_the_lab(cell: dict[str, Any]) -> bool:
    """Whether a reader without a lab has no use for a cell: checks of the page, clean-up."""
    is_folded = bool(cell["metadata"].get("jupyter", {}).get("source_hidden"))
    is_question = cell["id"].startswith("predict-")
    return cell["id"] in ("clean", "clean-up", "exercises") or (is_folded and not is_question)


def _question(chapter: str, number: int, cell: dict[str, Any]) -> Question:
    source = "".join(cell["source"])
    (shown,) = (output["data"]["text/plain"] for output in cell["outputs"])
    first, *rest = "".join(shown).splitlines()
    return Question(
        f"{int(chapter)}.{number}",
        chapter,
        cell["id"],
        first.removeprefix("Predict: "),
        tuple(line.removeprefix("  ( ) ") for line in rest),
        "" if rest else _unit(source),
    )


def _unit(source: str) -> str:
    """The unit of a guess: the argument `unit` of the call in the question's cell."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    units = [word.value for call in calls for word in call.keywords if word.arg == "unit"]
    units += [call.args[4] for call in calls if len(call.args) > 4]
    return str(ast.literal_eval(units[0])) if units else "%"


def _asked(question: Question, inside: str) -> str:
    return (
        f'<fieldset class="predict"><legend>Predict {question.number}</legend>\n'
        f"<p>{plain(question.words)}</p>{inside}</fieldset>\n"
    )


def _to_the_answer(question: Question) -> str:
    return f'<a href="#answer-{question.number}">The answer is on the last pages.</a>'


def _inputs(question: Question) -> str:
    name = f"q{question.number.replace('.', '-')}"
    if not question.choices:
        unit = html.escape(question.unit)
        return f'<label>Your guess: <input type="number" name="{name}"> {unit}</label>'
    return "".join(
        f'<label><input type="radio" name="{name}"> {plain(choice)}</label>'
        for choice in question.choices
    )


def anchor(chapter: str, cell: str) -> str:
    """The name of a cell's place in an edition; the printed one has all chapters on one page."""
    return f"cell-{chapter}-{cell}"


def plain(text: str) -> str:
    """Plain text as HTML; words between backticks are code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def _anchored(chapter: str, cell: str) -> str:
    return f'<a class="cell-anchor" id="{anchor(chapter, cell)}"></a>'


def _links(text: str) -> str:
    """Links to chapters stay links; pages that need a lab become plain words."""

    def changed(link: re.Match[str]) -> str:
        words, target = link[1], link[2]
        if target == chapters.START:
            return f"[{words}](index.md)"
        is_elsewhere = "/" in target and "://" not in target
        return words if is_elsewhere else link[0]

    return re.sub(r"\[([^\]]+)\]\(([^)]+)\)", changed, text)


def _markdown(source: str, name: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}
