"""The content of a container's writable layer for paths of the image, read from its folder.

In the upper folder overlayfs (Documentation/filesystems/overlayfs) has a whole copy of each
changed file, and a character device 0, 0 for each deleted name (a whiteout).  A folder with an
extended attribute hides the one below it (an opaque folder).
"""

import contextlib
import os
import stat
from collections.abc import Sequence
from typing import Any, NamedTuple

from labkit.client.containers import Container
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.dialect.sizes import human_size
from labkit.kernel import overlay

NOTHING = ""
WHITEOUT = "whiteout (device 0, 0)"
OPAQUE = "opaque folder"
FOLDER = "folder"
OPAQUE_ATTRIBUTE = overlay.OPAQUE
KINDS = {"A": "A: added", "C": "C: changed", "D": "D: deleted", "": "–"}
"""The letters of `docker diff`."""
_LETTERS = ("C", "A", "D")
"""The letters for the API's numbers 0, 1, 2."""


class PathView(NamedTuple):
    """One path: its content in the image, in the writable layer, and in the container."""

    path: str
    image: str
    written: str
    seen: str
    diff: str
    """A, C or D; empty if `docker diff` does not list it."""


class Union:
    """Paths of one container, layer by layer."""

    def __init__(self, name: str, views: Sequence[PathView]) -> None:
        self.name = name
        self.views = tuple(views)

    def __getitem__(self, path: str) -> PathView:
        return next(view for view in self.views if view.path == path)

    def __repr__(self) -> str:
        return str(self.table())

    def table(self) -> Table:
        """A row for each path."""
        return Table(
            ("path", "in the image", "in the writable layer", "in the container", "docker diff"),
            tuple(
                (view.path, *(word or "–" for word in view[1:4]), KINDS[view.diff])
                for view in self.views
            ),
        )

    def plot(self) -> Figure:
        """Draw the three folders above each other, with a column for each path."""
        return plot_union(self)


def union(container: Container, *paths: str) -> Union:
    """Look up absolute paths in the layers of a running container; OSError."""
    container.reload()
    folders = container.attrs["GraphDriver"]["Data"]
    lower = folders["LowerDir"].split(":")
    inside = f"/proc/{container.attrs['State']['Pid']}/root"
    letters = {one["Path"]: _LETTERS[one["Kind"]] for one in container.diff()}
    return Union(
        container.name,
        [
            PathView(
                path,
                _in_image(lower, path),
                what_is_at(folders["UpperDir"] + path),
                what_is_at(inside + path),
                letters.get(path, ""),
            )
            for path in paths
        ],
    )


def _in_image(lower: Sequence[str], path: str) -> str:
    """Return the entry of the topmost layer that has one at a path."""
    found = next(filter(None, (what_is_at(folder + path) for folder in lower)), NOTHING)
    return NOTHING if found == WHITEOUT else found


def what_is_at(path: str) -> str:
    """A short description of a path in a layer: a file's size, a folder, a whiteout, nothing."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(0, 0):
        return WHITEOUT
    if stat.S_ISDIR(status.st_mode):
        with contextlib.suppress(OSError):  # it has no such attribute, or it must not be read
            if os.getxattr(path, OPAQUE_ATTRIBUTE) == b"y":
                return OPAQUE
        return FOLDER
    return human_size(status.st_size)


# The picture of `union`: image, writable layer and the container's view, above each other.


NAMES_PART = 0.3
"""The width of the rows' names, as a part of the columns' width."""
ROWS = ("the image", "the writable layer", "the container sees")
TONES = ("#DDE3EA", style.colour(3), style.colour(2))
HIDES = {WHITEOUT: "whiteout", OPAQUE: "opaque\nfolder"}


def plot_union(result: Union) -> Figure:
    """Draw a column for each path; an arrow leads from each visible file up to the view."""
    with style.picture(height_in=3.1) as drawing:
        axes = drawing.subplots()
        left = -NAMES_PART * len(result.views)
        axes.set(xlim=(left, len(result.views)), ylim=(-0.05, 3.75))
        axes.set_axis_off()
        for row, name in enumerate(ROWS):
            axes.text(left, 1.2 * row + 0.4, name, va="center", fontweight="bold")
        for column, view in enumerate(result.views):
            _draw(axes, column, view)
        style.headline(drawing, "Upper layers cover lower ones", f"container {result.name}")
    return Figure(drawing, alt=_alt(result), table=result.table())


def _alt(result: Union) -> str:
    each = "; ".join(
        f"{view.path}: in the image {view.image or 'nothing'}, in the writable layer "
        f"{view.written or 'nothing'}, seen {view.seen or 'nothing'}"
        for view in result.views
    )
    return f"For each path what the image, the writable layer and the container have. {each}."


def _draw(axes: Any, column: int, view: PathView) -> None:
    middle = column + 0.5
    axes.text(middle, 3.5, view.path, ha="center", va="center", family="monospace", fontsize=8.5)
    for row, words in enumerate((view.image, view.written, view.seen)):
        if words:
            _cell(axes, column, row, words)
    if view.seen:
        start = 1 if view.written else 0
        axes.annotate(
            "",
            (middle, 2.38),
            xytext=(middle, 1.2 * start + 0.84),
            arrowprops={"arrowstyle": "-|>", "color": style.INK, "linewidth": 1.4},
        )


def _cell(axes: Any, column: int, row: int, words: str) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only drawing needs it

    hides = words in HIDES
    face = "white" if words == WHITEOUT else TONES[row]
    edge = style.colour(1) if hides else style.QUIET
    axes.add_patch(
        Rectangle(
            (column + 0.06, 1.2 * row),
            0.88,
            0.8,
            facecolor=face,
            edgecolor=edge,
            linewidth=2 if hides else 1,
            linestyle="--" if words == WHITEOUT else "-",
        )
    )
    axes.text(
        column + 0.5,
        1.2 * row + 0.4,
        HIDES.get(words, words),
        ha="center",
        va="center",
        fontsize=8.5,
        color="white" if row == 2 else style.readable(1) if words == WHITEOUT else style.INK,
        fontweight="bold" if hides or row == 2 else "normal",
    )
