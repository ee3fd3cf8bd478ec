"""Notes each cell of a chapter that has run without an error (IPython's event `post_run_cell`).

JupyterLab and Notebook 7 send the cell's id and give the kernel the path of its page.  VS Code
sends an id of another form: there the cell is found by its source.  A page that runs without an
editor (a test, a grader) has no path, and nothing is noted.
"""

import os
import re
from typing import Any

from labkit.course.start import chapters
from labkit.course.start.progress import Recorder
from labkit.errors import NotFoundError

_PAGE = re.compile(r"(\d\d)_[^/]*\.ipynb")
_OTHER_FOLDERS = ("exercises", "demos")


class Watcher:
    """Watches the cells of one kernel."""

    def __init__(self, shell: Any, recorder: Recorder | None = None) -> None:
        self._shell = shell
        self._recorder = recorder or Recorder()

    def ran(self, result: Any) -> None:
        """IPython calls this after each cell."""
        if not result.success or result.info is None or result.info.silent:
            return
        found = cell_of(self._page(), result.info.cell_id or "", result.info.raw_cell or "")
        if found:
            self._recorder.note(*found)

    def _page(self) -> str:
        """The path of the page: VS Code's variable, or the name that Jupyter gives the session."""
        return str(
            self._shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME", "")
        )


_watchers: dict[int, Watcher] = {}
"""By the id of the shell: a second `%load_ext` must not note each cell twice."""


def watch(shell: Any) -> None:
    """Watch the cells of a shell from now on, also the one that runs."""
    if id(shell) not in _watchers:
        watcher = _watchers[id(shell)] = Watcher(shell)
        shell.events.register("post_run_cell", watcher.ran)


def cell_of(page: str, cell_id: str, source: str) -> tuple[str, str] | None:
    """Chapter and cell; None for a page that is no chapter, and for a cell that it does not have.

    `page` is a path.  A learner's copy (`09_limits (yours).ipynb`) is the same chapter.
    """
    folder, name = os.path.split(page)
    number = _PAGE.fullmatch(name)
    if number is None or os.path.basename(folder) in _OTHER_FOLDERS:
        return None
    try:
        chapter = chapters.find(number[1])
    except (NotFoundError, OSError):
        return None
    if chapter is None:
        return None
    cell = chapter.cell(cell_id) or chapter.cell_with(source)
    return (chapter.number, cell.name) if cell else None
