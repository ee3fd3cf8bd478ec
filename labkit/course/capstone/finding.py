"""A judge's findings: the expected fact, the fact that was found, and hints.

A hint never holds the answer.  It has three levels, by the number of tries: what differs, which
idea is missing and where the course teaches it, and where to look in the file.
"""

from typing import NamedTuple


class Finding(NamedTuple):
    """One look at the kernel's state."""

    what: str
    expected: str
    found: str
    idea: str = ""
    """The idea behind it, and the chapter that teaches it."""
    place: str = ""
    """The call or the file that it is about."""

    @property
    def holds(self) -> bool:
        """Whether the kernel's state is as expected."""
        return self.expected == self.found

    def hint(self, tries: int) -> str:
        """The hint for a learner after so many tries; empty if all is well."""
        if self.holds:
            return ""
        levels = [
            f"{self.what}: {self.found}; expected: {self.expected}.",
            self.idea,
            self.place,
        ]
        return "\n".join(level for level in levels[: max(1, tries)] if level)
