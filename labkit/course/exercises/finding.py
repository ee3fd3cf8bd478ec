"""What a judge has found: what was expected, what is there, what it is worth, where to look."""

from typing import NamedTuple

LONGEST_TEXT = 600


class Lesson(NamedTuple):
    """Where a learner finds what is missing; no command stands in any of the three."""

    idea: str
    """A sentence: "Only the proportion of two weights counts."."""
    section: str
    """Where the course teaches it: "chapter 9, Two containers, one CPU"."""
    tool: str
    """The file or the flag: "the file cpu.shares of the container's group"."""


class Finding(NamedTuple):
    """One thing that a judge has looked at."""

    what: str
    """Of what: "the CPU weight of heavy-ruvo"."""
    expected: str
    found: str
    points: int
    """What it is worth."""
    is_met: bool
    lesson: Lesson

    @property
    def earned(self) -> int:
        """The points that are earned."""
        return self.points if self.is_met else 0

    @property
    def difference(self) -> str:
        """What differs, as a sentence."""
        return f"{self.what}: {self.found}; asked for: {self.expected}"


class Findings:
    """Collects findings for one lesson after the other."""

    def __init__(self) -> None:
        self.all: list[Finding] = []

    def add(
        self,
        what: str,
        expected: object,
        found: object,
        points: int,
        lesson: Lesson,
        *,
        met: bool | None = None,
    ) -> bool:
        """Add one, which is met if `found` is `expected` unless `met` says; whether it is met."""
        is_met = expected == found if met is None else met
        said = _short(what), _short(expected), _short(found)
        self.all.append(Finding(*said, points, is_met, lesson))
        return is_met


def _short(found: object) -> str:
    """A text that a page can show: a learner chooses names and outputs as long as wanted."""
    text = str(found)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


class TooLargeError(Exception):
    """What the learner has made is too large for a judge to look at; the message names it."""


class MachineFaultError(Exception):
    """The machine, not the learner, is the reason why nothing can be judged: costs no points."""
