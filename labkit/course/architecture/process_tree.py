"""The tree of processes above and in some containers, with their numbers outside and inside.

A process has a number in its PID namespace and in each namespace above that: the line NSpid of
/proc/<pid>/status (proc(5), pid_namespaces(7)).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from labkit.client import Client
from labkit.course.architecture.parents import DAEMON_WORD, chain
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.lab import connect

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

TOP = 0
"""Stands for the daemon's parent, at which the tree begins."""


class Node(NamedTuple):
    """A process in the tree."""

    depth: int
    name: str
    numbers: tuple[int, ...]
    """The number on the host, then in each namespace down to its own."""
    space: int
    """The inode number of its PID namespace."""

    @property
    def inside(self) -> str:
        """Its number in its PID namespace, if that is not the host's."""
        return str(self.numbers[-1]) if len(self.numbers) > 1 else "–"


@dataclass(frozen=True)
class ProcessTree:
    """The processes, parents before children."""

    nodes: tuple[Node, ...]
    host: int
    """The inode number of the host's own PID namespace."""

    def table(self) -> Table:
        """A row for each process, indented like a tree."""
        return Table(
            ("process", "number on the host", "number inside", "PID namespace"),
            tuple(
                (branch(node), str(node.numbers[0]), node.inside, f"[{node.space}]")
                for node in self.nodes
            ),
        )

    def plot(self) -> "Figure":
        """Draw the tree with both numbers; the same colour means the same PID namespace."""
        return plot_tree(self)


def process_tree(*names: str, client: Client | None = None) -> ProcessTree:
    """The daemon and its descendants, as far as they lead to these containers or are in them."""
    client = client or connect()
    children: dict[int, list[psutil.Process]] = {}
    shims: dict[int, str] = {}
    for name in names:
        first, *above = chain(client.containers.get(name))
        shims[above[0].pid] = name
        line = [*reversed(above), first, *first.children(recursive=True)]
        for number, one in enumerate(line):
            known = children.setdefault(one.ppid() if number else TOP, [])
            if one not in known:
                known.append(one)
    nodes = tuple(_nodes(children, shims, TOP, 0))
    return ProcessTree(nodes, os.stat("/proc/self/ns/pid").st_ino)


def _nodes(
    children: Mapping[int, list[psutil.Process]], shims: Mapping[int, str], parent: int, depth: int
) -> Iterator[Node]:
    for one in children.get(parent, ()):
        status = Path(f"/proc/{one.pid}/status").read_text()
        space = os.stat(f"/proc/{one.pid}/ns/pid").st_ino
        name = _name(one.cmdline(), one.name())
        shown = f"{name} of {shims[one.pid]}" if one.pid in shims else name
        yield Node(depth, shown, numbers(status), space)
        yield from _nodes(children, shims, one.pid, depth + 1)


def numbers(status: str) -> tuple[int, ...]:
    """The numbers in the text of /proc/<pid>/status, the host's first."""
    line = next(line for line in status.splitlines() if line.startswith("NSpid:"))
    return tuple(int(word) for word in line.split()[1:])


def branch(node: Node) -> str:
    """The name after the lines of a tree."""
    return "   " * node.depth + ("└─ " if node.depth else "") + node.name


def _name(words: Sequence[str], name: str) -> str:
    if DAEMON_WORD in words:
        return "labkitd"
    return name if name.startswith("labkit-") else " ".join(words) or name


# The picture of a `ProcessTree`: each process below its parent, with its numbers.


INDENT, STEP = 0.34, 0.17
OUTSIDE, INSIDE = 5.0, 6.7
"""The middles of the two columns of numbers."""
CHIP_WIDTH, CHIP_HEIGHT = 1.3, 0.72
MOST_LETTERS = 34


def plot_tree(tree: ProcessTree) -> Figure:
    """Draw the tree; grey is the host's PID namespace, every other one has its own colour."""
    rows = len(tree.nodes)
    spaces = list(dict.fromkeys(node.space for node in tree.nodes if node.space != tree.host))
    with style.picture(height_in=0.95 + 0.3 * rows) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(0, 7.5), ylim=(rows - 0.4, -1.2))
        axes.set_axis_off()
        for middle, words in ((OUTSIDE, "on the host"), (INSIDE, "inside")):
            axes.text(middle, -0.85, words, ha="center", va="center", fontweight="bold")
        for row, node in enumerate(tree.nodes):
            _lines(axes, tree, row)
            begin = node.depth * INDENT + (0.04 if node.depth else 0)
            axes.text(begin, row, _cut(node.name), va="center")
            _chip(axes, OUTSIDE, row, str(node.numbers[0]), style.PALE)
            if node.space != tree.host:
                tone = style.readable(spaces.index(node.space))
                _chip(axes, INSIDE, row, node.inside, tone)
        style.headline(drawing, "One process, two numbers", "same colour: the same PID namespace")
    return Figure(drawing, alt=_alt(tree), table=tree.table())


def _lines(axes: Any, tree: ProcessTree, row: int) -> None:
    """Draw the line from a process up to the row of its parent."""
    node = tree.nodes[row]
    if not node.depth:
        return
    parent = next(at for at in range(row - 1, -1, -1) if tree.nodes[at].depth < node.depth)
    left = node.depth * INDENT - STEP
    corner = ([left, left, left + STEP], [parent + 0.38, row, row])
    axes.plot(*corner, color=style.QUIET, linewidth=1.1)


def _chip(axes: Any, middle: float, row: int, text: str, tone: str) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only drawing needs it

    corner = (middle - CHIP_WIDTH / 2, row - CHIP_HEIGHT / 2)
    axes.add_patch(Rectangle(corner, CHIP_WIDTH, CHIP_HEIGHT, facecolor=tone))
    ink = style.INK if tone == style.PALE else "white"
    axes.text(middle, row, text, ha="center", va="center", fontsize=9, color=ink)


def _cut(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"


def _alt(tree: ProcessTree) -> str:
    def words(node: Node) -> str:
        inside = f", {node.inside} inside" if node.space != tree.host else ""
        return f"{node.name} ({node.numbers[0]} on the host{inside})"

    each = "; ".join(words(node) for node in tree.nodes)
    return f"The tree of processes, from the daemon down, with their numbers. {each}."
