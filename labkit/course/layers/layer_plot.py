"""The picture of `layer_stacks`: blocks on each other, a shared one below all that share it."""

from typing import Any

from labkit.client.sizes import human_size
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.layers.layer_stack import Block, LayerStacks

GAP = 0.035
LETTERS_A_FIGURE = 104
"""How many letters of a block's words would fit beside each other in the whole picture."""


def plot_stacks(stacks: LayerStacks) -> Figure:
    """A column a stack, with its name above; sizes stand in the blocks."""
    columns = len(stacks.stacks)
    rows = max(len(stack.layers) + (stack.written_bytes is not None) for stack in stacks.stacks)
    with style.picture(height_in=0.85 + 0.56 * rows) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(0, columns), ylim=(0, rows + 0.5))
        axes.set_axis_off()
        for block in stacks.blocks():
            _draw_layer(axes, block, columns)
        for column, stack in enumerate(stacks.stacks):
            top = len(stack.layers)
            if stack.written_bytes is not None:
                _box(axes, (column, top), 1, style.colour(3), style.colour(3))
                size = human_size(stack.written_bytes)
                _words(axes, (column + 0.5, top), "writable layer", size, style.INK)
                top += 1
            axes.text(column + 0.5, top + 0.22, stack.name, ha="center", fontweight="bold")
        style.headline(drawing, _finding(stacks), "dark: shared")
    return Figure(drawing, alt=_alt(stacks), table=stacks.table())


def _finding(stacks: LayerStacks) -> str:
    if stacks.listed_bytes == stacks.disk_bytes:
        return f"{human_size(stacks.disk_bytes)} in layers"
    listed, disk = human_size(stacks.listed_bytes), human_size(stacks.disk_bytes)
    return f"{listed} if each had its own, {disk} on disk"


def _alt(stacks: LayerStacks) -> str:
    each = "; ".join(
        f"{stack.name}: "
        + ", ".join(f"{layer.made_by} ({human_size(layer.size_bytes)})" for layer in stack.layers)
        + (
            ""
            if stack.written_bytes is None
            else f", a writable layer ({human_size(stack.written_bytes)})"
        )
        for stack in stacks.stacks
    )
    return f"Stacks of layers, from the lowest up. {each}. {_finding(stacks)}."


def _draw_layer(axes: Any, block: Block, columns: int) -> None:
    is_shared = block.width > 1
    face = style.colour(0) if is_shared else style.PALE
    _box(axes, (block.first, block.height), block.width, face, style.colour(0))
    letters = LETTERS_A_FIGURE * block.width // columns - 2
    made = block.layer.made_by
    shown = made if len(made) <= letters else made[: letters - 1] + "…"
    ink = "white" if is_shared else style.INK
    place = (block.first + block.width / 2, block.height)
    _words(axes, place, shown, human_size(block.layer.size_bytes), ink)


def _words(axes: Any, place: tuple[float, float], first: str, second: str, ink: str) -> None:
    middle: Any = {"ha": "center", "va": "center", "color": ink}
    axes.text(place[0], place[1] + 0.65, first, fontsize=8, parse_math=False, **middle)
    axes.text(place[0], place[1] + 0.29, second, fontsize=8.5, fontweight="bold", **middle)


def _box(axes: Any, corner: tuple[float, float], width: int, face: str, edge: str) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only for who draws

    axes.add_patch(
        Rectangle(
            (corner[0] + GAP, corner[1] + 0.03),
            width - 2 * GAP,
            0.92,
            facecolor=face,
            edgecolor=edge,
            linewidth=1.2,
        )
    )
