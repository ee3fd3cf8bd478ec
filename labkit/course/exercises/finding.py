"""The findings of a judge: the expected fact, the fact found, the points, and where to look."""

from typing import NamedTuple

LONGEST_TEXT = 600


class Lesson(NamedTuple):
    """The way to the missing knowledge; none of the three parts contains a command."""

    idea: str
    """A sentence: "Only the proportion of two weights counts."."""
    section: str
    """Where the course teaches it: "chapter 9, Two containers, one CPU"."""
    tool: str
    """The file or the flag: "the file cpu.shares of the container's group"."""


class Finding(NamedTuple):
    """One thing that a judge has looked at."""

    what: str
    """The thing: "the CPU weight of heavy-ruvo"."""
    expected: str
    found: str
    points: int
    """Its points."""
    is_met: bool
    lesson: Lesson

    @property
    def earned(self) -> int:
        """The points that are earned."""
        return self.points if self.is_met else 0

    @property
    def difference(self) -> str:
        """The difference, as a sentence."""
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
        """Add a finding, and return whether it is met: `met`, or whether `found` is `expected`."""
        is_met = expected == found if met is None else met
        said = _short(what), _short(expected), _short(found)
        self.all.append(Finding(*said, points, is_met, lesson))
        return is_met


def _short(found: object) -> str:
    """A text that a page can show: a learner chooses names and outputs as long as wanted."""
    text = str(found)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


class TooLargeError(Exception):
    """The learner's object is too large for a judge to read; the message names it."""


class MachineFaultError(Exception):
    """The judge cannot judge because of the machine, not the learner: it costs no points."""
