"""The numbers behind the tables."""

import pytest

from bench import report, statistics
from bench.report import Aim


def test_a_summary_holds_the_median_and_the_quartiles():
    assert statistics.summary([5, 1, 4, 2, 3]) == (3, 2, 4)


def test_the_ratio_of_equal_samples_is_one():
    sample = [1.0, 2.0, 3.0, 4.0]
    assert statistics.ratio(sample, sample) == (1, 1, 1)


def test_rounds_are_drawn_whole():
    # Ours always takes half of theirs, however slow the machine was in a round.
    theirs = [1.0, 10.0, 100.0, 1000.0]
    ratio = statistics.ratio([value / 2 for value in theirs], theirs)
    assert ratio == pytest.approx((0.5, 0.5, 0.5))


def test_the_interval_holds_the_ratio_and_narrows_with_agreement():
    ours, theirs = [9.0, 10.0, 11.0] * 10, [20.0, 19.0, 21.0] * 10
    wide = statistics.ratio([5.0, 10.0, 15.0] * 10, theirs)
    narrow = statistics.ratio(ours, theirs)
    assert narrow.low <= narrow.value == 0.5 <= narrow.high
    assert narrow.high - narrow.low < wide.high - wide.low


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], "met"),
        ([4.0, 4.0, 4.0], [2.0, 2.0, 2.0], "missed"),
        ([1.0, 2.0, 9.0], [2.0, 2.0, 2.0], "met, barely"),
        ([1.0, 4.0, 9.0], [2.0, 2.0, 2.0], "missed, barely"),
    ],
)
def test_a_verdict_says_when_the_spread_could_turn_it(ours, theirs, verdict):
    text = report.ratios({"a": ours, "b": theirs}, [Aim("a", "b", 1.5)])
    assert text.splitlines()[2].rstrip(" |").endswith(f"| {verdict}")


def test_a_missing_peer_is_said():
    text = report.ratios({"a": [1.0, 1.0]}, [Aim("a", "b", 1.5)])
    assert "not measured" in text


def test_tables_line_up():
    lines = report.table(["", "ms"], [["a long name", "1"], ["b", "1000"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1] == "|-------------|-----:|"
