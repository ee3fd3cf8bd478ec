"""The learner's view of a judge: the checks that hold, and a hint for the first that does not."""

import html
import os
from collections.abc import Sequence

from labkit.course.capstone import workshop
from labkit.course.capstone.finding import Finding
from labkit.course.capstone.judging import JUDGES, judge
from labkit.course.page import answers

LAST_STAGE = 11


class Card:
    """The findings about a stage; `tries` is how often it was judged before it held."""

    def __init__(self, stage: int, findings: Sequence[Finding], tries: int) -> None:
        self.stage = stage
        self.findings = tuple(findings)
        self.tries = tries

    @property
    def holds(self) -> bool:
        """Whether every finding holds."""
        return all(one.holds for one in self.findings)

    @property
    def _title(self) -> str:
        name = JUDGES[self.stage][0]
        name = f"Stage {self.stage}, {name}" if self.stage <= LAST_STAGE else name.capitalize()
        passed = sum(one.holds for one in self.findings)
        if self.holds:
            return f"{name}: all {passed} checks passed."
        return f"{name}: {passed} of {len(self.findings)} checks passed."

    @property
    def _hint(self) -> str:
        return next((one.hint(self.tries) for one in self.findings if not one.holds), "")

    def __repr__(self) -> str:
        lines = [f"  {'yes' if one.holds else 'NO '}  {one.what}" for one in self.findings]
        return "\n".join([self._title, *lines, *([self._hint] if self._hint else [])])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<li>{'yes' if one.holds else '<b>no</b>'}: {html.escape(one.what)}</li>"
            for one in self.findings
        )
        hint = "".join(f"<p>{html.escape(line)}</p>" for line in self._hint.splitlines())
        return f"<p><b>{html.escape(self._title)}</b></p><ul>{rows}</ul>{hint}"


def check(stage: int) -> Card:
    """Judge a stage.  The hint says more with each try, and never gives the answer."""
    if os.geteuid() != 0:
        raise PermissionError(
            "the judge needs root, for its own namespaces: open the lab with sudo"
        )
    key = f"13-tries-{stage}"
    kept = answers.load(key)
    tries = 1 + (int(kept) if isinstance(kept, int | float) else 0)
    card = Card(stage, judge(stage, workshop.path()), tries)
    answers.keep(key, 0 if card.holds else tries)
    return card
