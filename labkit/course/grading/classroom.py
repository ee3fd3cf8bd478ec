"""All submissions of a class: found, graded several at once, and not graded twice.

submitted/<student>/<exercise>/*.ipynb      as nbgrader collects them
graded/<student>/<exercise>/result.json     and feedback.html beside it; what is there is kept
                                            as long as the notebook stays the same
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from typing import NamedTuple

from labkit.course.grading import feedback, report
from labkit.course.grading.groups import Groups, name_of
from labkit.course.grading.limits import Limits
from labkit.course.grading.result import Result, from_json, now, to_json
from labkit.course.grading.submission import digest_of
from labkit.errors import InvalidParameterError, NotFoundError

RESULT, FEEDBACK = "result.json", "feedback.html"
SPARE_S = 60.0
"""For the start of a sandbox and the judge, besides the submission's own time."""
Say = Callable[[str], None]


class Submission(NamedTuple):
    """A notebook that was handed in."""

    path: str
    student: str
    assignment: str


class Options(NamedTuple):
    """How a class is graded."""

    output: str = "graded"
    exercises: str = ""
    """An instructor's own exercises."""
    jobs: int = 2
    limits: Limits = Limits()
    again: bool = False
    """Whether to grade also what was graded before."""


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
    if os.geteuid():
        raise InvalidParameterError(
            "grading needs root, to give each submission users and limits of its own: use sudo; "
            "the submissions themselves get no power over the machine"
        )
    results: dict[Submission, Result] = {}
    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        running = {pool.submit(_one, each, options): each for each in submissions}
        for done in as_completed(running):
            each = running[done]
            result = results[each] = done.result()
            fault = ", the machine could not judge all of it" if result.has_fault else ""
            say(
                f"{len(results)}/{len(submissions)} {each.student} {each.assignment}: "
                f"{result.score} of {result.max_score} in {result.seconds:.0f} s{fault}"
            )
    ordered = _note_copies([results[each] for each in submissions])
    report.write(options.output, ordered)
    return ordered


def _one(submission: Submission, options: Options) -> Result:
    folder = f"{options.output}/{submission.student}/{submission.assignment}"
    kept = None if options.again else _kept(folder, digest_of(submission.path))
    if kept is not None:
        return kept
    result = run(submission, options)
    os.makedirs(folder, exist_ok=True)
    _write(f"{folder}/{FEEDBACK}", feedback.page(result))
    if not result.has_fault:  # else it is graded again the next time
        _write(f"{folder}/{RESULT}", json.dumps(to_json(result), ensure_ascii=False, indent=1))
    return result


def run(submission: Submission, options: Options) -> Result:
    """Grade one, in a process of its own that is killed when it takes too long."""
    key = secrets.token_hex(4)
    words = [submission.path, submission.student, submission.assignment]
    words += [json.dumps(options.limits._asdict()), options.exercises, key]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "labkit.course.grading.submission", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said, errors = process.communicate(timeout=options.limits.wall_s + SPARE_S)
    except subprocess.TimeoutExpired:
        said, errors = "", "it took too long and was ended"
    finally:
        process.kill()
        process.wait()
        sweep(key)
    return _result(submission, said, errors)


def _result(submission: Submission, said: str, errors: str) -> Result:
    try:
        answer = json.loads(said)
    except ValueError:
        answer = {"fault": errors.strip()[-600:] or "the grader ended without a word"}
    if "marks" in answer:
        return from_json(answer)
    note = answer.get("unreadable") or f"The machine could not grade it: {answer['fault']}"
    fault = "" if "unreadable" in answer else str(answer["fault"])
    digest = digest_of(submission.path)
    marks = report.lost(fault) if fault else ()
    names = submission.student, submission.assignment
    return Result(*names, marks, digest=digest, notes=(note,), timestamp=now())


def sweep(key: str) -> None:
    """Remove what a submission's grader has left if it was killed; again is no error."""
    with suppress(OSError):
        Groups(key).remove()
    folder = tempfile.gettempdir()
    for name in os.listdir(folder):
        if name.startswith(f"{name_of(key)}-"):
            shutil.rmtree(f"{folder}/{name}", ignore_errors=True)


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
