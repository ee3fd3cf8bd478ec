"""All submissions of a class: found, graded several at once, and not graded twice.

submitted/<student>/<exercise>/*.ipynb      as nbgrader collects them
graded/<student>/<exercise>/result.json     and feedback.html beside it; a result is kept
                                            as long as the notebook stays the same
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from typing import NamedTuple

from labkit.course.grading import cluster, feedback, one, report
from labkit.course.grading.collecting import Say, find
from labkit.course.grading.handed_in import digest_of
from labkit.course.grading.limits import Limits
from labkit.course.grading.one import Submission
from labkit.course.grading.result import Result, from_json, to_json
from labkit.errors import InvalidParameterError

__all__ = ["FEEDBACK", "RESULT", "Options", "Submission", "find", "grade"]
RESULT, FEEDBACK = "result.json", "feedback.html"


class Options(NamedTuple):
    """How a class is graded."""

    output: str = "graded"
    exercises: str = ""
    """An instructor's own exercises."""
    jobs: int = 2
    limits: Limits = Limits()
    again: bool = False
    """Whether to grade also what was graded before."""
    scheduler: str = ""
    """The address of a Dask cluster whose workers grade; "": this machine does."""


def grade(submissions: Sequence[Submission], options: Options, say: Say) -> list[Result]:
    """Grade them all, write what was found, and return it in their order.

    InvalidParameterError unless this process is root of the machine.
    """
    if os.geteuid() and not options.scheduler:
        raise InvalidParameterError(
            "grading needs root, to give each submission separate users and limits: use sudo; "
            "the submissions themselves get no power over the machine"
        )
    if not os.geteuid():
        one.sweep_old()
    results: dict[Submission, Result] = {}

    def take(each: Submission, result: Result) -> None:
        results[each] = result
        fault = ", the machine could not judge all of it" if result.has_fault else ""
        say(
            f"{len(results)}/{len(submissions)} {report.plain(each.student)} "
            f"{report.plain(each.assignment)}: {result.score} of {result.max_score} "
            f"in {result.seconds:.0f} s{fault}"
        )

    for each, result in _graded(submissions, options):
        take(each, result)
    # A fault of a machine that had much to do at once: once more, one at a time.
    for each in submissions:
        if results[each].has_fault:
            for _, result in _graded([each], options):
                take(each, result)
    ordered = _noted([results[each] for each in submissions])
    report.write(options.output, ordered)
    return ordered


def _graded(
    submissions: Sequence[Submission], options: Options
) -> Iterator[tuple[Submission, Result]]:
    """Each submission with its result, as they are finished; each result is kept in its folder."""
    new = []
    for each in submissions:
        kept = None if options.again else _kept(_folder(each, options), digest_of(each.path))
        if kept is None:
            new.append(each)
        else:
            yield each, kept
    if not new:
        return
    with ExitStack() as stack:
        running: dict[Future[Result], Submission]
        pool: Executor
        if options.scheduler:
            pool = stack.enter_context(cluster.workers(options.scheduler))
            parcels = {each: cluster.pack(each, options.limits, options.exercises) for each in new}
            running = {pool.submit(cluster.grade, parcels[each]): each for each in new}
        else:
            pool = stack.enter_context(ThreadPoolExecutor(max(1, options.jobs)))
            running = {
                pool.submit(one.run, each, options.limits, options.exercises): each for each in new
            }
        for done in as_completed(running):
            error = done.exception()
            each = running[done]
            result = one.result_of(each, "", str(error)) if error else done.result()
            _keep(each, result, options)
            yield each, result


def _folder(submission: Submission, options: Options) -> str:
    student = submission.student
    if student in report.FILES:  # of that name is the class's own table
        student += "_"
    return f"{options.output}/{student}/{submission.assignment}"


def _keep(submission: Submission, result: Result, options: Options) -> None:
    folder = _folder(submission, options)
    os.makedirs(folder, exist_ok=True)
    _write(f"{folder}/{FEEDBACK}", feedback.page(result))
    if not result.has_fault:  # else it is graded again the next time
        _write(f"{folder}/{RESULT}", json.dumps(to_json(result), ensure_ascii=False, indent=1))


def _noted(results: Sequence[Result]) -> list[Result]:
    """Say it where two students handed in the same drawn values: one has the other's notebook.

    And where two names differ in capital letters only: other tools may take them for one.
    """
    same = "The drawn values are also those of"
    alike = "Another student's name differs from yours in capital letters only"
    results = _note_others(results, same, lambda result: result.token)
    return _note_others(results, alike, lambda result: result.student.casefold())


def _note_others(
    results: Sequence[Result], text: str, key_of: Callable[[Result], str]
) -> list[Result]:
    """Name in each result the other students with the same key, if the key is not empty."""
    whose: dict[tuple[str, str], set[str]] = {}
    for result in results:
        whose.setdefault((result.assignment, key_of(result)), set()).add(result.student)
    noted = []
    for result in results:
        key = key_of(result)
        others = whose[result.assignment, key] - {result.student} if key else ()
        note = f"{text}: {', '.join(sorted(others))}."
        is_new = bool(others) and note not in result.notes
        noted.append(result._replace(notes=(*result.notes, note)) if is_new else result)
    return noted


def _kept(folder: str, digest: str) -> Result | None:
    with suppress(OSError, ValueError, KeyError, TypeError), open(f"{folder}/{RESULT}") as file:
        kept = from_json(json.load(file))
        return kept if kept.digest == digest else None
    return None


def _write(path: str, text: str) -> None:
    with open(f"{path}.new", "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    os.replace(f"{path}.new", path)
