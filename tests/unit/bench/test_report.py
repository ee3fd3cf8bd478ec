"""The verdicts in the tables."""

import pytest

from bench import report
from bench.report import RateAim

AIM = RateAim("ours", "theirs", 4)


@pytest.mark.parametrize(
    ("ours_s", "verdict"), [(0.5, "| met |"), (2.0, "| missed |"), (1.0, "| met |")]
)
def test_how_many_times_as_fast(ours_s, verdict):
    measured = {"ours": [ours_s] * 5, "theirs": [4.0] * 5}
    assert report.rate_ratios(measured, [AIM]).splitlines()[-1].endswith(verdict)


def test_a_spread_around_the_aim_is_said():
    measured = {"ours": [0.5, 0.9, 0.9, 1.5, 2.0], "theirs": [4.0] * 5}
    assert "barely" in report.rate_ratios(measured, [AIM])


def test_one_that_is_missing_was_not_measured():
    assert "not measured" in report.rate_ratios({"ours": [1.0, 1.0]}, [AIM])


def test_rates_are_of_the_quickest_start_the_highest():
    line = report.rates({"ours": [0.5, 1.0, 2.0]}, 50, "things/s").splitlines()[-1]
    numbers = [float(cell) for cell in line.strip("| ").split("|")[1:4]]
    assert numbers[0] == 50.0
    assert numbers[1] < numbers[0] < numbers[2]
