"""The arithmetic of shares, and what a result says of itself."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.course.limits.cpu_result import (
    CpuShares,
    HostProcess,
    Sample,
    deviation,
    due_s,
    expected_parts,
)

WEIGHTS = st.lists(st.integers(2, 262144), min_size=1, max_size=8)


def result(cpu_s: tuple[float, ...], weights: tuple[int, ...] = (1024, 512)) -> CpuShares:
    halfway = tuple(one / 2 for one in cpu_s)
    return CpuShares(
        weights=weights,
        cpu=1,
        weight_file="cpu.shares",
        kernel_weights=weights,
        samples=(
            Sample(0.0, (0.0,) * len(cpu_s)),
            Sample(3.0, halfway),
            Sample(6.0, cpu_s),
        ),
        host=tuple(HostProcess(100 + at, "md5sum", 10.0 * at) for at in range(len(cpu_s))),
    )


def test_the_notes_example() -> None:
    assert expected_parts((1024, 512)) == pytest.approx((2 / 3, 1 / 3))


@given(WEIGHTS, st.integers(1, 1000))
def test_only_the_proportion_counts(weights: list[int], factor: int) -> None:
    larger = [weight * factor for weight in weights]
    assert expected_parts(weights) == pytest.approx(expected_parts(larger))
    assert sum(expected_parts(weights)) == pytest.approx(1)


@given(WEIGHTS)
def test_time_in_proportion_deviates_by_nothing(weights: list[int]) -> None:
    assert deviation([weight * 0.001 for weight in weights], weights) == pytest.approx(0)


@pytest.mark.parametrize(
    ("cpu_s", "off"), [((2.1, 1.0), 0.05), ((1.9, 1.0), -0.05), ((1.0, 1.0), -0.5)]
)
def test_two_deviate_as_their_ratio_does(cpu_s: tuple[float, float], off: float) -> None:
    assert deviation(cpu_s, (1024, 512)) == pytest.approx(off)


def test_the_one_that_is_most_off_counts() -> None:
    assert deviation((4.0, 2.6, 1.0), (2048, 1024, 512)) == pytest.approx(0.3)


def test_alone_there_is_nothing_to_compare() -> None:
    assert deviation((5.0,), (512,)) == 0


@pytest.mark.parametrize(("cpu_s", "holds"), [((4.0, 2.0), True), ((4.0, 1.89), False)])
def test_five_percent_is_the_limit(cpu_s: tuple[float, float], holds: bool) -> None:
    assert result(cpu_s).holds is holds


def test_summary() -> None:
    found = result((3.9, 2.0))
    assert found.ratio == pytest.approx(1.95)
    assert found.expected_ratio == 2
    assert str(found) == "1024 : 512 shares on CPU 1: 1.95 : 1 measured (-2.5%)"
    assert found.seconds == 6
    assert found.parts == pytest.approx((0.661, 0.339), abs=0.001)


def test_summary_of_one_alone() -> None:
    assert str(result((5.94,), (512,))) == "512 shares, alone on CPU 1: 99% of it"


def test_parts_over_time_leaves_out_an_interval_in_which_nobody_ran() -> None:
    found = result((4.0, 2.0))
    still = Sample(7.0, (4.0, 2.0))
    points = CpuShares(
        found.weights, 1, "cpu.shares", found.weights, (*found.samples, still), found.host
    ).parts_over_time()
    assert [time_s for time_s, _ in points] == [1.5, 4.5]
    assert points[0][1] == pytest.approx((2 / 3, 1 / 3))


def test_table_has_what_was_asked_expected_and_found() -> None:
    table = result((4.0, 2.0)).table()
    assert table.column("expected part") == ("66.7%", "33.3%")
    assert table.column("CPU time (s)") == ("4.00", "2.00")
    assert table.column("of one CPU, cgroup") == ("66.7%", "33.3%")
    assert table.column("of one CPU, top") == ("0.0%", "10.0%")


def test_what_a_ceiling_takes_the_others_divide() -> None:
    assert due_s((1024, 1024), (1.5, 0), 6) == pytest.approx((1.5, 4.5))
    assert due_s((1024, 512, 1024), (0, 0, 1.5), 6) == pytest.approx((3, 1.5, 1.5))
    assert due_s((1024, 1024), (5, 0), 6) == pytest.approx((3, 3)), "a ceiling nobody reaches"
    assert due_s((1024, 512), (1, 1), 6) == pytest.approx((1, 1)), "and the rest is nobody's"


@given(WEIGHTS, st.floats(1, 100))
def test_due_without_ceilings_is_by_weight(weights: list[int], together_s: float) -> None:
    due = due_s(weights, [0] * len(weights), together_s)
    assert due == pytest.approx([together_s * part for part in expected_parts(weights)])


def test_one_alone_may_break_its_ceiling() -> None:
    found = replace(result((3.0,), (1024,)), ceilings=(0.5,))
    assert found.holds
    broken = replace(found, ceilings=(0.25,))
    assert (broken.holds, broken.deviation) == (False, pytest.approx(1))
    assert broken.names == ("-c 1024, --cpus 0.25",)
    assert broken.table().column("--cpus") == ("0.25",)


def seen(part: float, ceilings: tuple[float, ...] = ()) -> CpuShares:
    """Two containers that had this part of a CPU between them, over two seconds."""
    samples = (Sample(0.0, (0.0, 0.0)), Sample(1.0, (part / 2,) * 2), Sample(2.0, (part,) * 2))
    host = (HostProcess(1, "md5sum", 50.0),) * 2
    return CpuShares((512, 512), 1, "cpu.shares", (512, 512), samples, host, ceilings)


def test_a_busy_machine_is_told_of() -> None:
    busy = seen(0.6)
    assert busy.other_work == pytest.approx(0.4)
    assert "Other work took 40% of CPU 1" in str(busy)
    assert busy.table().caption.startswith("Other work took 40% of CPU 1; run the cell again")
    figure = busy.plot()
    assert figure.drawing.get_suptitle() == "CPU 1 was busy with other work: run the cell again"
    assert "Other work took 40%" in figure.alt


@pytest.mark.parametrize(
    "calm", [seen(0.98), seen(0.5, (0.25, 0.25))], ids=["all of the CPU", "all that ceilings allow"]
)
def test_a_calm_machine_needs_no_warning(calm: CpuShares) -> None:
    assert calm.warning == ""
    assert calm.table().caption == ""


def test_a_ceiling_is_a_part_of_the_cpu_in_words_and_curves() -> None:
    capped = seen(0.5, (0.25, 0.25))
    assert capped.of_cpu_over_time() == [(0.5, (0.25, 0.25)), (1.5, (0.25, 0.25))]
    assert capped.plot().drawing.get_suptitle() == "--cpus 0.25: 25% of the CPU used, 25% allowed"
