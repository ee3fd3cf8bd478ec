"""One submission, from its first cell to its result.

    python -m labkit.course.grading.submission NOTEBOOK OPTIONS…   # JSON on stdout

It is a separate process with its own mounts: when it is killed, all of the submission ends with it.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import nbformat

from labkit.course.exercises import exercise as exercises
from labkit.course.exercises import record
from labkit.course.exercises.check import DISK_VARIABLE, GRADED_VARIABLE
from labkit.course.exercises.drawing import Values
from labkit.course.exercises.exercise import Exercise
from labkit.course.exercises.page import VALUES_VARIABLE
from labkit.course.exercises.record import TOKEN_VARIABLE
from labkit.course.grading import cells as owners
from labkit.course.grading import hiding, tree
from labkit.course.grading import kernel as kernels
from labkit.course.grading.judging import Judgement, Judging
from labkit.course.grading.kernel import Kernel
from labkit.course.grading.limits import Limits
from labkit.course.grading.result import NOT_REACHED, Mark, Result, now, to_json
from labkit.course.grading.sandbox import EngineGoneError, Sandbox, SandboxError
from labkit.errors import NotFoundError
from labkit.kernel import namespaces

METADATA = "labkit"
"""Of a notebook that was handed in: {"learner": token}."""


class Grader:
    """Runs the cells of a notebook in a sandbox, and has each exercise judged."""

    def __init__(
        self, notebook: Any, token: str, limits: Limits, folder: str = "", key: str = ""
    ) -> None:
        self.notebook, self.token, self.limits, self.folder = notebook, token, limits, folder
        self.key = key
        self.cells = owners.code(notebook.cells)
        self.exercises = {each.number: each for each in _exercises(self.cells, folder)}
        self.marks = {
            each.number: Mark(each.number, each.title, each.points, note=NOT_REACHED)
            for each in self.exercises.values()
        }
        self.notes: list[str] = []
        self._deadline = time.monotonic() + limits.wall_s

    def run(self) -> list[Mark]:
        """Run all cells; the marks.  SandboxError if the machine cannot."""
        with Sandbox(hidden=hiding.paths(), limits=self.limits, key=self.key) as sandbox:
            sandbox.start_engine()
            judging = Judging(sandbox, self.token, self.folder)
            kernel = Kernel(sandbox, self._environment(sandbox))
            try:
                self._run_cells(sandbox, judging, kernel)
            finally:
                if sandbox.was_out_of_memory():
                    self.notes.append("The kernel ended a process for lack of memory.")
                if sandbox.was_out_of_processes():
                    self.notes.append("The kernel refused it more processes than its limit.")
                judging.close()
                kernel.close()
        return list(self.marks.values())

    def _environment(self, sandbox: Sandbox) -> dict[str, str]:
        extra = {"disk": sandbox.disk, "folder": tree.HOME}
        drawn = {
            number: {**_shown(each.values(self.token)), **extra}
            for number, each in self.exercises.items()
        }
        return {
            GRADED_VARIABLE: "1",
            TOKEN_VARIABLE: self.token,
            VALUES_VARIABLE: json.dumps(drawn),
            DISK_VARIABLE: sandbox.disk,
        }

    def _run_cells(self, sandbox: Sandbox, judging: Judging, kernel: Kernel) -> None:
        laid: set[str] = set()
        run = 0
        for place, (at, number) in enumerate(self.cells):
            left_s = self._deadline - time.monotonic()
            if left_s <= 0 or not sandbox.is_alive():
                self.notes.append(
                    "The submission took too long; the cells after that were not run."
                    if left_s <= 0
                    else "The submission ended itself; the cells after that were not run."
                )
                return
            try:
                was_new = not sandbox.runs(kernel.pid)
                self._keep_engine(sandbox)
                kernel.start()
                if was_new and run:
                    self._begin_again(kernel, at)
                if number in self.exercises and number not in laid:
                    laid.add(number)
                    self._keep(number, judging.lay(number, kernel.pid), is_scene=True)
                source = self.notebook.cells[at].source
                ended, outputs = kernel.run(source, min(self.limits.cell_s, left_s))
                run += 1
                self.notebook.cells[at].outputs = outputs
                if ended != kernels.DONE:
                    self.notes.append(f"Cell {place + 1} ({number or 'at the top'}): {ended}.")
                if number in self.exercises and owners.ends_run(self.cells, place):
                    self._keep_engine(sandbox)
                    self._keep(number, judging.judge(number, kernel.pid))
                    if number not in {later for _, later in self.cells[place + 1 :]}:
                        judging.tidy(number, kernel.pid)
            except SandboxError:
                # What ended or filled itself is the submission's own doing, all else the machine's.
                if sandbox.is_alive() and not sandbox.was_out_of_processes():
                    raise

    def _keep_engine(self, sandbox: Sandbox) -> None:
        """Have an engine that the judge believes, also after the submission has ended it."""
        try:
            sandbox.start_engine()
        except EngineGoneError as error:
            note = f"The submission ended its engine, and another did not start: {error}"
            if note not in self.notes:
                self.notes.append(note)

    def _begin_again(self, kernel: Kernel, before: int) -> None:
        """Give a new kernel what the cells before the first exercise have brought."""
        for at, number in self.cells:
            if at < before and not number:
                kernel.run(self.notebook.cells[at].source, self.limits.cell_s)

    def _keep(self, number: str, judgement: Judgement, *, is_scene: bool = False) -> None:
        """Keep what the judge said, if it is better than what it said before."""
        mark = self.marks[number]
        better = mark._replace(
            findings=judgement.findings or mark.findings,
            fault=judgement.fault,
            note=judgement.gone,
        )
        if is_scene:
            better = better._replace(note=judgement.gone or mark.note)
        if mark.note == NOT_REACHED or better.points >= mark.points:
            self.marks[number] = better


def _exercises(cells: list[tuple[int, str]], folder: str) -> Iterator[Exercise]:
    """All exercises of the chapters that the notebook's cells name."""
    for chapter in sorted({number[:2] for _, number in cells if number}):
        try:
            yield from exercises.of_chapter(chapter, folder)
        except NotFoundError:
            continue


