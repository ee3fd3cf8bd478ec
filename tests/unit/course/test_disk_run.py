"""How the lab disk's readers are waited for, and what a disk says that stands still."""

import itertools

import pytest

from labkit.course.cgroups.groups import Place
from labkit.course.limits import disk_run
from labkit.errors import LabkitError

PLACES = [Place(1, "/first"), Place(1, "/second")]


def read_as(monkeypatch: pytest.MonkeyPatch, first: list[int], second: list[int]) -> None:
    """Let the groups' counters say these numbers in turn, and the last for good."""
    said = {
        place: itertools.chain(numbers, itertools.repeat(numbers[-1]))
        for place, numbers in zip(PLACES, (first, second), strict=True)
    }
    monkeypatch.setattr(disk_run, "_read_bytes", lambda place: next(said[place]))


def test_the_window_begins_when_all_have_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read_as(monkeypatch, [0, 5, 5, 5], [0, 0, 0, 7])
    disk_run._wait_until_all_read(PLACES, timeout_s=10)
    assert disk_run._read_bytes(PLACES[1]) == 7


def test_readers_that_never_begin_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    read_as(monkeypatch, [0, 5], [0])
    with pytest.raises(LabkitError, match="not all containers read"):
        disk_run._wait_until_all_read(PLACES, timeout_s=0.05)


def test_the_window_lasts_until_each_has_read_something(monkeypatch: pytest.MonkeyPatch) -> None:
    read_as(monkeypatch, [0, 0, 4], [0, 0, 2])
    samples = disk_run._measure(PLACES, seconds=0.01)
    assert samples[-1].read_bytes == (4, 2)
    assert disk_run.DiskWeights((2, 1), samples).parts == pytest.approx((2 / 3, 1 / 3))


def test_a_disk_that_stands_still_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    read_as(monkeypatch, [3], [3])
    monkeypatch.setattr(disk_run, "START_TIMEOUT_S", 0.05)
    with pytest.raises(LabkitError, match="nothing was read"):
        disk_run._measure(PLACES, seconds=0.01)
