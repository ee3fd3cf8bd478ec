"""The fate of each blob in each command that used a registry, as a grid.

A row is a blob (or the manifest), a column a command.  A full square means that bytes moved, a pale
one that none did: the registry already had the blob, or took it from another repository.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from labkit.course.figures import style
from labkit.course.images.blob_tree import SHORT_DIGITS
from labkit.course.images.registry_request import Request, Talk
from labkit.dialect.sizes import human_size

SENT, FETCHED = "sent", "fetched"
FATES = {
    ("PUT", "upload", 201): SENT,
    ("PUT", "manifest", 201): SENT,
    ("GET", "blob", 200): FETCHED,
    ("GET", "manifest", 200): FETCHED,
    ("HEAD", "blob", 200): "there already",
    ("POST", "mount", 201): "taken over",
}
"""The meaning of a request and its answer for the blob."""
TONES = {SENT: 1, FETCHED: 2}
MANIFEST = "manifest"
NO_REQUEST = "no request"


class Fate(NamedTuple):
    """The fate of one blob, and the number of its bytes that were moved."""

    words: str
    moved_bytes: int = 0

    def __str__(self) -> str:
        return f"{self.words} {human_size(self.moved_bytes)}" if self.moved_bytes else self.words


def row_of(request: Request) -> str:
    """The row for a request: the blob's kind and digest, or `manifest`."""
    if request.kind == MANIFEST:
        return MANIFEST
    return f"{request.blob} {request.what[:SHORT_DIGITS]}"


def fates(talk: Talk) -> dict[str, Fate]:
    """The fate of each blob in one command; the last request about a blob decides."""
    found = {}
    for one in talk.requests:
        if words := FATES.get((one.method, one.kind, one.status)):
            moved = {SENT: one.went_bytes, FETCHED: one.came_bytes}.get(words, 0)
            found[row_of(one)] = Fate(words, moved)
    return found


def grid(talks: Sequence[Talk]) -> dict[str, list[Fate]]:
    """Rows of fates, with a column for each command; the manifest is last, as in a push."""
    columns = [fates(talk) for talk in talks]
    names = list(dict.fromkeys(name for column in columns for name in column if name != MANIFEST))
    if any(MANIFEST in column for column in columns):
        names.append(MANIFEST)
    return {name: [column.get(name, Fate(NO_REQUEST)) for column in columns] for name in names}


def draw_grid(axes: Any, talks: Sequence[Talk]) -> None:
    """Draw the squares, with the commands above and the blobs at the left."""
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only drawing needs it

    rows = grid(talks)
    for row, (name, line) in enumerate(rows.items()):
        axes.text(-0.04, row + 0.5, name, ha="right", va="center", family="monospace", fontsize=8)
        for column, fate in enumerate(line):
            tone = TONES.get(fate.words)
            face = "white" if fate.words == NO_REQUEST else style.PALE
            axes.add_patch(
                Rectangle(
                    (column + 0.03, row + 0.07),
                    0.94,
                    0.86,
                    facecolor=face if tone is None else style.colour(tone),
                    edgecolor=style.PALE,
                )
            )
            axes.text(
                column + 0.5,
                row + 0.5,
                str(fate),
                ha="center",
                va="center",
                fontsize=8.5,
                color=style.QUIET if tone is None else "white",
                fontweight="normal" if tone is None else "bold",
            )
    for column, talk in enumerate(talks):
        axes.text(column + 0.5, -0.55, talk.name, ha="center", va="center", fontweight="bold")
        words = f"{len(talk.requests)} requests"
        axes.text(
            column + 0.5, -0.2, words, ha="center", va="center", fontsize=8, color=style.QUIET
        )
    axes.set(xlim=(-0.62, len(talks)), ylim=(len(rows), -0.8))
    axes.set_axis_off()
