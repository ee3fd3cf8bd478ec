"""The result of a check as a small card: green, amber with a hint, or red for the machine.

On the page it has a button that checks again.
"""

import html
from collections.abc import Callable
from typing import Any, NamedTuple

from labkit.course.exercises.check import Outcome
from labkit.course.figures.panel import Panel
from labkit.course.page.predict import WIDGET_VIEW

GREEN, AMBER, RED = "#2A9287", "#DB9A1E", "#AD2F55"
INK = "#1F2328"
AGAIN, BUSY = "Check again", "Checking …"


class Card(NamedTuple):
    """The text for a learner: a headline, lines below it, and the points."""

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
            f"background:#FFFFFF;color:{INK};max-width:46em;line-height:1.45"
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
    already = f"Done already: {'; '.join(met)}." if met else ""
    reached = f"{outcome.points} of {of} points (try {outcome.tries})"
    headline = f"Exercise {exercise.number}: not yet, {reached}"
    hint = outcome.hint[:1].upper() + outcome.hint[1:]
    shown = tuple(line for line in (hint, already) if line)
    return Card(AMBER, headline, shown, outcome.points, of)


class CheckPanel(Panel):
    """The card that `look` returns.  The button takes another look, which counts as a try."""

    def __init__(self, look: Callable[[], Card]) -> None:
        self._look = look
        self.card = look()

    def again(self) -> Card:
        """Take another look."""
        self.card = self._look()
        return self.card

    def __repr__(self) -> str:
        return repr(self.card)

    def _repr_html_(self) -> str:
        return self.card._repr_html_()

    def _make_view(self) -> "CheckView":
        return CheckView(self)


class CheckView:
    """The card, and the button below it."""

    def __init__(self, panel: CheckPanel) -> None:
        import ipywidgets as widgets  # noqa: PLC0415  a graded notebook never shows it

        self._panel = panel
        self._card = widgets.HTML(panel.card._repr_html_())
        self._button = widgets.Button(description=AGAIN)
        self._button.on_click(lambda _: self._check())
        self._whole = widgets.VBox([self._card, self._button])
        self._whole.add_class("labkit-check")

    def bundle(self) -> dict[str, Any]:
        """Return the parts that Jupyter shows."""
        return {WIDGET_VIEW: self._whole._repr_mimebundle_()[WIDGET_VIEW]}

    def _check(self) -> None:
        self._button.disabled, self._button.description = True, BUSY
        try:
            self._card.value = self._panel.again()._repr_html_()
        finally:
            self._button.disabled, self._button.description = False, AGAIN
