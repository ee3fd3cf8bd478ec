"""The result of a check as a small card: green, amber with a hint, or red for the machine."""

import html
from typing import NamedTuple

from labkit.course.exercises.check import Outcome

GREEN, AMBER, RED = "#2A9287", "#DB9A1E", "#AD2F55"
INK = "#1F2328"


class Card(NamedTuple):
    """The content of a card: a headline, lines below it, and the points."""

    colour: str
    headline: str
    lines: tuple[str, ...]
    points: int
    of: int

    def __repr__(self) -> str:
        return "\n".join((self.headline, *(f"  {line}" for line in self.lines)))

    def _repr_html_(self) -> str:
        lines = "".join(f"<div>{html.escape(line)}</div>" for line in self.lines)
        style = (
            f"border-left:6px solid {self.colour};padding:.5em .9em;margin:.3em 0;"
            f"background:#FFFFFF;color:{INK};max-width:46em"
        )
        return (
            f'<div role="status" style="{style}"><b>{html.escape(self.headline)}</b>{lines}</div>'
        )


def card(outcome: Outcome) -> Card:
    """The card for the outcome of a check."""
    exercise = outcome.exercise
    if outcome.fault:
        lines = (outcome.fault, "This costs no points: run the check again.")
        headline = f"Exercise {exercise.number}: this machine cannot judge now"
        return Card(RED, headline, lines, 0, exercise.points)
    of = exercise.points
    if outcome.passed:
        headline = f"Exercise {exercise.number}: public checks passed, {of} of {of} points"
        return Card(GREEN, headline, (), of, of)
    met = [finding.what for finding in outcome.findings if finding.is_met]
    already = f"Already there: {'; '.join(met)}." if met else ""
    reached = f"{outcome.points} of {of} points (try {outcome.tries})"
    headline = f"Exercise {exercise.number}: not yet, {reached}"
    shown = tuple(line for line in (outcome.hint, already) if line)
    return Card(AMBER, headline, shown, outcome.points, of)
