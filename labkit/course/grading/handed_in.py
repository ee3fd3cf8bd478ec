"""Reading a notebook that was handed in: its file and its text are the learner's, and may be false.

Only a plain file of a moderate size is read, once; no link is followed.  All that the grader takes
from the notebook has its type afterwards.
"""

import hashlib
import os
import stat
from typing import Any

import nbformat

from labkit.course.exercises import record

METADATA = "labkit"
"""Of a notebook that was handed in: {"learner": token}."""
MOST_BYTES = 32 * 1024 * 1024
LONGEST_TOKEN = 200


class UnreadableError(Exception):
    """The file is no notebook; the message says why, for the learner."""


def read(path: str) -> bytes:
    """Return the file's bytes; UnreadableError for a link, a special file or a large one."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = "a link" if os.path.islink(path) else f"not readable ({error.strerror})"
        raise UnreadableError(f"it is {reason}, no notebook") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise UnreadableError("it is a special file, no notebook")
    with open(fd, "rb") as file:
        said = file.read(MOST_BYTES + 1)
    if len(said) > MOST_BYTES:
        raise UnreadableError(f"it is larger than {MOST_BYTES >> 20} MiB: clear its outputs")
    return said


def digest_of(path: str) -> str:
    """Return the digest of the file, "" if it cannot be read."""
    try:
        return digest(read(path))
    except UnreadableError:
        return ""


def digest(said: bytes) -> str:
    """Return the digest of a notebook's bytes."""
    return hashlib.sha256(said).hexdigest()


def parse(said: bytes) -> Any:
    """Return the notebook in version 4, each cell with a type, a source and metadata.

    UnreadableError, for whatever may be wrong with it.
    """
    try:
        notebook = nbformat.reads(said.decode("utf-8"), as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no types
        notebook.cells = [_cell(cell) for cell in notebook.cells]
    except RecursionError:
        raise UnreadableError("its lists are too deep in each other") from None
    except Exception as error:  # its conversion of old and odd notebooks may fail in any way
        raise UnreadableError("it is not a notebook") from error
    if not isinstance(notebook.get("metadata"), dict):
        notebook.metadata = {}
    return notebook


def _cell(cell: Any) -> Any:
    """Return a cell without its outputs' odd shapes; half a character in its source is replaced."""
    cell.source = str(cell.source).encode("utf-8", "replace").decode("utf-8")
    cell.cell_type = str(cell.cell_type)
    marks = cell.get("metadata")
    cell.metadata = marks if isinstance(marks, dict) else {}
    if not isinstance(cell.metadata.get("nbgrader", {}), dict):
        del cell.metadata["nbgrader"]
    outputs = cell.get("outputs", [])
    kept = outputs if isinstance(outputs, list) else []
    cell.outputs = [
        each for each in kept if isinstance(each, dict) and isinstance(each.get("data", {}), dict)
    ]
    return cell


def token_of(notebook: Any, student: str) -> str:
    """Return the learner whose values were drawn: as handed in, else as shown by a task.

    The student's name, if neither says it.  A token that no variable of the environment can hold is
    replaced by its digest.
    """
    kept = notebook.metadata.get(METADATA, {})
    token = str(kept.get("learner") or "") if isinstance(kept, dict) else ""
    token = token or record.shown_token(notebook) or student
    if token.isprintable() and len(token) <= LONGEST_TOKEN:
        return token
    return digest(token.encode("utf-8", "backslashreplace"))
