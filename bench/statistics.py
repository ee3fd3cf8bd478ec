"""Medians, quartiles, and the ratio of two medians with its interval."""

import random
import statistics
from collections.abc import Sequence
from typing import NamedTuple

RESAMPLES = 4000
CONFIDENCE = 0.95


class Summary(NamedTuple):
    """A sample's median and quartiles, in its own unit."""

    median: float
    lower_quartile: float
    upper_quartile: float


class Ratio(NamedTuple):
    """The ratio of two medians, and the interval with 95 % of the resampled ratios."""

    value: float
    low: float
    high: float


def summary(sample: Sequence[float]) -> Summary:
    """Return the sample's median and quartiles; it needs at least two values."""
    lower, median, upper = statistics.quantiles(sample, n=4, method="inclusive")
    return Summary(median, lower, upper)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Return the ratio of the medians of two samples from the same rounds.

    The interval is the percentile bootstrap's: rounds are drawn, with both their values, so that a
    round in which the machine was slow for both counts for both.
    """
    generator = random.Random(1)
    rounds = range(len(ours))
    ratios = []
    for _ in range(RESAMPLES):
        drawn = generator.choices(rounds, k=len(rounds))
        numerator = statistics.median(ours[i] for i in drawn)
        ratios.append(numerator / statistics.median(theirs[i] for i in drawn))
    ratios.sort()
    outside = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    value = statistics.median(ours) / statistics.median(theirs)
    return Ratio(value, ratios[outside], ratios[-1 - outside])
