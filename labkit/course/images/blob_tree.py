"""The blobs of images, from `index.json` down: manifest, config, layers, and which are shared.

Everything comes from the store's own files: an OCI image layout, in which the name of a blob's file
is the digest of its content.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.dialect.sizes import human_size
from labkit.images import ImageStore
from labkit.images.models import Descriptor
from labkit.paths import Paths

SHORT_DIGITS = 12


class Blob(NamedTuple):
    """A file of the layout.  `kind` names its content: "manifest", "config" or "layer"."""

    kind: str
    digest: str
    size_bytes: int

    @property
    def short(self) -> str:
        """The first digits of the digest."""
        return self.digest.removeprefix("sha256:")[:SHORT_DIGITS]


class Tree(NamedTuple):
    """One image: the manifest of its name, and the blobs that the manifest names."""

    name: str
    manifest: Blob
    leaves: tuple[Blob, ...]
    """The config and the layers, the lowest layer first."""


class BlobTree:
    """The trees of some images side by side."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self.trees = tuple(trees)

    def owners(self, blob: Blob) -> tuple[str, ...]:
        """The names of the images that contain a blob."""
        return tuple(
            tree.name for tree in self.trees if blob in tree.leaves or blob == tree.manifest
        )

    def leaves(self) -> list[Blob]:
        """Each config and layer once: the first image's own, then shared ones, then the rest."""
        every = list(dict.fromkeys(blob for tree in self.trees for blob in tree.leaves))
        first = self.trees[0].name
        own = [blob for blob in every if self.owners(blob) == (first,)]
        shared = [blob for blob in every if len(self.owners(blob)) > 1]
        return [*own, *shared, *(blob for blob in every if blob not in own + shared)]

    def shared_bytes(self) -> int:
        """The size of the blobs that more than one image contains, each counted once."""
        return sum(blob.size_bytes for blob in self.leaves() if len(self.owners(blob)) > 1)

    def table(self) -> Table:
        """A row for each blob of each image, from the top of its tree down."""
        return Table(("of", "blob", "digest", "size (B)", "shared with"), tuple(self._rows()))

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for tree in self.trees:
            for blob in (tree.manifest, *tree.leaves):
                others = [name for name in self.owners(blob) if name != tree.name]
                yield (
                    tree.name,
                    blob.kind,
                    blob.short,
                    str(blob.size_bytes),
                    ", ".join(others) or "–",
                )

    def plot(self) -> Figure:
        """Draw the trees, with shared blobs in the dark colour."""
        return draw(self)

    def __repr__(self) -> str:
        return str(self.table())

    def finding(self) -> str:
        """The finding, as a sentence."""
        shared = [blob for blob in self.leaves() if len(self.owners(blob)) > 1]
        if not shared:
            return f"{len(self.leaves()) + len(self.trees)} blobs"
        held = human_size(self.shared_bytes())
        return f"{len(shared)} blobs ({held}) belong to more than one image, and lie there once"


def blob_tree(*names: str) -> BlobTree:
    """The blobs of the lab's images with these names; NotFoundError."""
    store = ImageStore(Paths.from_environment().root)
    return BlobTree([_tree(store, name) for name in names])


def _tree(store: ImageStore, name: str) -> Tree:
    image = store.resolve(name)
    layers = (_blob("layer", layer) for layer in image.manifest.layers)
    leaves = (_blob("config", image.manifest.config), *layers)
    return Tree(name, _blob("manifest", store.entry(image)), leaves)


def _blob(kind: str, descriptor: Descriptor) -> Blob:
    return Blob(kind, descriptor.digest, descriptor.size)


# The picture of `blob_tree`: from `index.json` at the left to configs and layers at the right.


COLUMNS = {"index": 0.0, "manifest": 0.31, "leaf": 0.68}
"""The left edge of the boxes of each kind; the figure has the width 1."""
WIDTHS = {"index": 0.17, "manifest": 0.24, "leaf": 0.32}
HEIGHT = 0.7
"""The height of a box; a row has the height 1."""
ROW_IN = 0.5


def draw(tree: BlobTree) -> Figure:
    """Draw the whole picture."""
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
    """The row of a manifest: the manifests are as far from each other as possible."""
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
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only drawing needs it

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
    """Write the image's name on the line from the index to its manifest."""
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
