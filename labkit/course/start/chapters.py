"""The chapters as the start page needs them: title, minutes, cells, and the links between them."""

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from labkit.course.handout import release, work_folder
from labkit.errors import NotFoundError

START = "start.ipynb"
WAY_ON = "way-on"
"""The id of each chapter's last cell, with the links to its neighbours."""
_CHAPTER = re.compile(r"(\d\d)_[a-z0-9_]+\.ipynb")


class Cell(NamedTuple):
    """A code cell: its id, its source, and the heading that it is under."""

    name: str
    source: str
    section: str


class Chapter(NamedTuple):
    """A chapter: number ("09"), name of its file, title, minutes to read, code cells."""

    number: str
    file: str
    title: str
    minutes: int
    cells: tuple[Cell, ...]

    def cell(self, name: str) -> Cell | None:
        """The code cell with this id."""
        return next((each for each in self.cells if each.name == name), None)

    def cell_with(self, source: str) -> Cell | None:
        """The code cell with this source, for an editor that does not send the cell's id."""
        text = source.strip()
        return next((each for each in self.cells if each.source.strip() == text), None)


class _Cell(msgspec.Struct):
    cell_type: str
    id: str = ""
    source: str | list[str] = ""


class _Page(msgspec.Struct):
    cells: list[_Cell]


def every() -> tuple[Chapter, ...]:
    """The chapters in order; NotFoundError if the pages are not installed."""
    return _read_all(work_folder.source())


def find(number: str) -> Chapter | None:
    """The chapter with this number ("09")."""
    return next((each for each in every() if each.number == number), None)


def notebook(number: str) -> dict[str, Any]:
    """A chapter's page as it is committed, with its outputs; NotFoundError."""
    chapter = find(number)
    if chapter is None:
        raise NotFoundError(f"there is no chapter {number}")
    return release.read(f"{work_folder.source()}/{chapter.file}")


def place(chapter: Chapter | None, cell: str) -> str:
    """A link to a cell, as JupyterLab understands it; Notebook 7 opens the page."""
    return f"{chapter.file}#cell-id={cell}" if chapter else START


def files(part: str) -> Iterator[str]:
    """The notebooks in the part `exercises` or `demos`, as links from the start page."""
    folder = f"{work_folder.source()}/{part}"
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if name.endswith(".ipynb"):
            yield f"{part}/{name}"


def title_of(file: str) -> str:
    """The heading of a notebook."""
    return _texts(f"{work_folder.source()}/{file}")[0].source.partition("\n")[0].lstrip("# ")


def way_on(number: str) -> str:
    """The Markdown of a chapter's last cell: the chapter before, the start page, the next."""
    chapters = every()
    at = [chapter.number for chapter in chapters].index(number)
    links = [f"[Start page]({START})"]
    if at > 0:
        before = chapters[at - 1]
        links.insert(0, f"[← {int(before.number)}. {before.title}]({before.file})")
    if at + 1 < len(chapters):
        after = chapters[at + 1]
        links.append(f"[{int(after.number)}. {after.title} →]({after.file})")
    return " · ".join(links)


@lru_cache(maxsize=4)
def _read_all(folder: str) -> tuple[Chapter, ...]:
    names = sorted(filter(_CHAPTER.fullmatch, os.listdir(folder)))
    return tuple(_chapter(f"{folder}/{name}") for name in names)


def _chapter(path: str) -> Chapter:
    texts = _texts(path)
    title = re.match(r"# Chapter \d+\. (.+)", texts[0].source)
    minutes = re.search(r"(\d+) minutes", texts[0].source.partition("**Needs:**")[2])
    found, section = [], ""
    for cell in texts:
        if cell.section == "markdown":
            heading = re.match(r"## (.+)", cell.source)
            section = heading[1] if heading else section
        elif cell.section == "code":
            found.append(Cell(cell.name, cell.source, section))
    file = os.path.basename(path)
    return Chapter(
        file[:2],
        file,
        title[1] if title else file,
        int(minutes[1]) if minutes else 0,
        tuple(found),
    )


def _texts(path: str) -> list[Cell]:
    """Every cell, with its kind in the place of its section."""
    with open(path, "rb") as file:
        page = msgspec.json.decode(file.read(), type=_Page)
    return [
        Cell(each.id, "".join(each.source), each.cell_type)  # a list of lines, or one text
        for each in page.cells
    ]
