"""The picture of a `ProcessTree`: who is whose child, and each one's numbers."""

from typing import Any

from labkit.course.architecture.process_tree import Node, ProcessTree
from labkit.course.figures import style
from labkit.course.figures.figure import Figure

INDENT, STEP = 0.34, 0.17
OUTSIDE, INSIDE = 5.0, 6.7
"""Where the two columns of numbers have their middle."""
CHIP_WIDTH, CHIP_HEIGHT = 1.3, 0.72
MOST_LETTERS = 34


def plot_tree(tree: ProcessTree) -> Figure:
    """Grey is the host's PID namespace; every other has a colour of its own."""
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
    """From a process to its parent: up, as far as the parent's row."""
    node = tree.nodes[row]
    if not node.depth:
        return
    parent = next(at for at in range(row - 1, -1, -1) if tree.nodes[at].depth < node.depth)
    left = node.depth * INDENT - STEP
    corner = ([left, left, left + STEP], [parent + 0.38, row, row])
    axes.plot(*corner, color=style.QUIET, linewidth=1.1)


def _chip(axes: Any, middle: float, row: int, text: str, tone: str) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only for who draws

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
