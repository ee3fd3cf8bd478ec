"""The pictures of `cpu_shares`: parts of the CPU over time, and what each container got in all."""

from typing import Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.limits.cpu_result import CpuShares

NAME_GAP = 6.5
"""Two names closer than this, in percent of the axis, would touch."""


def plot_parts(result: CpuShares, guess: float | None) -> Figure:
    """Left each container's part of the CPU time over time, right the CPU seconds in all.

    Dashed lines are what the shares ask for; `guess` (0 to 1) is a prediction of the first part.
    """
    with style.picture(height_in=3.6) as drawing:
        over_time, in_all = drawing.subplots(1, 2, width_ratios=(5, 2.8))
        _draw_over_time(over_time, result, guess)
        _draw_in_all(in_all, result)
        style.headline(drawing, _headline(result), "dashed: expected")
    return Figure(drawing, alt=_alt(result, guess), table=result.table())


def _draw_over_time(axes: Any, result: CpuShares, guess: float | None) -> None:
    points = result.parts_over_time()
    times = [time_s for time_s, _ in points]
    end_s = result.seconds
    for expected in sorted(set(result.expected)):
        style.expected_line(axes, 100 * expected, 0, end_s)
    if guess is not None:
        axes.plot([0, end_s], [100 * guess] * 2, color=style.GUESS, linewidth=1.4, linestyle=":")
    for number in range(len(result.weights)):
        axes.plot(
            times,
            [100 * parts[number] for _, parts in points],
            color=style.colour(number),
            linestyle=style.dash(number),
        )
    names: list[tuple[float, str, int | str]] = [
        (100 * part, f"{name.replace(', ', chr(10))}: {part:.1%}", number)
        for number, (name, part) in enumerate(zip(result.names, result.parts, strict=True))
    ]
    if guess is not None:
        names.append((100 * guess, f"your guess: {guess:.0%}", style.GUESS))
    heights = style.spread([height for height, _, _ in names], NAME_GAP)
    for height, (_, text, curve) in zip(heights, names, strict=True):
        style.name_at_end(axes, end_s, height, text, curve)
    axes.set(
        xlim=(0, end_s),
        ylim=(0, 101),
        xlabel="time (s)",
        ylabel="part of the CPU time (%)",
        title="Who had the CPU, moment by moment",
    )


def _draw_in_all(axes: Any, result: CpuShares) -> None:
    together_s = sum(result.cpu_s)
    rows = range(len(result.weights))
    expected_s = [part * together_s for part in result.expected]
    axes.barh(rows, result.cpu_s, height=0.62, color=[style.colour(row) for row in rows])
    for row, (cpu_s, due_s) in enumerate(zip(result.cpu_s, expected_s, strict=True)):
        axes.plot(
            [due_s, due_s],
            [row - 0.42, row + 0.42],
            color=style.QUIET,
            linewidth=1.1,
            linestyle=(0, (4, 3)),
        )
        axes.annotate(
            f"{cpu_s:.2f}",
            (max(cpu_s, due_s), row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold",
        )
    axes.set_yticks(
        list(rows), [name.replace(", ", "\n") for name in result.names], color=style.INK
    )
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set(
        xlim=(0, max(*result.cpu_s, *expected_s) * 1.35),
        ylim=(len(result.weights) - 0.4, -0.6),
        xlabel="CPU time (s)",
        title="CPU time in all",
    )


def _headline(result: CpuShares) -> str:
    if result.ceilings:
        most = zip(result.names, result.cpu_s, strict=True)
        return "; ".join(f"{name}: {used / result.seconds:.0%}" for name, used in most)
    if len(result.weights) == 1:
        return f"Alone on CPU {result.cpu}: {result.cpu_s[0] / result.seconds:.0%} of it"
    if len(result.weights) == 2:
        return f"{result.ratio:.2f} to 1 measured, {result.expected_ratio:.2f} to 1 asked for"
    return f"At most {abs(result.deviation):.1%} from what was asked for"


def _alt(result: CpuShares, guess: float | None) -> str:
    shares = "; ".join(
        f"{name}: {part:.1%} measured, {expected:.1%} expected"
        for name, part, expected in zip(result.names, result.parts, result.expected, strict=True)
    )
    guessed = "" if guess is None else f" A dotted line marks the guess, {guess:.0%}."
    return (
        f"Two charts of {len(result.weights)} containers on one CPU for {result.seconds:.0f} s. "
        "Left, lines: the part of the CPU time each got over time, almost level, next to dashed "
        f"lines for what was expected. Right, bars: CPU seconds in all. {shares}.{guessed}"
    )
