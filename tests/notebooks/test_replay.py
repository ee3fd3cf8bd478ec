"""Pages used as learners use them: each cell runs twice; a page stops half-way and begins again.

The whole of it takes half an hour (`python -m tests.notebooks.replay`, `make test-replay`).  Here
are the pages and cells in which it is most likely to go wrong: names in use, links made by hand, a
daemon that is killed.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab, running_lab
from tests.notebooks.notebooks import CHAPTERS, FOLDER, name_of
from tests.notebooks.places import make_debian
from tests.notebooks.replay import again, twice

pytestmark = pytest.mark.root

TWICE = ("02_architecture", "07_running_containers", "08_lifecycle", "10_cgroups", "11_namespaces")
SLOW = ("stop-run", "pause-run", "restart-run", "backoff-run", "first-run", "user-run")
"""Experiments that take seconds: their own tests run them many times."""
AGAIN = ("00_start_here", "10_cgroups")
NAMING = [path for path in CHAPTERS if not path.name.startswith("13_")]
"""Chapter 13 makes its containers with the learner's engine, and clears that one's state."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab for all pages, with the second base image."""
    with running_lab() as one:
        make_debian(one)
        yield one


def page(name: str) -> Path:
    return FOLDER / f"{name}.ipynb"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TWICE)
def test_each_cell_runs_twice(lab: Lab, tmp_path: Path, name: str) -> None:
    failures = list(twice(page(name), lab, str(tmp_path), without=SLOW))
    lab.remove_containers()
    assert failures == [], "\n".join(map(str, failures))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", AGAIN)
def test_a_page_that_was_stopped_begins_again(lab: Lab, tmp_path: Path, name: str) -> None:
    failures = list(again(page(name), lab, str(tmp_path)))
    lab.remove_containers()
    assert failures == [], "\n".join(map(str, failures))


def test_a_cell_that_cannot_run_twice_is_noticed(lab: Lab, tmp_path: Path) -> None:
    """The tests above can fail: here a cell takes a name, and does not give it back."""
    notebook = json.loads(page("00_start_here").read_text(encoding="utf-8"))
    kept = [cell for cell in notebook["cells"] if cell["id"] in ("load", "first-run")]
    kept[1]["source"] = ["%docker create --name taken busybox"]
    notebook["cells"] = kept
    path = tmp_path / "page.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    (failure,) = twice(path, lab, str(tmp_path))
    lab.remove_containers()
    assert (failure.cell_id, failure.run) == ("first-run", 2)
    assert "already in use" in failure.words


@pytest.mark.parametrize("path", NAMING, ids=name_of)
def test_a_page_removes_what_it_makes_at_its_beginning_and_at_its_end(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = {cell["id"]: "".join(cell["source"]) for cell in cells}
    assert "clear(**ours" in sources["load"]
    assert "clear(**ours" in sources["clean-up"]
