"""Grading on several machines: submissions are handed to the workers of a Dask cluster.

The cluster is the instructor's own (`dask scheduler`, `dask worker`): root runs the workers, with
labkit and one thread each.  A submission travels whole, with the instructor's own exercises, so
that the workers need no folder in common.  Needs the extra `cluster`.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import NamedTuple

from labkit.course.grading import one
from labkit.course.grading.groups import name_of
from labkit.course.grading.limits import Limits
from labkit.course.grading.result import Result
from labkit.errors import DaemonUnavailableError, InvalidParameterError

CONNECT_TIMEOUT_S = 10


class Parcel(NamedTuple):
    """A submission with all that a worker needs for it."""

    notebook: bytes
    student: str
    assignment: str
    limits: Limits
    modules: Mapping[str, bytes]
    """The instructor's own exercises, by file name."""


@contextmanager
def workers(scheduler: str) -> Iterator[Executor]:
    """The cluster at an address such as `tcp://10.0.0.1:8786`, as an executor.

    InvalidParameterError without the extra; DaemonUnavailableError if no scheduler answers.
    """
    try:
        from distributed import Client  # noqa: PLC0415  optional, and heavy
    except ImportError:
        raise InvalidParameterError(
            "--scheduler needs Dask: pip install 'labkit-engine[cluster]'"
        ) from None
    try:
        client = Client(scheduler, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise DaemonUnavailableError(
            f"no scheduler answers at {scheduler}: {error}; start one with `dask scheduler`"
        ) from error
    with client, client.get_executor(pure=False, retries=0) as executor:
        yield executor


def pack(submission: one.Submission, limits: Limits, exercises: str) -> Parcel:
    """Read a submission, and an instructor's folder of exercises, into a parcel.  OSError."""
    with open(submission.path, "rb") as file:
        notebook = file.read()
    modules = {}
    for name in sorted(os.listdir(exercises)) if exercises else ():
        if name.endswith(".py"):
            with open(f"{exercises}/{name}", "rb") as file:
                modules[name] = file.read()
    return Parcel(notebook, submission.student, submission.assignment, limits, modules)


def grade(parcel: Parcel) -> Result:
    """Grade a parcel on this machine: the job of a worker."""
    with tempfile.TemporaryDirectory(prefix=f"{name_of('parcel')}-") as folder:
        path = f"{folder}/{parcel.assignment}.ipynb"
        files = {path: parcel.notebook}
        files |= {f"{folder}/{name}": data for name, data in parcel.modules.items()}
        for name, data in files.items():
            with open(name, "wb") as file:
                file.write(data)
        submission = one.Submission(path, parcel.student, parcel.assignment)
        return one.run(submission, parcel.limits, folder if parcel.modules else "")
