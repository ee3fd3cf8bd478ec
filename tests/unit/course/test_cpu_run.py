"""Sampling, without containers: meters that are told what to read."""

import os
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, cast

import pytest

from labkit.course.limits import cpu_run, sampling
from labkit.course.limits.cpu_files import CpuMeter
from labkit.course.limits.cpu_run import cpu_shares
from labkit.course.limits.sampling import Reading, calm_window, measure, read_together
from labkit.errors import InvalidParameterError, LabkitError


class ToldMeter:
    """A meter that reads what `tell` says."""

    def __init__(self, tell: Callable[[], int]) -> None:
        self.cpu_ns = tell


def meters(*tells: Callable[[], int]) -> list[CpuMeter]:
    return [cast(CpuMeter, ToldMeter(tell)) for tell in tells]


def running(part: float) -> Callable[[], int]:
    return lambda: int(time.monotonic_ns() * part)


def readings(*intervals: tuple[float, float]) -> list[Reading]:
    """A reading every quarter of a second, from what each container used in between, in ms."""
    series = [Reading(0, (0, 0))]
    for used in intervals:
        last = series[-1]
        after = tuple(c + round(u * 1e6) for c, u in zip(last.cpu_ns, used, strict=True))
        series.append(Reading(last.time_ns + 250_000_000, after))
    return series


def ratio(window: Sequence[Reading]) -> float:
    first, second = (b - a for a, b in zip(window[0].cpu_ns, window[-1].cpu_ns, strict=True))
    return first / second


USUAL = (167.0, 83.0)
PAUSE, REPAYMENT = (250.0, 0.0), (83.0, 167.0)  # the first one ran through; then the second does
START = [(0.0, 250.0)] * 2 + [USUAL] * 4  # the first second belongs to the start
LEAD_IN = [USUAL] * 2


def test_a_calm_window_begins_when_the_start_is_over() -> None:
    series = readings(*START, *LEAD_IN, *[USUAL] * 24)
    window = calm_window(series, 6.0)
    assert window[0] is series[6]
    assert window[-1] is series[-1]
    assert ratio(window) == pytest.approx(2, rel=0.02)


def test_there_is_no_window_before_its_time() -> None:
    assert not calm_window(readings(*START, *LEAD_IN, *[USUAL] * 21), 6.0)
    assert not calm_window(readings((0.0, 0.0)), 6.0)
    assert not calm_window(readings(*[(0.0, 0.0)] * 40), 6.0)
    # A machine that stands still most of the time: nothing is charged, then all at once.
    assert not calm_window(readings(*[(0.0, 0.0)] * 30, (2.0, 40.0), (0.0, 0.0)), 6.0)


def test_a_window_does_not_end_in_a_pause_nor_before_it_is_paid_back() -> None:
    before = [*START, *LEAD_IN, *[USUAL] * 25]
    series = readings(*before, PAUSE, PAUSE, REPAYMENT, REPAYMENT, USUAL, USUAL)
    for end in range(len(before) + 1, len(series) - 1):
        assert not calm_window(series[: end + 1], 6.0)
    assert ratio(calm_window(series, 6.0)) == pytest.approx(2, rel=0.02)


def test_a_window_does_not_begin_in_a_pause_either() -> None:
    series = readings(*[USUAL] * 4, PAUSE, PAUSE, REPAYMENT, REPAYMENT, *[USUAL] * 26)
    window = calm_window(series, 6.0)
    assert window[0] is series[10]
    assert ratio(window) == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("used", [(60.0, 30.0), (115.0, 60.0), (230.0, 115.0)])
def test_a_pause_that_is_not_yet_counted_is_noticed(used: tuple[float, float]) -> None:
    """A pause is charged when it is over: too little is counted first, and then too much."""
    series = readings(*START, *LEAD_IN, *[USUAL] * 25, used)
    assert not calm_window(series, 6.0)


def test_usual_is_what_this_run_does_and_not_what_was_asked_for() -> None:
    series = readings(*[(125.0, 125.0)] * 34)
    assert ratio(calm_window(series, 6.0)) == pytest.approx(1)


def test_a_small_weight_may_come_and_go() -> None:
    series = readings(*[(246.0, 4.0), (242.0, 8.0), (250.0, 0.0)] * 12)
    assert calm_window(series, 6.0)


def test_samples_count_from_the_beginning_and_cover_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "SETTLE_S", 0.1)
    samples = measure(meters(running(2 / 3), running(1 / 3)), 0.4, 0.1)
    assert samples[0].time_s == 0
    assert samples[0].cpu_s == (0, 0)
    last = samples[-1]
    assert 0.4 <= last.time_s < 5
    assert last.cpu_s[0] / last.cpu_s[1] == pytest.approx(2, rel=0.02)


def test_where_no_calm_is_found_everything_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SETTLE_S", 0.1)
    steps = count()

    def fits_and_starts() -> int:
        return next(steps) // 2 * 50_000_000

    samples = measure(meters(running(0.5), fits_and_starts), 0.3, 0.1)
    assert 0.55 <= samples[-1].time_s < 5


def test_an_interrupted_reading_is_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count()

    def tell() -> int:
        call = next(calls)
        if call == 0:
            time.sleep(0.02)
        return call

    assert read_together(meters(tell)).cpu_ns[0] >= 1


def test_where_every_reading_is_interrupted_the_quickest_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "SIMULTANEOUS_NS", 0)
    readings = count()
    now_ns = 0

    def tell() -> int:
        nonlocal now_ns
        reading = next(readings)
        now_ns += 1 if reading == 1 else 100
        return reading

    monkeypatch.setattr(sampling.time, "monotonic_ns", lambda: now_ns)
    assert read_together(meters(tell)).cpu_ns == (1,)


def test_waiting_for_containers_that_never_run_ends() -> None:
    with pytest.raises(LabkitError, match="not all containers were running"):
        sampling.wait_until_busy(meters(running(1.0), lambda: 0), timeout_s=0.2)


def test_waiting_ends_when_all_have_run() -> None:
    sampling.wait_until_busy(meters(running(1.0), running(0.5)), timeout_s=5)


def test_the_quietest_cpu_is_one_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([{0: 100, 1: 100}, {0: 110, 1: 130}])
    monkeypatch.setattr(cpu_run, "_idle_ticks", lambda: next(ticks))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(cpu_run, "LOOK_S", 0)
    assert cpu_run.quietest_cpu() == 1


def test_of_equally_quiet_ones_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_run, "_idle_ticks", lambda: {0: 1, 1: 1, 2: 1})
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(cpu_run, "LOOK_S", 0)
    assert cpu_run.quietest_cpu() == 1


def test_idle_ticks_of_this_machine() -> None:
    assert set(cpu_run._idle_ticks()) >= os.sched_getaffinity(0)


def test_without_weights_there_is_no_experiment() -> None:
    with pytest.raises(InvalidParameterError):
        cpu_shares((), client=cast(Any, None))
