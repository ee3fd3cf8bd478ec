"""The layers of images and containers, and what they share: the table, and who counts what.

A layer is known by what lies below it and by the digest of its own files: two images whose lowest
layers are the same have these on disk once.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from labkit.client import Client
from labkit.client.sizes import human_size
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.lab import connect
from labkit.errors import NotFoundError
from labkit.images import ImageStore
from labkit.images.models import History
from labkit.kernel import trails
from labkit.paths import Paths

SHELL = "/bin/sh -c "
NO_LAYER = "#(nop) "


class Layer(NamedTuple):
    """A read-only layer.  `made_by` is the Dockerfile's instruction, or what stands for one."""

    diff_id: str
    made_by: str
    size_bytes: int


class Stack(NamedTuple):
    """An image's layers, the lowest first.  `written_bytes`: a container's own; None: an image."""

    name: str
    layers: tuple[Layer, ...]
    written_bytes: int | None = None

    def chain(self, height: int) -> tuple[str, ...]:
        """What the layer at this height is known by: itself and all below."""
        return tuple(layer.diff_id for layer in self.layers[: height + 1])


class Block(NamedTuple):
    """A layer as it is drawn: once, as wide as the neighbouring stacks that it belongs to."""

    height: int
    first: int
    width: int
    layer: Layer


class LayerStacks:
    """Stacks beside each other."""

    def __init__(self, stacks: Sequence[Stack]) -> None:
        self.stacks = tuple(stacks)

    @property
    def listed_bytes(self) -> int:
        """The sum of the sizes of all that is shown, as if nothing was shared."""
        layers = (layer for stack in self.stacks for layer in stack.layers)
        return sum(layer.size_bytes for layer in layers) + self.written_bytes

    @property
    def disk_bytes(self) -> int:
        """The same with each layer counted once, as it is on disk."""
        sizes = {
            stack.chain(height): layer.size_bytes
            for stack in self.stacks
            for height, layer in enumerate(stack.layers)
        }
        return sum(sizes.values()) + self.written_bytes

    @property
    def written_bytes(self) -> int:
        """What the containers have written on top."""
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
        """A row a layer of each stack, the topmost first, with whose it is besides."""
        return Table(
            ("of", "layer", "made by", "size", "shared with"),
            tuple(row for stack in self.stacks for row in self._rows(stack)),
        )

    def _rows(self, stack: Stack) -> Iterator[tuple[str, ...]]:
        if stack.written_bytes is not None:
            size = human_size(stack.written_bytes)
            yield (stack.name, "writable", "the container", size, "nobody")
        for height in reversed(range(len(stack.layers))):
            layer, chain = stack.layers[height], stack.chain(height)
            others = [
                other.name
                for other in self.stacks
                if other != stack and other.chain(height) == chain
            ]
            digest = layer.diff_id.removeprefix("sha256:")[:12]
            size = human_size(layer.size_bytes)
            yield (stack.name, digest, layer.made_by, size, ", ".join(others) or "nobody")

    def plot(self) -> Figure:
        """Draw them: a shared layer is one block below all that stand on it."""
        from labkit.course.layers.layer_plot import plot_stacks  # noqa: PLC0415 only for who draws

        return plot_stacks(self)


def layer_stacks(*names: str) -> LayerStacks:
    """The stacks of images and containers, by name; NotFoundError."""
    client, store = connect(), ImageStore(Paths.from_environment().root)
    return LayerStacks([_stack(client, store, name) for name in names])


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
    """The words of the Dockerfile for a line of the history, or else the line's comment."""
    words = (entry.created_by or "").removeprefix(SHELL)
    if words.startswith(NO_LAYER):
        return words.removeprefix(NO_LAYER).strip()
    if words != (entry.created_by or ""):
        return f"RUN {words}"
    return entry.comment or words or "imported"


def folder_bytes(folder: str) -> int:
    """What the regular files in a folder hold, in bytes; a file with two names counts once."""
    found: dict[tuple[int, int], int] = {}
    for status in trails.files(folder):
        found[status.st_dev, status.st_ino] = status.st_size
    return sum(found.values())
