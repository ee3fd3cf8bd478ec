"""The picture of `blob_tree`: from `index.json` at the left to configs and layers at the right."""

from typing import Any

from labkit.client.sizes import human_size
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.images.blob_tree import Blob, BlobTree

COLUMNS = {"index": 0.0, "manifest": 0.31, "leaf": 0.68}
"""Where the boxes of each kind begin; the figure is 1 wide."""
WIDTHS = {"index": 0.17, "manifest": 0.24, "leaf": 0.32}
HEIGHT = 0.7
"""Of a box; a row is 1 high."""
ROW_IN = 0.5


def draw(tree: BlobTree) -> Figure:
    """The whole picture."""
    leaves = tree.leaves()
    with style.picture(height_in=1.0 + ROW_IN * len(leaves)) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(-0.005, 1.005), ylim=(len(leaves) - 0.4, -1.0))
        axes.set_axis_off()
        for row, blob in enumerate(leaves):
            _box(axes, "leaf", row, (blob.kind, _told(blob)), len(tree.owners(blob)) > 1)
        middle = (len(leaves) - 1) / 2
        for number, one in enumerate(tree.trees):
            place = _spread(number, len(tree.trees), len(leaves))
            _box(axes, "manifest", place, ("manifest", _told(one.manifest)), False)
            _line(axes, ("index", middle), ("manifest", place), number)
            _name(axes, middle, place, one.name, number)
            for blob in one.leaves:
                _line(axes, ("manifest", place), ("leaf", leaves.index(blob)), number)
        _box(axes, "index", middle, ("index.json", "the names"), False)
        _headings(axes)
        style.headline(drawing, tree.finding(), "dark: shared")
    return Figure(drawing, alt=_alt(tree), table=tree.table())


def _told(blob: Blob) -> str:
    return f"{blob.short}  {human_size(blob.size_bytes)}"


def _spread(number: int, count: int, rows: int) -> float:
    """The row of a manifest: all of them as far from each other as the blobs allow."""
    return rows * (number + 0.5) / count - 0.5


def _headings(axes: Any) -> None:
    for kind, words in (
        ("index", "names"),
        ("manifest", "one for each image"),
        ("leaf", "named in the manifests"),
    ):
        middle = COLUMNS[kind] + WIDTHS[kind] / 2
        axes.text(middle, -0.75, words, ha="center", va="center", fontsize=8.5, color=style.QUIET)


def _box(axes: Any, kind: str, row: float, words: tuple[str, str], is_shared: bool) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only for who draws

    left, width = COLUMNS[kind], WIDTHS[kind]
    face = style.colour(0) if is_shared else style.PALE
    axes.add_patch(
        Rectangle(
            (left, row - HEIGHT / 2),
            width,
            HEIGHT,
            facecolor=face,
            edgecolor=style.colour(0),
            linewidth=1.2,
            zorder=2,
        )
    )
    middle: Any = {
        "ha": "center",
        "va": "center",
        "color": "white" if is_shared else style.INK,
        "zorder": 3,
    }
    x = left + width / 2
    axes.text(x, row - 0.15, words[0], fontsize=8.5, fontweight="bold", **middle)
    axes.text(x, row + 0.16, words[1], fontsize=7.5, fontfamily="DejaVu Sans Mono", **middle)


def _line(axes: Any, start: tuple[str, float], end: tuple[str, float], number: int) -> None:
    left = COLUMNS[start[0]] + WIDTHS[start[0]]
    axes.plot(
        [left, COLUMNS[end[0]]],
        [start[1], end[1]],
        color=style.colour(number + 1),
        linestyle=style.dash(number + 1),
        linewidth=1.6,
        zorder=1,
    )


def _name(axes: Any, start: float, end: float, name: str, number: int) -> None:
    """The image's name, on the line from the index to its manifest."""
    middle = (COLUMNS["index"] + WIDTHS["index"] + COLUMNS["manifest"]) / 2
    axes.text(
        middle,
        (start + end) / 2,
        name,
        ha="center",
        va="center",
        fontweight="bold",
        color=style.readable(number + 1),
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )


def _alt(tree: BlobTree) -> str:
    each = "; ".join(
        f"{one.name}: manifest {one.manifest.short}, which names "
        + ", ".join(
            f"{blob.kind} {blob.short} ({human_size(blob.size_bytes)})" for blob in one.leaves
        )
        for one in tree.trees
    )
    return f"A tree of files, from index.json to the right. {each}. {tree.finding()}."
