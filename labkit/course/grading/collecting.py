"""The submissions of a class; a file's folder says which student it belongs to.

submitted/<student>/<exercise>/*.ipynb      as nbgrader collects them

A student may write in the folder of that name, and nowhere else: so only its place decides whose a
notebook is.  No link is followed, and folders deeper in there mean nothing.
"""

import os
from collections.abc import Callable, Iterable, Iterator

from labkit.course.grading.one import Submission
from labkit.errors import NotFoundError

CLASS_DEPTH, STUDENT_DEPTH = 2, 1
"""The folders between a class's or a student's folder and a notebook."""


Say = Callable[[str], None]


def _say_nothing(_: str) -> None:
    return


def find(paths: Iterable[str], say: Say = _say_nothing) -> list[Submission]:
    """The submissions: a notebook each, or folders `<student>/<exercise>/`; NotFoundError.

    A notebook that is passed over is said.
    """
    found: dict[tuple[str, str], Submission] = {}
    for path in paths:
        if os.path.isdir(path):
            news = _in_folder(os.path.abspath(path), say)
        elif os.path.exists(path):
            news = iter((_of_file(os.path.abspath(path)),))
        else:
            raise NotFoundError(f"{path}: there is no such notebook or folder")
        for each in news:
            kept = found.setdefault((each.student, each.assignment), each)
            if kept.path != each.path:
                say(f"{each.path!r} is passed over: {kept.path!r} is that student's")
    if not found:
        raise NotFoundError("no notebook was found: a submission is <student>/<exercise>/*.ipynb")
    return [*found.values()]


def _of_file(path: str) -> Submission:
    """A single notebook; its student is the folder two above, as in a class's folder."""
    folder = os.path.dirname(path)
    stem = os.path.basename(path).removesuffix(".ipynb")
    return Submission(path, os.path.basename(os.path.dirname(folder)) or "learner", stem)


def _in_folder(folder: str, say: Say) -> Iterator[Submission]:
    """The submissions below a class's, a student's or an exercise's folder."""
    by_depth: dict[int, list[str]] = {}
    for path in _notebooks(folder, say):
        depth = path.count("/", len(folder) + 1)
        by_depth.setdefault(depth, []).append(path)
    taken = next((depth for depth in (0, CLASS_DEPTH, STUDENT_DEPTH) if depth in by_depth), 0)
    for depth, paths in by_depth.items():
        for path in paths:
            if depth == taken:
                above = os.path.dirname(path)
                student = os.path.basename(os.path.dirname(above)) or "learner"
                yield Submission(path, student, os.path.basename(above))
            else:
                say(f"{path!r} is passed over: it is not in <student>/<exercise>/")


def _notebooks(folder: str, say: Say) -> Iterator[str]:
    """The notebooks below a folder; in one folder the one with its name comes first."""
    for above, names, files in os.walk(folder):
        linked = [name for name in names if os.path.islink(f"{above}/{name}")]
        for name in linked:
            say(f"{f'{above}/{name}'!r} is passed over: it is a link")
        names[:] = sorted(name for name in names if not name.startswith("."))
        own = f"{os.path.basename(above)}.ipynb"
        for name in sorted(files, key=lambda name: (name != own, name)):
            if name.endswith(".ipynb") and not name.startswith("."):
                yield f"{above}/{name}"
