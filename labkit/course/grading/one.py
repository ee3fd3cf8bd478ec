"""One submission: its grader is a separate process, and everything it leaves is removed."""

import fcntl
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import NamedTuple

from labkit.course.exercises.looks.clock import PATIENCE
from labkit.course.grading import report
from labkit.course.grading.groups import Groups, name_of
from labkit.course.grading.handed_in import digest_of
from labkit.course.grading.limits import Limits
from labkit.course.grading.result import Result, from_json, now

SWEEPS = 6
NEW_S = 60.0
SPARE_S = 60.0
"""For the start of a sandbox and the judge, besides the submission's own time."""


class Submission(NamedTuple):
    """A notebook that was handed in."""

    path: str
    student: str
    assignment: str


def run(submission: Submission, limits: Limits, exercises: str = "") -> Result:
    """Grade one, in a separate process that is killed when it takes too long by the wall clock.

    `exercises` is the folder of an instructor's own.
    """
    key = secrets.token_hex(4)
    words = ["--", submission.path, submission.student, submission.assignment]
    words += [json.dumps(limits._asdict()), exercises, key]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "labkit.course.grading.submission", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    try:
        said, errors = process.communicate(timeout=PATIENCE * (limits.wall_s + SPARE_S))
    except subprocess.TimeoutExpired:
        said, errors = "", "it took too long and was ended"
    finally:
        process.kill()
        process.wait()
        sweep(key)
    return result_of(submission, said, errors)


def result_of(submission: Submission, said: str, errors: str) -> Result:
    """The result that a grader has printed, or the fault that kept it from it."""
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


def sweep_old() -> None:
    """Remove what graders of this engine have left that were killed themselves."""
    folder, begin = tempfile.gettempdir(), name_of("")
    for name in os.listdir(folder):
        key = name.removeprefix(begin).partition("-")[0]
        if name.startswith(begin) and key and _is_left(f"{folder}/{name}"):
            sweep(key)


def _is_left(path: str) -> bool:
    """Whether no grader holds a sandbox's folder, nor could be about to take it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(fd).st_uid == os.geteuid() and time.time() - os.fstat(fd).st_mtime > NEW_S
    except BlockingIOError:
        return False
    finally:
        os.close(fd)


def sweep(key: str) -> None:
    """Remove what a submission's grader has left if it was killed; again is no error.

    A busy machine may need some time to end processes that wait for a disk.
    """
    for _ in range(SWEEPS):
        with suppress(OSError):
            Groups(key).remove()
            break
    folder = tempfile.gettempdir()
    for name in os.listdir(folder):
        if name.startswith(f"{name_of(key)}-"):
            shutil.rmtree(f"{folder}/{name}", ignore_errors=True)
