"""One submission, from its first cell to its result.

    python -m labkit.course.grading.submission NOTEBOOK OPTIONS…   # JSON on stdout

It is a separate process with its own mounts: when it is killed, all of the submission ends with it.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from labkit.course.exercises import exercise as exercises
from labkit.course.exercises.check import DISK_VARIABLE, GRADED_VARIABLE
from labkit.course.exercises.drawing import Values
from labkit.course.exercises.exercise import Exercise
from labkit.course.exercises.page import VALUES_VARIABLE
from labkit.course.exercises.record import TOKEN_VARIABLE
from labkit.course.grading import cells as owners
from labkit.course.grading import handed_in, hiding, tree
from labkit.course.grading import kernel as kernels
from labkit.course.grading.birth import SandboxError
from labkit.course.grading.judging import Judgement, Judging
from labkit.course.grading.kernel import Kernel
from labkit.course.grading.limits import Limits
from labkit.course.grading.result import NOT_REACHED, Mark, Result, now, to_json
from labkit.course.grading.sandbox import Sandbox, SpoiledError
from labkit.errors import NotFoundError
from labkit.kernel import namespaces, processes

ResultT = TypeVar("ResultT")


class Grader:
    """Runs the cells of a notebook in a sandbox, and has each exercise judged."""

    def __init__(
        self,
        notebook: Any,
        token: str,
        limits: Limits,
        *,
        assignment: str = "",
        folder: str = "",
        key: str = "",
    ) -> None:
        self.notebook, self.token, self.limits, self.folder = notebook, token, limits, folder
        self.key = key
        self.cells = owners.code(notebook.cells)
        found = _exercises(_chapters(self.cells, assignment, folder), folder)
        self.exercises = {each.number: each for each in found}
        self.marks = {
            each.number: Mark(each.number, each.title, each.points, note=NOT_REACHED)
            for each in self.exercises.values()
        }
        self.notes: list[str] = []

    def run(self) -> list[Mark]:
        """Run all cells; the marks.  SandboxError if the machine cannot."""
        with Sandbox(hidden=hiding.paths(), limits=self.limits, key=self.key) as sandbox:
            sandbox.start_engine()
            judging = Judging(sandbox, self.token, self.folder)
            kernel = Kernel(sandbox, self._environment(sandbox))
            try:
                self._run_cells(sandbox, judging, kernel)
            finally:
                self.notes += sandbox.used_up()
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
        deadline = sandbox.clock.now() + self.limits.wall_s
        laid: set[str] = set()
        failed: set[str] = set()
        for place, (at, number) in enumerate(self.cells):
            left_s = deadline - sandbox.clock.now()
            if left_s <= 0 or not sandbox.is_alive():
                why = "took too long" if left_s <= 0 else "ended itself"
                self.notes.append(f"The submission {why}; the cells after that were not run.")
                return
            self._start(sandbox, kernel, at)
            if number in self.exercises and number not in laid:
                laid.add(number)
                scene = self._ask(judging.lay, number, sandbox, kernel)
                self._keep(number, scene, is_scene=True)
                if scene.fault:  # there is nothing to solve, and no points are lost
                    failed.add(number)
            self._run_cell(sandbox, kernel, place, min(self.limits.cell_s, left_s))
            if number in laid - failed and owners.ends_run(self.cells, place):
                self._judge(number, judging, sandbox, kernel)
                if number not in {later for _, later in self.cells[place + 1 :]}:
                    self._ask(judging.tidy, number, sandbox, kernel)

    def _start(self, sandbox: Sandbox, kernel: Kernel, before: int) -> None:
        """Have an engine that the judge believes, and a kernel, as far as the submission lets them.

        SandboxError if the machine is the reason why one of them does not start.
        """
        was_new = not kernel.pid or not self._own(sandbox, lambda: sandbox.runs(kernel.pid))
        had_one = kernel.has_run
        self._own(sandbox, sandbox.start_engine)
        self._own(sandbox, kernel.start)
        if was_new and had_one and kernel.pid:
            self._begin_again(sandbox, kernel, before)

    def _run_cell(self, sandbox: Sandbox, kernel: Kernel, place: int, most_s: float) -> None:
        at, number = self.cells[place]
        source = self.notebook.cells[at].source
        ended, _ = self._own(sandbox, lambda: kernel.run(source, most_s)) or (kernels.ENDED, [])
        if ended != kernels.DONE:
            self.notes.append(f"Cell {place + 1} ({number or 'at the top'}): {ended}.")

    def _judge(self, number: str, judging: Judging, sandbox: Sandbox, kernel: Kernel) -> None:
        """Have an exercise judged, and once more if something was missed on a busy machine."""
        for _ in range(2):
            look = partial(self._ask, judging.judge, number, sandbox, kernel)
            said, was_busy = sandbox.clock.is_busy_in(look)
            self._keep(number, said)
            if all(each.is_met for each in said.findings) or not was_busy:
                return

    def _ask(
        self,
        ask: Callable[[str, int], Judgement],
        number: str,
        sandbox: Sandbox,
        kernel: Kernel,
    ) -> Judgement:
        """Ask the judge, and once more where the engine was away or the machine slow.

        A look that fails twice in a submission that has used up its limits fails for lack of them.
        """
        self._own(sandbox, sandbox.start_engine)
        said = ask(number, kernel.pid)
        if said.gone:
            self._own(sandbox, sandbox.restart_engine)
        if said.gone or said.fault:
            said = ask(number, kernel.pid)
        if said.fault and (reasons := sandbox.used_up()):
            said = Judgement(gone=f"{' '.join(reasons)} So the judge could not look: {said.fault}")
        return said

    def _own(self, sandbox: Sandbox, step: Callable[[], ResultT]) -> ResultT | None:
        """The step's result; None, and a note, if the submission itself is why it fails.

        That is so where it has ended what ran before, or itself, or has used up its limits.
        SandboxError if the machine is at fault.
        """
        try:
            return step()
        except (SandboxError, OSError) as error:
            is_own = isinstance(error, SpoiledError) or not sandbox.is_alive()
            if not is_own and not sandbox.used_up():
                raise
            note = f"Something that the submission needs did not go on: {error}"
            if note not in self.notes:
                self.notes.append(note)
            return None

    def _begin_again(self, sandbox: Sandbox, kernel: Kernel, before: int) -> None:
        """Give a new kernel what the cells before the first exercise have brought."""
        for at, number in self.cells:
            if at < before and not number:
                again = partial(kernel.run, self.notebook.cells[at].source, self.limits.cell_s)
                self._own(sandbox, again)

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


def _chapters(cells: list[tuple[int, str]], assignment: str, folder: str) -> list[str]:
    """The chapters whose exercises count: the assignment's, else those that the cells name.

    So no learner adds the points of another chapter, or takes away exercises that are not solved.
    """
    if assignment[:2] in exercises.chapters(folder):
        return [assignment[:2]]
    return sorted({number[:2] for _, number in cells if number})


def _exercises(chapters: list[str], folder: str) -> Iterator[Exercise]:
    """All exercises of these chapters."""
    for chapter in chapters:
        try:
            yield from exercises.of_chapter(chapter, folder)
        except NotFoundError:
            continue


def _shown(values: Values) -> dict[str, Any]:
    """The values that a learner may know."""
    return {name: value for name, value in values.items() if not name.startswith("_")}


def grade(asked: argparse.Namespace) -> Result:
    """Grade one notebook.  UnreadableError if it is none; SandboxError if the machine cannot."""
    begin = time.monotonic()
    said = handed_in.read(asked.notebook)
    notebook = handed_in.parse(said)
    token = handed_in.token_of(notebook, asked.student)
    grader = Grader(
        notebook,
        token,
        Limits(**json.loads(asked.limits)),
        assignment=asked.assignment,
        folder=asked.folder,
        key=asked.key,
    )
    marks = grader.run()
    return Result(
        asked.student,
        asked.assignment,
        tuple(marks),
        token,
        handed_in.digest(said),
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
    processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
    namespaces.unshare(namespaces.CLONE_NEWNS)
    tree.be_private()
    try:
        result = grade(asked)
    except handed_in.UnreadableError as error:
        name = os.path.basename(asked.notebook)
        print(json.dumps({"unreadable": f"{name} was not graded: {error}"}))
        return 0
    except (SandboxError, OSError) as error:
        print(json.dumps({"fault": f"{type(error).__name__}: {error}"}))
        return 1
    print(json.dumps(to_json(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
