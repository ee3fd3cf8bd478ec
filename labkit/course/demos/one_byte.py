"""Demo 06: one changed byte of an image, and every name above it that is no longer right."""

import gzip
import hashlib
from collections.abc import Callable
from typing import NamedTuple

from labkit.course.demos.canvas import BAD, CRIMSON, GOOD, QUIET, TEAL, Canvas, Point
from labkit.course.demos.controls import Choice
from labkit.course.demos.demo import Demo
from labkit.course.images.blob_tree import blob_tree
from labkit.paths import Paths

IMAGE = "busybox"
SHORT = 10
GZIP = b"\x1f\x8b"
BOX: Point = (290, 110)
NOTHING, LEAVE, RENAME = "nothing", "leave the names", "write the new names"


class Node(NamedTuple):
    """A blob in the picture, what names it, and where it is drawn."""

    kind: str
    named_by: tuple[str, ...]
    place: Point


NODES = (
    Node("index.json", (), (10, 200)),
    Node("manifest", ("index.json",), (310, 200)),
    Node("config", ("manifest",), (605, 50)),
    Node("layer", ("manifest", "config"), (605, 350)),
)


class OneByteDemo(Demo):
    """Digests computed again from the bytes: green is what its name says, red is not."""

    number = "06"
    title = "One changed byte"
    say = "A blob's name is the digest of its bytes; with the top name you can check all below."
    surprise = "Hiding the change means new names all the way up: the image is then another one."
    controls = (
        Choice("where", "change one byte of", (NOTHING, "layer", "config", "manifest")),
        Choice("names", "and in what is above", (LEAVE, RENAME)),
    )

    def begin(self) -> None:
        """Read the image's blobs from the engine's store; the store itself is not touched."""
        (tree,) = blob_tree(IMAGE).trees
        blobs = {"manifest": tree.manifest} | {blob.kind: blob for blob in tree.leaves}
        self._names = {kind: blob.digest for kind, blob in blobs.items()}
        self._bytes = {kind: _blob(name) for kind, name in self._names.items()}
        self.act("")

    def act(self, key: str) -> None:
        """Change the byte, and compute every digest again."""
        where, is_renamed = str(self.values["where"]), self.values["names"] == RENAME
        self._now = self._changed(where, is_renamed=is_renamed)
        self._digests = {kind: _digest(data) for kind, data in self._now.items()}
        self._written = dict(self._digests if is_renamed else self._names)

    def draw(self) -> Canvas:
        """The tree, with the name that is written above each blob and the digest of its bytes."""
        where, names, digests = str(self.values["where"]), self._written, self._digests
        canvas = Canvas(
            "; ".join(
                f"{kind}: {'as' if names[kind] == digests[kind] else 'not as'} its name says"
                for kind in names
            )
        )
        places = {node.kind: node.place for node in NODES}
        for node in NODES:
            for above in node.named_by:
                _arrow(canvas, places[above], places[node.kind], is_side=above == "config")
        for node in NODES:
            self._box(canvas, node, names.get(node.kind, ""), digests.get(node.kind, ""))
        lines = [
            f"the last byte of the {where} was {_files(self._bytes[where])[-1]:02x}, "
            f"and is {_files(self._now[where])[-1]:02x}"
            if where != NOTHING
            else "every digest is computed from the bytes in the store",
            "red: not the bytes that the first name at the top stands for",
        ]
        for row, line in enumerate(lines):
            canvas.words((10, 478 + 34 * row), line, ink=QUIET)
        return canvas

    def _changed(self, where: str, *, is_renamed: bool) -> dict[str, bytes]:
        """The bytes of each blob: one changed, and with `is_renamed` the names in those above."""
        found = dict(self._bytes)
        if where == NOTHING:
            return found
        found[where] = _layer(found[where], _flip) if where == "layer" else _flip(found[where])
        if is_renamed:
            self._rename(found, "config", _files(self._bytes["layer"]), _files(found["layer"]))
            self._rename(found, "manifest", self._bytes["layer"], found["layer"])
            self._rename(found, "manifest", self._bytes["config"], found["config"])
        return found

    def _rename(self, found: dict[str, bytes], kind: str, old: bytes, new: bytes) -> None:
        """Write the digest of `new` where that of `old` is."""
        found[kind] = found[kind].replace(_digest(old).encode(), _digest(new).encode())

    def _box(self, canvas: Canvas, node: Node, name: str, digest: str) -> None:
        if not name:
            canvas.box(node.place, (BOX[0] - 40, BOX[1]), node.kind, IMAGE, face="#FFFFFF")
            return
        is_new = name != self._names[node.kind]
        is_right = digest == self._names[node.kind]
        canvas.box(
            node.place,
            BOX if node.kind != "manifest" else (BOX[0] - 30, BOX[1]),
            f"{node.kind}{', renamed' if is_new else ''}",
            f"name {_short(name)}",
            f"bytes {_short(digest)}",
            face=GOOD if is_right else BAD,
            edge=TEAL if is_right else CRIMSON,
            thick=2 if is_right else 5,
        )


def _flip(data: bytes) -> bytes:
    """The data with one bit of its last byte turned."""
    return data[:-1] + bytes([data[-1] ^ 1])


def _files(layer: bytes) -> bytes:
    """A layer's archive as it is unpacked: the config names it by these bytes' digest."""
    return gzip.decompress(layer) if layer[:2] == GZIP else layer


def _layer(layer: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The layer with its archive changed, packed as before."""
    changed = change(_files(layer))
    return gzip.compress(changed, mtime=0) if layer[:2] == GZIP else changed


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _blob(digest: str) -> bytes:
    """A blob of the engine's store, which is an OCI image layout."""
    root = Paths.from_environment().root
    with open(f"{root}/images/blobs/{digest.replace(':', '/')}", "rb") as file:
        return file.read()


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:SHORT]


def _arrow(canvas: Canvas, above: Point, below: Point, *, is_side: bool) -> None:
    if is_side:
        x = below[0] + BOX[0] / 2
        canvas.arrow((x, above[1] + BOX[1]), (x, below[1]))
    else:
        start = (above[0] + BOX[0] - 40, above[1] + BOX[1] / 2)
        canvas.arrow(start, (below[0], below[1] + BOX[1] / 2))
