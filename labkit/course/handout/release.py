"""Handing out and handing in: the learners' version of notebooks, and a learner's submission."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from typing import Any

from labkit.course.exercises import record
from labkit.course.exercises.exercise import of_chapter
from labkit.course.handout.notebook import build
from labkit.errors import ConflictError, InvalidParameterError, NotFoundError

_PUT = {"SOLUTION": "# your answer\n", "HIDDEN TESTS": "", "MARK SCHEME": ""}
"""The text that replaces each of nbgrader's regions."""
_REGIONS = tuple(
    (re.compile(rf"(?ms)^[^\n]*### BEGIN {name}.*?### END {name}[^\n]*\n?"), put)
    for name, put in _PUT.items()
)
NAME = re.compile(r"(\d\d)(?:_[a-z0-9_]+)?(?:\.ipynb)?")


def stripped(notebook: dict[str, Any]) -> dict[str, Any]:
    """The learner's version of a notebook: no solutions, hidden tests, outputs, or numbers."""
    cells = []
    for cell in notebook["cells"]:
        kept = dict(cell)
        source = cell["source"]
        text = "".join(source) if isinstance(source, list) else str(source)
        for region, put in _REGIONS:
            text = region.sub(put, text)
        kept["source"] = text
        if cell["cell_type"] == "code":
            kept |= {"outputs": [], "execution_count": None}
        cells.append(kept)
    return notebook | {"cells": cells}


def write(path: str, notebook: dict[str, Any]) -> None:
    """Write a notebook; an older one is replaced."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(notebook, file, ensure_ascii=False, indent=1)
        file.write("\n")
    os.replace(f"{path}.new", path)


def read(path: str) -> dict[str, Any]:
    """Read a notebook; InvalidParameterError if the file is not a notebook."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (ValueError, UnicodeDecodeError):
        raise InvalidParameterError(f"{path} is not a notebook") from None
    cells = found.get("cells") if isinstance(found, dict) else None
    if not isinstance(cells, list) or not all(map(_is_cell, cells)):
        raise InvalidParameterError(f"{path} is not a notebook")
    return dict(found)


def _is_cell(cell: object) -> bool:
    return isinstance(cell, dict) and {"cell_type", "source"} <= cell.keys()


def sources(folder: str) -> Iterator[tuple[str, str]]:
    """Name and path of each notebook in a folder: ("09_limits", …)."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names:
        if name.endswith(".ipynb") and NAME.fullmatch(name):
            yield name.removesuffix(".ipynb"), f"{folder}/{name}"


def release(target: str, source: str) -> list[str]:
    """Write the learners' version of each notebook in `source` to `target`/<name>/.

    Returns the paths; NotFoundError if there is none.  nbgrader's release folders have this form.
    """
    written = []
    for name, path in sources(source):
        place = f"{target}/{name}/{name}.ipynb"
        write(place, stripped(read(path)))
        written.append(place)
    if not written:
        raise NotFoundError(f"{source}: there is not a notebook named like 09_limits.ipynb")
    return written


def find(name: str, folder: str) -> str:
    """The notebook `09_limits` of exercises, also by its number; NotFoundError.

    In a learner's folder it is below `exercises`: the chapter beside it has the same name.
    """
    for place in (f"{folder}/exercises", folder):
        for found, path in sources(place):
            if name in (found, found[:2], path, f"{found}.ipynb", f"exercises/{found}.ipynb"):
                return path
    raise NotFoundError(f"{folder}: there is not a notebook for the exercises {name}")


def submit(path: str, target: str, student: str) -> str:
    """Copy a learner's notebook to `target`/<student>/<name>/, with the learner's token.

    The token is the one whose values the notebook shows, else the caller's own.
    InvalidParameterError for a student's name that is no file name.
    """
    if not re.fullmatch(r"[\w.@+-]+", student) or student.startswith("."):
        raise InvalidParameterError(
            f"{student!r} is not a name for a folder: use letters and digits"
        )
    notebook = read(path)
    token = record.shown_token(notebook) or record.token()
    notebook["metadata"] = notebook.get("metadata", {}) | {"labkit": {"learner": token}}
    name = os.path.basename(path).removesuffix(".ipynb")
    place = f"{target}/{student}/{name}/{name}.ipynb"
    write(place, notebook)
    return place


def new(name: str, folder: str) -> list[str]:
    """Make a module, a notebook and solutions for an instructor's exercises; returns the paths.

    `name` is `14_mine`, for example.  ConflictError if the files exist, InvalidParameterError.
    """
    found = NAME.fullmatch(name)
    if found is None or "_" not in name:
        raise InvalidParameterError(f"{name!r}: a name is two digits, _ and a word: 14_mine")
    chapter = found[1]
    module = f"{folder}/ex{chapter}.py"
    if os.path.exists(module):
        raise ConflictError(f"{module} is there already")
    os.makedirs(folder, exist_ok=True)
    skeleton = os.path.join(os.path.dirname(__file__), "skeleton.py.txt")
    shutil.copyfile(skeleton, module)
    with open(module, encoding="utf-8") as file:
        text = file.read().replace("NUMBER", chapter)
    with open(module, "w", encoding="utf-8") as file:
        file.write(text)
    title = name[3:].replace("_", " ").capitalize()
    notebook = f"{folder}/{name}.ipynb"
    write(notebook, build(chapter, title, of_chapter(chapter, folder)))
    return [module, notebook]
