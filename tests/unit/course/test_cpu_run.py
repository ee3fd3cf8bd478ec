"""Sampling, without containers: meters that are told what to read."""

import os
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest

from labkit.course.cpu_files import CpuMeter
from labkit.course.experiments import cpu_run
from labkit.course.experiments.cpu_run import cpu_shares, read_together, take_samples
from labkit.errors import InvalidParameterError, LabkitError


class ToldMeter:
    """A meter that reads what `tell` says."""

    def __init__(self, tell: Callable[[], int]) -> None:
        self.cpu_ns = tell


def meters(*tells: Callable[[], int]) -> list[CpuMeter]:
    return [cast(CpuMeter, ToldMeter(tell)) for tell in tells]


def running(part: float) -> Callable[[], int]:
    return lambda: int(time.monotonic_ns() * part)


def test_samples_count_from_the_beginning_and_cover_the_time() -> None:
    samples = take_samples(meters(running(2 / 3), running(1 / 3)), 0.4, 0.1)
    assert samples[0].time_s == 0
    assert samples[0].cpu_s == (0, 0)
    assert len(samples) == 5
    last = samples[-1]
    assert 0.4 <= last.time_s < 0.6
    assert last.cpu_s[0] / last.cpu_s[1] == pytest.approx(2, rel=0.01)


def test_a_delay_thins_the_samples_out_instead_of_crowding_them() -> None:
    calls = 0

    def slow_once() -> int:
        nonlocal calls
        calls += 1
        if calls == 2:
            time.sleep(0.25)
        return time.monotonic_ns()

    samples = take_samples(meters(slow_once), 0.4, 0.1)
    gaps = [after.time_s - before.time_s for before, after in pairwise(samples)]
    assert len(samples) < 5
    assert min(gaps) > 0.04


def test_an_interrupted_reading_is_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    delays = iter([0.02, 0.0])

    def tell() -> int:
        time.sleep(next(delays))
        return 7

    assert read_together(meters(tell))[1] == [7]
    assert next(delays, None) is None


def test_where_every_reading_is_interrupted_the_quickest_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpu_run, "SIMULTANEOUS_NS", 0)
    values = iter(range(100))
    delays = iter([0.02, 0.001] + [0.02] * 10)

    def tell() -> int:
        time.sleep(next(delays))
        return next(values)

    assert read_together(meters(tell))[1] == [1]


def test_waiting_for_containers_that_never_run_ends() -> None:
    with pytest.raises(LabkitError, match="not all containers were running"):
        cpu_run.wait_until_busy(meters(running(1.0), lambda: 0), timeout_s=0.2)


def test_waiting_ends_when_all_have_run() -> None:
    cpu_run.wait_until_busy(meters(running(1.0), running(0.5)), timeout_s=5)


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
