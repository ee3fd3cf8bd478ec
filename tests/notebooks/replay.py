"""Run pages as learners do: each cell twice, and pages begun again: `python -m …replay [PATH…]`.

Two ways of use are tried, both in a lab of its own:

- *twice*: every cell runs twice in a row, in one kernel;
- *again*: a page stops after every fifth cell, its kernel ends, and a new kernel begins the page from
  the top.

A cell fails if it raises, or if a command in it ends with a status other than 0.  The module
prints one line for each page and each failure; its exit status is 1 if anything failed.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests import leaks
from tests.lab import Lab, remove_template, running_lab
from tests.notebooks.notebooks import EVERY, code_cells, name_of, read, texts_of
from tests.notebooks.places import CELL_TIMEOUT_S, environment, make_debian, needs_debian

STOP_EVERY = 5
"""After how many cells of code a page is stopped and begun again."""


@dataclass(frozen=True)
class Failure:
    """A cell that failed: which run it was (1 for the first), and the last lines it printed."""

    cell_id: str
    run: int
    words: str

    def __str__(self) -> str:
        return f"{self.cell_id}, run {self.run}: {self.words}"


class Page:
    """A notebook with one kernel, whose cells run in any order."""

    def __init__(self, path: Path, lab: Lab, folder: str) -> None:
        self._notebook = read(path)
        self.cells = list(code_cells(self._notebook))
        self._client = NotebookClient(
            self._notebook,
            timeout=CELL_TIMEOUT_S,
            kernel_name="python3",
            resources={"metadata": {"path": str(path.parent)}},
        )
        self._kernel = self._client.setup_kernel(env=environment(lab, folder), cwd=str(path.parent))

    def __enter__(self) -> "Page":
        self._kernel.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._kernel.__exit__(*error)

    def run(self, cell: Any, run: int = 1) -> Failure | None:
        """Run the cell; what went wrong, or None."""
        try:
            self._client.execute_cell(cell, self._notebook.cells.index(cell))
        except CellExecutionError as error:
            return Failure(cell.id, run, f"{error.ename}: {error.evalue}"[-400:])
        printed = "".join(text for output in cell.outputs for _, text in texts_of(output))
        if "(exit status" in printed:
            return Failure(cell.id, run, printed.strip()[-400:])
        return None


def twice(path: Path, lab: Lab, folder: str, without: Sequence[str] = ()) -> Iterator[Failure]:
    """Each cell twice in a row; the cells named in `without` run once."""
    with Page(path, lab, folder) as page:
        for cell in page.cells:
            for run in (1,) if cell.id in without else (1, 2):
                if failure := page.run(cell, run):
                    yield failure


def again(path: Path, lab: Lab, folder: str) -> Iterator[Failure]:
    """The page stopped after 5 cells, begun again, stopped after 10, and so on to its end."""
    count = len(list(code_cells(read(path))))
    stops = [*range(STOP_EVERY, count, STOP_EVERY), count]
    for run, stop in enumerate(stops, 1):
        with Page(path, lab, folder) as page:
            for cell in page.cells[:stop]:
                if failure := page.run(cell, run):
                    yield failure


WAYS = {"twice": twice, "again": again}


def main(arguments: list[str]) -> int:
    """Replay the notebooks named, or all; `--way twice` or `--way again` for one way alone."""
    parser = argparse.ArgumentParser(prog="python -m tests.notebooks.replay")
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    parser.add_argument("--way", choices=WAYS, help="one way alone (default: both)")
    options = parser.parse_args(arguments)
    paths = [path.resolve() for path in options.paths] or EVERY
    ways = {options.way: WAYS[options.way]} if options.way else WAYS
    failed = 0
    try:
        with running_lab() as lab, tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-nb-") as folder:
            if any(map(needs_debian, paths)):
                make_debian(lab)
            for path in paths:
                for name, way in ways.items():
                    begin = time.monotonic()
                    failures = list(way(path, lab, folder))
                    lab.remove_containers()
                    failed += len(failures)
                    took_s = time.monotonic() - begin
                    print(f"{name_of(path)}, {name}: {len(failures)} failed, {took_s:.0f} s")
                    print(*(f"  {failure}\n" for failure in failures), sep="", end="", flush=True)
    finally:
        remove_template()
    return 1 if failed else 0


if __name__ == "__main__":
    # A kernel that writes compiled Python would leave files in the project.
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main(sys.argv[1:]))
