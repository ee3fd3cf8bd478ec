"""The values on the start page, computed from the chapters, the progress and the points."""

from typing import NamedTuple

from labkit.course.exercises import exercise as exercises
from labkit.course.exercises import record
from labkit.course.start import chapters, progress
from labkit.course.start.chapters import Chapter
from labkit.course.start.points import POINTS
from labkit.course.start.progress import LaterVersionError, Progress


class Link(NamedTuple):
    """A link from the start page: its words, and where it leads."""

    words: str
    target: str


class Card(NamedTuple):
    """A chapter: how many of its cells have run, its points, and its further pages."""

    chapter: Chapter
    ran: int
    exercises: Link | None
    demos: tuple[Link, ...]

    @property
    def cells(self) -> int:
        """How many cells the chapter has."""
        return len(self.chapter.cells)


class Light(NamedTuple):
    """A sentence of the notes: how many of its cells have run, and the first that has not."""

    name: str
    words: str
    ran: int
    cells: int
    target: str


class State(NamedTuple):
    """The whole page; `go_on` is None when every cell has run."""

    cards: tuple[Card, ...]
    lights: tuple[Light, ...]
    go_on: Link | None
    is_new: bool
    fault: str = ""


def read() -> State:
    """The state now; NotFoundError if the pages are not installed."""
    fault = ""
    try:
        ran = progress.load()
    except LaterVersionError as error:
        ran, fault = Progress(), str(error)
    every = chapters.every()
    cards = tuple(_card(chapter, ran) for chapter in every)
    lights = tuple(_light(*point, ran) for point in POINTS)
    return State(cards, lights, _go_on(every, ran), ran.last is None, fault)


def _card(chapter: Chapter, ran: Progress) -> Card:
    done = sum(ran.has(chapter.number, cell.name) for cell in chapter.cells)
    return Card(chapter, done, _exercises(chapter.number), _demos(chapter.number))


def _exercises(number: str) -> Link | None:
    page = next((file for file in chapters.files("exercises") if _is_of(number, file)), "")
    if not page:
        return None
    points = record.points()
    every = exercises.of_chapter(number)
    earned = sum(points.get(each.number, 0) for each in every)
    return Link(f"Exercises: {earned} of {sum(each.points for each in every)} points", page)


def _demos(number: str) -> tuple[Link, ...]:
    pages = [file for file in chapters.files("demos") if _is_of(number, file)]
    return tuple(Link(chapters.title_of(file), file) for file in pages)


def _is_of(number: str, file: str) -> bool:
    return file.rpartition("/")[2].startswith(number)


def _light(name: str, words: str, cells: tuple[tuple[str, str], ...], ran: Progress) -> Light:
    open_ = [cell for cell in cells if not ran.has(*cell)]
    chapter, cell = (open_ or cells)[0]
    target = chapters.place(chapters.find(chapter), cell)
    return Light(name, words, len(cells) - len(open_), len(cells), target)


def _go_on(every: tuple[Chapter, ...], ran: Progress) -> Link | None:
    """The first cell after the last one that has not run; from the end on, from the beginning."""
    cells = [(chapter, cell) for chapter in every for cell in chapter.cells]
    names = [(chapter.number, cell.name) for chapter, cell in cells]
    start = names.index(ran.last) + 1 if ran.last in names else 0
    for chapter, cell in cells[start:] + cells[:start]:
        if not ran.has(chapter.number, cell.name):
            section = f", {cell.section}" if cell.section else ""
            words = f"Chapter {int(chapter.number)}. {chapter.title}{section}"
            return Link(words, chapters.place(chapter, cell.name))
    return None
