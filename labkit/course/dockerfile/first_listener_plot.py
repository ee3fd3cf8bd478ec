"""The picture of `first_listener`: how long each form took to stop, and who was process 1."""

from labkit.course.dockerfile.first_listener import Listeners
from labkit.course.figures import style
from labkit.course.figures.figure import Figure

DASHED = (0, (4, 3))


def plot_listeners(result: Listeners) -> Figure:
    """A bar for every form; the dashed line is where the grace ends."""
    rows = range(len(result.rows))
    with style.picture(height_in=0.95 + 0.5 * len(rows)) as drawing:
        axes = drawing.subplots()
        for row, one in enumerate(result.rows):
            tone = style.colour(0 if one.exit_code == 0 else 1)
            axes.barh(row, one.took_s, height=0.6, color=tone)
            axes.annotate(
                f"{one.took_s:.2f} s, exit {one.exit_code}\nprocess 1: {one.first}",
                (one.took_s, row),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        axes.axvline(result.grace_s, color=style.QUIET, linewidth=1.1, linestyle=DASHED)
        labels = [f"ENTRYPOINT\n{one.form.words}" for one in result.rows]
        axes.set_yticks(list(rows), labels, color=style.INK, fontsize=8, family="DejaVu Sans Mono")
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set(xlim=(0, result.grace_s * 2.15), ylim=(len(result.rows) - 0.4, -0.6))
        axes.set_xlabel("time from docker stop to the end (s)")
        style.headline(
            drawing,
            "Only process 1 hears stop",
            f"dashed: stop -t {result.grace_s:.0f}",
        )
    each = "; ".join(
        f"ENTRYPOINT {one.form.words}: process 1 is {one.first}, {one.took_s:.2f} s, "
        f"exit code {one.exit_code}"
        for one in result.rows
    )
    alt = (
        f"Bars: how long {len(result.rows)} containers took to stop, with a dashed line at the "
        f"grace of {result.grace_s:.0f} s. {each}."
    )
    return Figure(drawing, alt=alt, table=result.table())
