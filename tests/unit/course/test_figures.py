"""The figures say what they show: their words and tables, from made-up results."""

import pytest

from labkit.course.cgroups.weights import plot_weights, weight_table
from labkit.course.figures.live_chart import Moment, alt, draw
from labkit.course.figures.panel_plot import plot_moments, stretches
from labkit.course.limits.cpu_result import CpuShares, HostProcess, Sample
from labkit.course.page.waterfall import bars_of, explain, waterfall
from labkit.errors import InvalidParameterError, LabkitError


def shares(weights: tuple[int, ...]) -> CpuShares:
    total = sum(weights)
    return CpuShares(
        weights,
        0,
        "cpu.weight",
        weights,
        tuple(Sample(at * 0.5, tuple(at * 0.5 * w / total for w in weights)) for at in range(9)),
        tuple(HostProcess(at, "md5sum", 50.0) for at in range(len(weights))),
    )


@pytest.mark.parametrize("weights", [(512,), (1024, 512), (7, 6, 5, 4, 3, 2)])
def test_any_number_of_containers_is_drawn(weights: tuple[int, ...]) -> None:
    figure = shares(weights).plot()
    assert figure.png.startswith(b"\x89PNG")
    over_time, in_all = figure.drawing.axes
    assert len(in_all.patches) == len(weights)
    assert "%" in over_time.get_ylabel()
    assert "(s)" in over_time.get_xlabel()


def test_words_of_the_shares() -> None:
    figure = shares((1024, 512)).plot(guess=0.5)
    assert "-c 1024: 66.7% measured, 66.7% expected" in figure.alt
    assert "the guess, 50%" in figure.alt
    texts = [text.get_text() for text in figure.drawing.axes[0].texts]
    assert texts == ["-c 1024: 66.7%", "-c 512: 33.3%", "your guess: 50%"]


def step(name: str, phase: str, took_ns: int | None) -> dict[str, object]:
    return {"Step": name, "Phase": phase, "Call": f"{name}()", "Why": "so", "DurationNs": took_ns}


STEPS = [
    step("cgroup.cpu", "host", 1_000_000),
    step("cgroup.memory", "host", 500_000),
    step("namespace.pid", "clone", 250_000),
    step("cgroup.cpu", "child", 1_000),
    step("device", "child", 2_000),
    step("device", "child", 3_000),
    step("exec", "child", None),
]


def test_steps_of_one_purpose_share_a_row() -> None:
    bars = bars_of([*STEPS, step("namespace.uts", "child", 1_000), step("mount.a", "child", 7_000)])
    assert [(bar.phase, bar.name, len(bar.steps)) for bar in bars] == [
        ("host", "limits: cgroups", 2),
        ("clone", "the process", 1),
        ("child", "limits: cgroups", 1),
        ("child", "files: mounts and devices", 3),
        ("child", "walls: namespaces", 1),
    ]
    assert bars[1].start_ms == pytest.approx(1.5)
    assert bars[3].took_ms == pytest.approx(0.012), "without the namespace's step in between"
    assert bars[3].end_ms == pytest.approx(1.764)


def test_words_of_the_waterfall() -> None:
    figure = waterfall(STEPS)
    assert "1.8 ms in all" in figure.alt
    assert "The longest: limits: cgroups (1.5 ms)" in figure.alt
    assert figure.table.column("began (ms)")[:2] == ("0.000", "1.500")


def test_each_row_of_the_waterfall_opens_to_its_steps() -> None:
    shown = waterfall(STEPS)._repr_mimebundle_()["text/html"]
    assert shown.count("<details>") == 1 + 4
    assert "<summary>child, files: mounts and devices: 2 steps</summary>" in shown
    assert "cgroup.memory()" in shown


def test_a_container_never_started_has_no_waterfall() -> None:
    with pytest.raises(InvalidParameterError):
        waterfall([])


def test_the_steps_of_one_group() -> None:
    long_id = "0123456789ab" + "c" * 52
    steps = [*STEPS, {**step("cgroup.cpu.more", "child", None), "Call": f"mkdir({long_id}/x)"}]
    table = explain(steps, "cgroup.cpu")
    assert table.column("time (µs)") == ("1000", "1", "–")
    assert table.column("call")[-1] == "mkdir(0123456789ab…/x)"


def test_the_three_translations() -> None:
    table = weight_table(1024, 512)
    assert table.column("ratio left") == ("2.00 : 1", "1.95 : 1", "1.69 : 1")
    figure = plot_weights()
    assert "labkit: 2.00 and 1.00" in figure.alt
    assert figure.table.column("against the default weight") == ("1.00 : 1", "0.39 : 1", "1.00 : 1")


MOMENTS = [
    Moment(0.25, (0.6, 0.4), (1024, 512)),
    Moment(0.5, (0.7, 0.3), (1024, 512)),
    Moment(0.75, (0.3, 0.7), (1024, 2048)),
    Moment(1.0, (0.34, 0.66), (1024, 2048)),
]
NAMES = ["container 1", "container <2>"]


def test_a_panels_picture_is_cut_where_shares_changed() -> None:
    assert [len(stretch) for stretch in stretches(MOMENTS)] == [2, 2]
    figure = plot_moments(MOMENTS, NAMES)
    assert figure.table.column("expected part") == ("66.7%", "33.3%", "33.3%", "66.7%")
    assert figure.table.column("measured part") == ("65.0%", "35.0%", "32.0%", "68.0%")


def test_a_panels_picture_needs_something_measured() -> None:
    with pytest.raises(LabkitError, match="nothing measured"):
        plot_moments(MOMENTS[:1], NAMES)


def test_the_live_chart_draws_a_curve_each_and_what_is_expected() -> None:
    chart = draw(MOMENTS, NAMES)
    assert chart.count('class="measured"') == 2
    assert chart.count("stroke-dasharray") == 2
    assert "container &lt;2&gt;: 66%" in chart
    assert 'role="img"' in chart


def test_the_live_chart_forgets_what_is_long_ago() -> None:
    later = [*MOMENTS, Moment(60.0, (0.5, 0.5), (1024, 1024)), Moment(61.0, (0.5, 0.5), (8, 8))]
    points = draw(later, NAMES).split('class="measured" points="')[1].split('"')[0]
    assert len(points.split()) == 2


def test_the_live_chart_before_the_first_reading() -> None:
    assert "nothing measured yet" in alt([], NAMES)
    assert draw([], NAMES).startswith("<svg")
