"""Shares as weights, by three translations: the effect of `-c` on a machine with cgroup v2.

The kernel divides CPU time in proportion to the weights.  So a translation is good if the ratio of
its weights is near the ratio of the shares.
"""

from collections.abc import Callable, Sequence
from typing import Any

from labkit.cgroups.shares import (
    DEFAULT_SHARES,
    DEFAULT_WEIGHT,
    linear_weight,
    quadratic_weight,
    weight_from_shares,
)
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table

TRANSLATIONS: dict[str, Callable[[int], int]] = {
    "labkit": weight_from_shares,
    "runc before 1.3.2,\ncrun before 1.23": linear_weight,
    "runc from 1.3.2,\ncrun from 1.23": quadratic_weight,
}
"""The programs, each with its translation."""


def weight_table(first: int = 1024, second: int = 512) -> Table:
    """The weights of two containers' shares by each translation, and the ratio between them."""
    rows = []
    for who, translate in TRANSLATIONS.items():
        weights = translate(first), translate(second)
        rows.append((_one_line(who), *map(str, weights), f"{weights[0] / weights[1]:.2f} : 1"))
    headings = ("translated by", f"weight of -c {first}", f"weight of -c {second}", "ratio left")
    return Table(headings, tuple(rows), f"Asked for: {first / second:.2f} : 1")


def plot_weights(first: int = 1024, second: int = 512) -> Figure:
    """Draw the ratio between two containers, and between a default one and its neighbour."""
    between = [translate(first) / translate(second) for translate in TRANSLATIONS.values()]
    outside = [translate(DEFAULT_SHARES) / DEFAULT_WEIGHT for translate in TRANSLATIONS.values()]
    with style.picture(height_in=2.7) as drawing:
        left, right = drawing.subplots(1, 2, sharey=True)
        _bars(left, between, first / second, f"-c {first} against -c {second}")
        _bars(right, outside, 1.0, f"-c {DEFAULT_SHARES} against the default weight")
        style.headline(drawing, "CPU time on cgroup v2, by translation", "dashed: asked for")
    return Figure(
        drawing, alt=_alt(between, outside, first, second), table=_table(between, outside)
    )


def _bars(axes: Any, ratios: Sequence[float], asked: float, title: str) -> None:
    rows = range(len(ratios))
    axes.barh(rows, ratios, height=0.6, color=[style.colour(row) for row in rows])
    axes.axvline(asked, color=style.QUIET, linewidth=1.1, linestyle=(0, (4, 3)))
    for row, ratio in enumerate(ratios):
        axes.annotate(
            f"{ratio:.2f}",
            (max(ratio, asked), row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold",
        )
    axes.set_yticks(list(rows), list(TRANSLATIONS), color=style.INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set(
        xlim=(0, asked * 1.3),
        ylim=(len(ratios) - 0.4, -0.6),
        xlabel="times the other's CPU time",
        title=title,
    )


def _one_line(who: str) -> str:
    return who.replace("\n", " ")


def _alt(between: Sequence[float], outside: Sequence[float], first: int, second: int) -> str:
    each = "; ".join(
        f"{_one_line(who)}: {one:.2f} and {other:.2f}"
        for who, one, other in zip(TRANSLATIONS, between, outside, strict=True)
    )
    return (
        f"Bars for three translations of shares. Left, -c {first} against -c {second}, asked for "
        f"{first / second:.2f} to 1; right, a container with the default shares against a "
        f"neighbour with the default weight, asked for 1.00 to 1. {each}."
    )


def _table(between: Sequence[float], outside: Sequence[float]) -> Table:
    return Table(
        ("translated by", "between the two containers", "against the default weight"),
        tuple(
            (_one_line(who), f"{one:.2f} : 1", f"{other:.2f} : 1")
            for who, one, other in zip(TRANSLATIONS, between, outside, strict=True)
        ),
    )
