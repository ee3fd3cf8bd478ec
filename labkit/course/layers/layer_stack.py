"""The layers of images and containers, and which of them are shared: the table and the picture.

A layer is identified by the digest of its files and by the layers below it: if the lowest layers
of two images are the same, they are on disk once.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from labkit.client import Client
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.lab import connect
from labkit.dialect.sizes import human_size
from labkit.errors import NotFoundError
from labkit.images import ImageStore
from labkit.images.models import History
from labkit.kernel import trails
from labkit.paths import Paths

SHELL = "/bin/sh -c "
NO_LAYER = "#(nop) "
ALONE = "–"
"""In the place of a name: no other image has this layer."""


class Layer(NamedTuple):
    """A read-only layer.  `made_by` is the Dockerfile's instruction, or a comment instead."""

    diff_id: str
    made_by: str
    size_bytes: int


class Stack(NamedTuple):
    """An image's layers, the lowest first; a container also has `written_bytes`."""

    name: str
    layers: tuple[Layer, ...]
    written_bytes: int | None = None

    def chain(self, height: int) -> tuple[str, ...]:
        """The identity of the layer at this height: itself and all layers below."""
        return tuple(layer.diff_id for layer in self.layers[: height + 1])


class Block(NamedTuple):
    """A layer in the picture: drawn once, across all neighbouring stacks that contain it."""

    height: int
    first: int
    width: int
    layer: Layer


class LayerStacks:
    """Stacks side by side; `others` are the engine's other images, which may share layers."""

    def __init__(self, stacks: Sequence[Stack], others: Sequence[Stack] = ()) -> None:
        self.stacks = tuple(stacks)
        self._others = tuple(others)

    @property
    def listed_bytes(self) -> int:
        """The sum of all sizes in the picture, as if nothing were shared."""
        layers = (layer for stack in self.stacks for layer in stack.layers)
        return sum(layer.size_bytes for layer in layers) + self.written_bytes

    @property
    def disk_bytes(self) -> int:
        """The same sum with each layer counted once, as on disk."""
        sizes = {
            stack.chain(height): layer.size_bytes
            for stack in self.stacks
            for height, layer in enumerate(stack.layers)
        }
        return sum(sizes.values()) + self.written_bytes

    @property
    def written_bytes(self) -> int:
        """The bytes in the containers' writable layers."""
        return sum(stack.written_bytes or 0 for stack in self.stacks)

    def blocks(self) -> list[Block]:
        """The layers to draw, row by row from the bottom."""
        return list(self._blocks())

    def _blocks(self) -> Iterator[Block]:
        for height in range(max(len(stack.layers) for stack in self.stacks)):
            first = 0
            while first < len(self.stacks):
                stack, count = self.stacks[first], 1
                if height < len(stack.layers):
                    chain = stack.chain(height)
                    while (
                        first + count < len(self.stacks)
                        and self.stacks[first + count].chain(height) == chain
                    ):
                        count += 1
                    yield Block(height, first, count, stack.layers[height])
                first += count

    def __repr__(self) -> str:
        return str(self.table())

    def table(self) -> Table:
        """A row for each layer of each stack, the topmost first, with the images that share it."""
        return Table(
            ("of", "layer", "made by", "size", "shared with"),
            tuple(row for stack in self.stacks for row in self._rows(stack)),
        )

    def _rows(self, stack: Stack) -> Iterator[tuple[str, ...]]:
        if stack.written_bytes is not None:
            size = human_size(stack.written_bytes)
            yield (stack.name, "writable", "the container", size, ALONE)
        for height in reversed(range(len(stack.layers))):
            layer, chain = stack.layers[height], stack.chain(height)
            others = [
                other.name
                for other in (*self.stacks, *self._others)
                if other != stack and other.chain(height) == chain
            ]
            digest = layer.diff_id.removeprefix("sha256:")[:12]
            size = human_size(layer.size_bytes)
            yield (stack.name, digest, layer.made_by, size, ", ".join(others) or ALONE)

    def plot(self) -> Figure:
        """Draw the stacks: a shared layer is one block below all that contain it."""
        return plot_stacks(self)


def layer_stacks(*names: str) -> LayerStacks:
    """The stacks of images and containers, by name.  NotFoundError if one does not exist."""
    client, store = connect(), ImageStore(Paths.from_environment().root)
    tags = sorted(tag.removesuffix(":latest") for one in client.images.list() for tag in one.tags)
    return LayerStacks(
        [_stack(client, store, name) for name in names],
        [Stack(tag, _layers(store, tag)) for tag in tags if tag not in names],
    )


def _stack(client: Client, store: ImageStore, name: str) -> Stack:
    try:
        container = client.containers.get(name)
    except NotFoundError:
        return Stack(name, _layers(store, name))
    written = folder_bytes(container.attrs["GraphDriver"]["Data"]["UpperDir"])
    return Stack(container.name, _layers(store, container.attrs["Image"]), written)


def _layers(store: ImageStore, name: str) -> tuple[Layer, ...]:
    image = store.resolve(name)
    made = [made_by(entry) for entry in image.history if not entry.empty_layer]
    return tuple(
        Layer(*found) for found in zip(image.diff_ids, made, store.layer_sizes(image), strict=True)
    )


def made_by(entry: History) -> str:
    """The Dockerfile's instruction for a line of the history, or else the line's comment."""
    words = (entry.created_by or "").removeprefix(SHELL)
    if words.startswith(NO_LAYER):
        return words.removeprefix(NO_LAYER).strip()
    if words != (entry.created_by or ""):
        return f"RUN {words}"
    return entry.comment or words or "imported"


def folder_bytes(folder: str) -> int:
    """The size of the regular files in a folder, in bytes; a file with two names counts once."""
    found: dict[tuple[int, int], int] = {}
    for status in trails.files(folder):
        found[status.st_dev, status.st_ino] = status.st_size
    return sum(found.values())


# The picture of `layer_stacks`: blocks on each other, a shared one below all that share it.


GAP = 0.035
LETTERS_A_FIGURE = 104
"""The number of letters that fit side by side in the whole picture."""


def plot_stacks(stacks: LayerStacks) -> Figure:
    """Draw a column for each stack, with its name above; sizes are in the blocks."""
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
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only drawing needs it

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
