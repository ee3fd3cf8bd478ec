"""The picture of `compare_drivers`: three panels, and in each a bar for every driver."""

from typing import Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.layers.storage import Cost, Storage

PANELS = (
    ("start_ms", "Start", "ms", "{:.0f} ms"),
    ("disk_mb", "Disk, one container", "MB", "{:.1f} MB"),
    ("first_write_ms", "First write", "ms", "{:.1f} ms"),
)
"""The field, the panel's title, its unit, and how a value is written."""
ROOM_FOR_LABELS = 1.45


def plot_storage(result: Storage) -> Figure:
    """The same drivers from the top in each panel; a panel has its own scale."""
    names = [cost.driver for cost in result.costs]
    with style.picture(height_in=2.5) as drawing:
        panels = drawing.subplots(1, len(PANELS), sharey=True)
        for axes, (field, title, _, form) in zip(panels, PANELS, strict=True):
            _draw(axes, [getattr(cost, field) for cost in result.costs], form)
            axes.set_title(title)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].tick_params(axis="y", labelcolor=style.INK)
        panels[0].invert_yaxis()
        style.headline(drawing, "A copy is paid at the start, a union at the first write")
    alt = " ".join(map(_words, result.costs))
    return Figure(
        drawing, alt=f"Three panels with a bar for each driver. {alt}", table=result.table()
    )


def _draw(axes: Any, values: list[float], form: str) -> None:
    largest = max(*values, 0.001)
    axes.set_xlim(0, largest * ROOM_FOR_LABELS)
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", nbins=4)
    for number, value in enumerate(values):
        axes.barh(number, value, height=0.62, color=style.colour(number))
        label = form.format(value)
        axes.text(value + 0.03 * largest, number, label, va="center", color=style.INK, fontsize=9)


def _words(cost: Cost) -> str:
    return (
        f"{cost.driver}: {cost.start_ms:.0f} ms to start, {cost.disk_mb:.1f} MB for a container, "
        f"{cost.first_write_ms:.1f} ms for the first write."
    )
