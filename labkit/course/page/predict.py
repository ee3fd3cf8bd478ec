"""Predictions: a question before the cell that answers it, and both side by side afterwards.

    part = Guess("09-part", "What part of the CPU will -c 1024 get?", unit="%")
    part                                  # in JupyterLab: a slider and a button
    …
    part.beside(100 * result.parts[0])    # "You said 50 %. It was 66.7 %."

Without widgets (a notebook that runs without a browser, or a web page) the question and its choices
are plain text.  Without an answer, `beside` names only the result.

The order of the choices depends only on the question's id, so that the place of the right one tells
nothing.  The kept number is the choice's place in the source: if a choice is reworded, the answers
that learners gave before stay valid.
"""

import html
import random
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from labkit.course.page import answers

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
HOW_TO_ANSWER = "Run this cell in JupyterLab to answer."

AnswerT = TypeVar("AnswerT", float, str)

_shown: dict[str, Any] = {}
"""The last widget of each question: running the cell again replaces it."""


class _Question(Generic[AnswerT]):
    """The common part of a guess and a choice: the question, the kept answer, the display."""

    def __init__(self, question_id: str, question: str) -> None:
        self.question_id = question_id
        self.question = question

    @property
    def answer(self) -> AnswerT | None:
        """The learner's prediction; None if there is none yet."""
        return self._meant(answers.load(self.question_id))

    def _meant(self, kept: Any) -> AnswerT | None:
        """The kept answer; None if it is for an older form of the question."""
        raise NotImplementedError

    def _choices(self) -> Sequence[str]:
        return ()

    def _widget(self, widgets: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        choices = "".join(f"\n  ( ) {choice}" for choice in self._choices())
        return f"Predict: {self.question}{choices}"

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(choice)}</li>" for choice in self._choices())
        choices = f"<ul>{items}</ul>" if items else ""
        question = f"<p><b>Predict.</b> {html.escape(self.question)}</p>"
        return f"{question}{choices}<p><i>{HOW_TO_ANSWER}</i></p>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self._repr_html_()}
        try:
            import ipywidgets  # noqa: PLC0415 it may not be installed
        except ImportError:
            return bundle
        if self.question_id in _shown:
            _shown[self.question_id].close()
        widget = _shown[self.question_id] = self._widget(ipywidgets)
        return bundle | {WIDGET_VIEW: widget._repr_mimebundle_()[WIDGET_VIEW]}


class Guess(_Question[float]):
    """A prediction that is a number between `low` and `high`, set by a slider."""

    def __init__(
        self, question_id: str, question: str, low: float = 0, high: float = 100, unit: str = "%"
    ) -> None:
        super().__init__(question_id, question)
        self.low, self.high, self.unit = low, high, unit

    @property
    def part(self) -> float | None:
        """The guess as a part of `high`: 0.5 for 50 %; None if there is none."""
        return None if self.answer is None else self.answer / self.high

    def beside(self, happened: float) -> "Beside":
        """The guess and the measured value, side by side."""
        measured = f"It was {self._number(happened)}."
        if self.answer is None:
            return Beside(measured)
        is_close = abs(self.answer - happened) <= (self.high - self.low) * 0.05
        return Beside(f"You said {self._number(self.answer)}. {measured}", is_close)

    def _number(self, value: float) -> str:
        return f"{value:.1f}".removesuffix(".0") + f" {self.unit}".rstrip()

    def _meant(self, kept: Any) -> float | None:
        fits = isinstance(kept, (int, float)) and self.low <= kept <= self.high
        return kept if fits else None

    def _widget(self, widgets: Any) -> Any:
        middle = (self.low + self.high) / 2
        step = (self.high - self.low) / 100
        slider = widgets.FloatSlider(
            value=middle if self.answer is None else self.answer,
            min=self.low,
            max=self.high,
            step=step,
            readout_format=".0f" if step >= 1 else ".1f",
            layout=widgets.Layout(width="24em"),
        )
        button = widgets.Button(description="Keep my guess", button_style="primary")
        kept = widgets.HTML(_kept_words(self.answer is not None))

        def keep(_: Any) -> None:
            answers.keep(self.question_id, slider.value)
            kept.value = _kept_words(True)

        button.on_click(keep)
        row = widgets.HBox([slider, widgets.HTML(html.escape(self.unit)), button, kept])
        return widgets.VBox([_question_line(widgets, self.question), row])


class Choice(_Question[str]):
    """A prediction that is one of a few sentences."""

    def __init__(self, question_id: str, question: str, choices: Sequence[str]) -> None:
        super().__init__(question_id, question)
        self.choices = tuple(choices)
        order = random.Random(question_id)  # noqa: S311 it keeps no secret
        self.shown = tuple(order.sample(self.choices, len(self.choices)))

    def beside(self, happened: str) -> "Beside":
        """The choice and the result, side by side; `happened` is one of the choices."""
        if happened not in self.choices:
            raise ValueError(f"{happened!r} is not among the choices of {self.question_id}")
        if self.answer is None:
            return Beside(f"It was: {happened}.")
        return Beside(f"You said: {self.answer}. It was: {happened}.", self.answer == happened)

    def _choices(self) -> Sequence[str]:
        return self.shown

    def _meant(self, kept: Any) -> str | None:
        if isinstance(kept, int) and 0 <= kept < len(self.choices):
            return self.choices[kept]
        return kept if kept in self.choices else None  # earlier versions kept the text

    def _widget(self, widgets: Any) -> Any:
        buttons = widgets.RadioButtons(
            options=self.shown,
            value=self.answer,
            layout=widgets.Layout(width="max-content"),
        )
        kept = widgets.HTML(_kept_words(self.answer is not None))

        def keep(change: Any) -> None:
            answers.keep(self.question_id, self.choices.index(change["new"]))
            kept.value = _kept_words(True)

        buttons.observe(keep, "value")
        return widgets.VBox([_question_line(widgets, self.question), buttons, kept])


class Beside:
    """A prediction and the result.  `was_right` is None if there was no prediction."""

    def __init__(self, words: str, was_right: bool | None = None) -> None:
        self.words = words
        self.was_right = was_right

    def __repr__(self) -> str:
        remark = {True: " You saw it coming.", False: " Worth a second look.", None: ""}
        return self.words + remark[self.was_right]

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"


def _question_line(widgets: Any, question: str) -> Any:
    return widgets.HTML(f"<b>Predict.</b> {html.escape(question)}")


def _kept_words(is_kept: bool) -> str:
    return "<i>Kept. Now run the next cell.</i>" if is_kept else ""
