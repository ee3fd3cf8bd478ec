"""The blobs of images, from `index.json` down: manifest, config, layers; and who shares which.

Everything comes from the store's own files: an OCI image layout, in which a blob is a file whose
name is the digest of what is in it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from labkit.client.sizes import human_size
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.images import ImageStore
from labkit.images.models import Descriptor
from labkit.paths import Paths

SHORT_DIGITS = 12


class Blob(NamedTuple):
    """A file of the layout.  `kind` says what is in it: "manifest", "config" or "layer"."""

    kind: str
    digest: str
    size_bytes: int

    @property
    def short(self) -> str:
        """The first digits of the digest."""
        return self.digest.removeprefix("sha256:")[:SHORT_DIGITS]


class Tree(NamedTuple):
    """One image: the manifest that its name stands at, and the blobs which that one names."""

    name: str
    manifest: Blob
    leaves: tuple[Blob, ...]
    """The config, and the layers, the lowest first."""


class BlobTree:
    """The trees of some images beside each other."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self.trees = tuple(trees)

    def owners(self, blob: Blob) -> tuple[str, ...]:
        """The names of the images that stand on a blob."""
        return tuple(
            tree.name for tree in self.trees if blob in tree.leaves or blob == tree.manifest
        )

    def leaves(self) -> list[Blob]:
        """Each config and layer once: what is the first image's own, what is shared, the rest."""
        every = list(dict.fromkeys(blob for tree in self.trees for blob in tree.leaves))
        first = self.trees[0].name
        own = [blob for blob in every if self.owners(blob) == (first,)]
        shared = [blob for blob in every if len(self.owners(blob)) > 1]
        return [*own, *shared, *(blob for blob in every if blob not in own + shared)]

    def shared_bytes(self) -> int:
        """What the blobs hold that more than one of the images stand on, each counted once."""
        return sum(blob.size_bytes for blob in self.leaves() if len(self.owners(blob)) > 1)

    def table(self) -> Table:
        """A row for each image's each blob, in the order in which one finds them."""
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
                    ", ".join(others) or "nobody",
                )

    def plot(self) -> Figure:
        """Draw them, with what is shared in the dark colour."""
        from labkit.course.images.blob_tree_plot import draw  # noqa: PLC0415 only for who draws

        return draw(self)

    def __repr__(self) -> str:
        return str(self.table())

    def finding(self) -> str:
        """What one sees, as a sentence."""
        shared = [blob for blob in self.leaves() if len(self.owners(blob)) > 1]
        if not shared:
            return f"{len(self.leaves()) + len(self.trees)} blobs"
        held = human_size(self.shared_bytes())
        return f"{len(shared)} blobs ({held}) belong to more than one image, and lie there once"


def blob_tree(*names: str) -> BlobTree:
    """The blobs of the lab's images of these names; NotFoundError."""
    store = ImageStore(Paths.from_environment().root)
    return BlobTree([_tree(store, name) for name in names])


def _tree(store: ImageStore, name: str) -> Tree:
    image = store.resolve(name)
    layers = (_blob("layer", layer) for layer in image.manifest.layers)
    leaves = (_blob("config", image.manifest.config), *layers)
    return Tree(name, _blob("manifest", store.entry(image)), leaves)


def _blob(kind: str, descriptor: Descriptor) -> Blob:
    return Blob(kind, descriptor.digest, descriptor.size)