def _shown(values: Values) -> dict[str, Any]:
    """The values that a learner may know."""
    return {name: value for name, value in values.items() if not name.startswith("_")}


def token_of(notebook: Any, student: str) -> str:
    """Return the learner whose values were drawn: as handed in, else as shown by a task.

    The student's name, if neither says it.
    """
    kept = notebook.metadata.get(METADATA, {})
    if isinstance(kept, dict) and kept.get("learner"):
        return str(kept["learner"])
    return record.shown_token(notebook) or student


def digest_of(path: str) -> str:
    """Of the notebook as it was handed in."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def grade(asked: argparse.Namespace) -> Result:
    """Grade one notebook.  SandboxError if the machine cannot."""
    begin = time.monotonic()
    notebook = nbformat.read(asked.notebook, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no types
    token = token_of(notebook, asked.student)
    limits = Limits(**json.loads(asked.limits))
    grader = Grader(notebook, token, limits, asked.folder, asked.key)
    marks = grader.run()
    return Result(
        asked.student,
        asked.assignment,
        tuple(marks),
        token,
        digest_of(asked.notebook),
        round(time.monotonic() - begin, 2),
        tuple(grader.notes),
        now(),
    )


def main() -> int:
    """Grade the notebook that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m labkit.course.grading.submission")
    for name in ("notebook", "student", "assignment", "limits", "folder", "key"):
        parser.add_argument(name)
    asked = parser.parse_args()
    namespaces.unshare(namespaces.CLONE_NEWNS)
    tree.be_private()
    try:
        result = grade(asked)
    except (SandboxError, OSError) as error:
        print(json.dumps({"fault": f"{type(error).__name__}: {error}"}))
        return 1
    except nbformat.reader.NotJSONError:
        print(json.dumps({"unreadable": f"{os.path.basename(asked.notebook)} is not a notebook"}))
        return 0
    print(json.dumps(to_json(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
