"""Predictions: kept, shown beside what happened, and readable without widgets."""

import builtins
import json
import os
from collections.abc import Iterator
from typing import Any

import ipywidgets
import pytest

from labkit.course.page import answers
from labkit.course.page.predict import WIDGET_VIEW, Choice, Guess


@pytest.fixture(autouse=True)
def own_answers(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    yield


def which() -> Choice:
    return Choice("t-which", "Which is it?", ["this", "that"])


def how_much() -> Guess:
    return Guess("t-part", "How much?")


def test_an_answer_outlives_the_kernel() -> None:
    which()._widget(ipywidgets).children[1].value = "that"
    assert which().answer == "that"
    with open(answers.path(), encoding="utf-8") as file:
        assert json.load(file) == {"t-which": 1}
    assert os.listdir(os.path.dirname(answers.path())) == ["predictions.json"]


def test_nothing_is_kept_before_an_answer() -> None:
    which()._repr_mimebundle_()
    how_much()._repr_mimebundle_()
    assert not os.path.exists(answers.path())


@pytest.mark.parametrize("kept", [0, "this"])
def test_the_kept_answer_is_set_again(kept: int | str) -> None:
    """By its number in the source, or by its words, as it was kept before."""
    answers.keep("t-which", kept)
    assert which()._widget(ipywidgets).children[1].value == "this"


def test_a_guess_is_kept_by_its_button() -> None:
    row = how_much()._widget(ipywidgets).children[1]
    slider, _, button, kept = row.children
    slider.value = 60
    assert how_much().answer is None, "moving alone keeps nothing"
    button.click()
    assert how_much().answer == 60
    assert how_much().part == 0.6
    assert "Kept" in kept.value


@pytest.mark.parametrize(("high", "shown"), [(100, ".0f"), (6, ".1f")])
def test_a_slider_shows_what_it_keeps(high: float, shown: str) -> None:
    """Steps below one are seen: who keeps 3.4 has not read 3."""
    guess = Guess("t-part", "How much?", low=0, high=high)
    slider, *_ = guess._widget(ipywidgets).children[1].children
    assert slider.readout_format == shown


@pytest.mark.parametrize(
    ("guess", "words"),
    [
        (None, "It was 66.7 %."),
        (66.0, "You said 66 %. It was 66.7 %. You saw it coming."),
        (50.0, "You said 50 %. It was 66.7 %. Worth a second look."),
    ],
)
def test_a_guess_beside_what_happened(guess: float | None, words: str) -> None:
    if guess is not None:
        answers.keep("t-part", guess)
    assert repr(how_much().beside(66.68)) == words


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (None, "It was: that."),
        ("that", "You said: that. It was: that. You saw it coming."),
        ("this", "You said: this. It was: that. Worth a second look."),
    ],
)
def test_a_choice_beside_what_happened(chosen: str | None, words: str) -> None:
    if chosen is not None:
        answers.keep("t-which", chosen)
    assert repr(which().beside("that")) == words


def test_a_kept_answer_outlives_new_words_and_another_order() -> None:
    which()._widget(ipywidgets).children[1].value = "that"
    reworded = Choice("t-which", "Which one is it?", ["this one", "that one"])
    assert reworded.answer == "that one"


def test_the_place_of_a_choice_says_nothing() -> None:
    """Each choice is shown at each place about as often; the same question always in one order."""
    choices = ["a", "b", "c"]
    shown = [Choice(f"t-{number}", "Which?", choices).shown for number in range(300)]
    for place in range(3):
        for choice in choices:
            assert 70 <= sum(one[place] == choice for one in shown) <= 130
    assert Choice("t-7", "Which?", choices).shown == shown[7]
    assert set(shown[7]) == set(choices)


def test_what_happened_must_be_one_of_the_choices() -> None:
    with pytest.raises(ValueError, match="other"):
        which().beside("other")


@pytest.mark.parametrize("kept", ["a choice there was once", 2, -1, 1.5, None])
def test_an_answer_to_an_older_question_is_forgotten(kept: Any) -> None:
    answers.keep("t-which", kept)
    answers.keep("t-part", 700.0)
    assert which().answer is None
    assert how_much().answer is None


@pytest.mark.parametrize("text", ["", "not json", "[1, 2]"])
def test_a_broken_file_is_no_answers(text: str) -> None:
    os.makedirs(os.path.dirname(answers.path()))
    with open(answers.path(), "w", encoding="utf-8") as file:
        file.write(text)
    assert which().answer is None
    answers.keep("t-which", "this")
    assert which().answer == "this"


def test_words_and_a_widget() -> None:
    bundle = which()._repr_mimebundle_()
    first, second = which().shown
    assert bundle["text/plain"] == f"Predict: Which is it?\n  ( ) {first}\n  ( ) {second}"
    assert "<li>that</li>" in bundle["text/html"]
    assert bundle[WIDGET_VIEW]["model_id"]


def test_words_alone_where_there_are_no_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_widgets(name: str, *rest: Any) -> Any:
        if name == "ipywidgets":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_widgets)
    assert set(which()._repr_mimebundle_()) == {"text/plain", "text/html"}


def test_a_question_is_text_and_not_markup() -> None:
    asked = Choice("t-markup", "a < b & c?", ["<b>yes</b>", "no"])
    assert "a &lt; b &amp; c?" in asked._repr_html_()
    assert "<li>&lt;b&gt;yes" in asked._repr_html_()
