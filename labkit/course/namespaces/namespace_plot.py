"""The picture of `namespace_map`: who shares which namespace."""

from typing import Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.namespaces.namespace_map import HOST, KINDS, NamespaceMap

OF_WHAT = {
    "mnt": "mounts",
    "uts": "host name",
    "ipc": "memory",
    "pid": "processes",
    "net": "network",
    "cgroup": "groups",
    "user": "users",
    "time": "clocks",
}
"""What each kind is about, in a word."""


def plot_namespaces(found: NamespaceMap) -> Figure:
    """Grey is the host's own; each other namespace has the colour of who made it."""
    rows = len(found.residents)
    with style.picture(height_in=1.0 + 0.55 * rows) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(-2.1, len(KINDS)), ylim=(rows, -0.9))
        axes.set_axis_off()
        for column, kind in enumerate(KINDS):
            axes.text(column + 0.5, -0.5, kind, ha="center", va="center", fontweight="bold")
            small = {"ha": "center", "va": "center", "fontsize": 7.5, "color": style.QUIET}
            axes.text(column + 0.5, -0.16, OF_WHAT[kind], **small)
            owners: dict[int, int] = {}
            for row, one in enumerate(found.residents):
                owner = owners.setdefault(one.inodes[kind], row)
                _cell(axes, column, row, one.inodes[kind], owner)
        for row, one in enumerate(found.residents):
            axes.text(-2.05, row + 0.35, one.name, va="center", fontweight="bold")
            axes.text(
                -2.05,
                row + 0.68,
                f"process {one.pid}",
                va="center",
                fontsize=7.5,
                color=style.QUIET,
            )
        style.headline(drawing, "Who shares which namespace", "same colour: the same namespace")
    return Figure(drawing, alt=_alt(found), table=found.table())


def _cell(axes: Any, column: int, row: int, inode: int, owner: int) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only for who draws

    face = style.PALE if owner == 0 else style.readable(owner - 1)
    axes.add_patch(Rectangle((column + 0.05, row + 0.1), 0.9, 0.8, facecolor=face))
    axes.text(
        column + 0.5,
        row + 0.5,
        f"…{inode % 100000:05}",
        ha="center",
        va="center",
        fontsize=8,
        color=style.INK if owner == 0 else "white",
    )


def _alt(found: NamespaceMap) -> str:
    parts = []
    for one in found.residents:
        if one.name == HOST:
            continue
        with_whom: dict[str, list[str]] = {}
        for kind in KINDS:
            if others := found.shared_with(one.name, kind):
                whom = HOST if HOST in others else " and ".join(others)
                with_whom.setdefault(whom, []).append(kind)
        shared = [f"{', '.join(kinds)} with {whom}" for whom, kinds in with_whom.items()]
        parts.append(f"{one.name} shares {' and '.join(shared) or 'nothing'}")
    return f"The namespaces of the host and its containers, by inode number: {'; '.join(parts)}."
