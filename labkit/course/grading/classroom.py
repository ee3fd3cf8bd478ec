"""All submissions of a class: found, graded several at once, and not graded twice.

submitted/<student>/<exercise>/*.ipynb      as nbgrader collects them
graded/<student>/<exercise>/result.json     and feedback.html beside it; a result is kept
                                            as long as the notebook stays the same
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from typing import NamedTuple

from labkit.course.grading import cluster, feedback, one, report
from labkit.course.grading.handed_in import digest_of
from labkit.course.grading.limits import Limits
from labkit.course.grading.one import Submission
from labkit.course.grading.result import Result, from_json, to_json
from labkit.errors import InvalidParameterError, NotFoundError

RESULT, FEEDBACK = "result.json", "feedback.html"
Say = Callable[[str], None]


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


def find(paths: Iterable[str]) -> list[Submission]:
    """The submissions: a notebook each, or folders `<student>/<exercise>/`; NotFoundError."""
    found: list[Submission] = []
    for path in paths:
        if os.path.isfile(path):
            found.append(_of_file(os.path.abspath(path)))
        elif os.path.isdir(path):
            found += _in_folder(os.path.abspath(path))
        else:
            raise NotFoundError(f"{path}: there is no such notebook or folder")
    if not found:
        raise NotFoundError("no notebook was found: a submission is <student>/<exercise>/*.ipynb")
    return found


def _of_file(path: str) -> Submission:
    """A single notebook; its student is the folder two above, as in a class's folder."""
    folder = os.path.dirname(path)
    stem = os.path.basename(path).removesuffix(".ipynb")
    return Submission(path, os.path.basename(os.path.dirname(folder)) or "learner", stem)


def _in_folder(folder: str) -> Iterator[Submission]:
    for above, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(".ipynb") and not name.startswith("."):
                assignment = os.path.basename(above)
                student = os.path.basename(os.path.dirname(above))
                yield Submission(f"{above}/{name}", student, assignment)


def grade(submissions: Sequence[Submission], options: Options, say: Say) -> list[Result]:
    """Grade them all, write what was found, and return it in their order.

    InvalidParameterError unless this process is root of the machine.
    """
    if os.geteuid() and not options.scheduler:
        raise InvalidParameterError(
            "grading needs root, to give each submission separate users and limits: use sudo; "
            "the submissions themselves get no power over the machine"
        )
    results: dict[Submission, Result] = {}
    for each, result in _graded(submissions, options):
        results[each] = result
        fault = ", the machine could not judge all of it" if result.has_fault else ""
        say(
            f"{len(results)}/{len(submissions)} {each.student} {each.assignment}: "
            f"{result.score} of {result.max_score} in {result.seconds:.0f} s{fault}"
        )
    ordered = _note_copies([results[each] for each in submissions])
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
    return f"{options.output}/{submission.student}/{submission.assignment}"


def _keep(submission: Submission, result: Result, options: Options) -> None:
    folder = _folder(submission, options)
    os.makedirs(folder, exist_ok=True)
    _write(f"{folder}/{FEEDBACK}", feedback.page(result))
    if not result.has_fault:  # else it is graded again the next time
        _write(f"{folder}/{RESULT}", json.dumps(to_json(result), ensure_ascii=False, indent=1))


def _note_copies(results: Sequence[Result]) -> list[Result]:
    """Say it where two students handed in the same drawn values: one has the other's notebook."""
    whose: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.token:
            whose.setdefault((result.assignment, result.token), []).append(result.student)
    noted = []
    for result in results:
        others = set(whose.get((result.assignment, result.token), ())) - {result.student}
        note = f"The drawn values are also those of: {', '.join(sorted(others))}."
        is_new = bool(others) and note not in result.notes
        noted.append(result._replace(notes=(*result.notes, note)) if is_new else result)
    return noted


def _kept(folder: str, digest: str) -> Result | None:
    with suppress(OSError, ValueError, KeyError, TypeError), open(f"{folder}/{RESULT}") as file:
        kept = from_json(json.load(file))
        return kept if kept.digest == digest else None
    return None


def _write(path: str, text: str) -> None:
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.new", path)
