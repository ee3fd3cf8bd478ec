"""The interface of a storage driver: a container's writable layer, and views of it.

`folder` is a folder of the data root that belongs to one container or to one step of a build.
`layers` are the folders that make its image (`lower`), the topmost first.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from shutil import rmtree
from typing import NamedTuple, Protocol

from labkit.errors import InvalidParameterError
from labkit.kernel.copies import make_copy
from labkit.snapshots import comparing, merging, record

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


TOO_DEEP = (
    "the folders are nested too deeply for the storage driver copies: keep the data root on a file "
    "system that holds overlays"
)


class Writable(NamedTuple):
    """The mount of a writable root: a union, or without `work` one whole tree."""

    layers: list[str]
    upper: str
    work: str


class Snapshotter(Protocol):
    """A storage driver."""

    name: str
    """`overlayfs`, `loop` or `copies`."""
    is_union: bool
    """Whether layers stay apart, and the kernel unites them."""

    def lower(self, trees: list[str]) -> list[str]:
        """Return those of an image's unpacked layers that show its files."""
        ...

    def settle(self, tree: str, below: str) -> None:
        """Finish a layer that was just unpacked on top of the layer `below` ("" for none)."""
        ...

    def make_folders(self, folder: str) -> None:
        """Make the folders of a new container; `writable` makes its files."""
        ...

    def copy_of(self, folder: str) -> str:
        """Return the path of a container's whole tree; "" if its root is a union."""
        ...

    def writable(self, folder: str, layers: Sequence[str]) -> Writable:
        """Return the writable root of a container that does not run; OSError."""
        ...

    def readable(self, folder: str, layers: Sequence[str]) -> list[str]:
        """Return the folders that, united, show a container's files; OSError."""
        ...

    def written(self, folder: str, layers: Sequence[str]) -> AbstractContextManager[str]:
        """Give a container's changes as a folder: overlayfs's writable layer, or its like."""
        ...

    def written_bytes(self, folder: str, layers: Callable[[], list[str]]) -> int:
        """Return the sum of the sizes of the files that a container has written.

        `layers` returns the image's, or none if it was removed; not every driver calls it.
        """
        ...


class Union:
    """Layers and one writable layer, united by overlayfs: upper/, and work/ for overlayfs."""

    is_union = True

    def __init__(self, name: str = record.OVERLAYFS) -> None:
        self.name = name

    def lower(self, trees: list[str]) -> list[str]:
        """Return all of them."""
        return trees

    def settle(self, tree: str, below: str) -> None:
        """Do nothing: a layer is finished when it is unpacked."""

    def make_folders(self, folder: str) -> None:
        """Make upper/ and work/; the mode of upper/ is that of the container's "/"."""
        for name in ("upper", "work"):
            os.mkdir(f"{folder}/{name}", 0o755)
            os.chmod(f"{folder}/{name}", 0o755)

    def copy_of(self, folder: str) -> str:
        """Return "": the root is a union."""
        return ""

    def writable(self, folder: str, layers: Sequence[str]) -> Writable:
        """Return the union that is mounted for a running container."""
        return Writable(list(layers), f"{folder}/upper", f"{folder}/work")

    def readable(self, folder: str, layers: Sequence[str]) -> list[str]:
        """Return the writable layer on top of the image's."""
        return [f"{folder}/upper", *layers]

    @contextmanager
    def written(self, folder: str, layers: Sequence[str]) -> Iterator[str]:
        """Give the writable layer itself."""
        yield f"{folder}/upper"

    def written_bytes(self, folder: str, layers: Callable[[], list[str]]) -> int:
        """Return the size of the writable layer."""
        return comparing.size_bytes(f"{folder}/upper")


class Copies:
    """Each layer is a whole tree that shares files with the one below; a container has a copy."""

    name = record.COPIES
    is_union = False

    def lower(self, trees: list[str]) -> list[str]:
        """Return the topmost, which has all files."""
        return trees[:1]

    def settle(self, tree: str, below: str) -> None:
        """Complete the layer's tree by the unchanged files of the layer below."""
        if not below:
            return
        try:
            merging.merge(tree, below)
        except RecursionError:
            raise InvalidParameterError(TOO_DEEP) from None

    def make_folders(self, folder: str) -> None:
        """Do nothing: the copy is made at the first use."""

    def copy_of(self, folder: str) -> str:
        """Return the container's own tree."""
        return f"{folder}/root"

    def writable(self, folder: str, layers: Sequence[str]) -> Writable:
        """Return the copy, which is made if it is missing."""
        make_copy(layers[0], self.copy_of(folder))
        return Writable([self.copy_of(folder)], "", "")

    def readable(self, folder: str, layers: Sequence[str]) -> list[str]:
        """Return the same copy."""
        return self.writable(folder, layers).layers

    @contextmanager
    def written(self, folder: str, layers: Sequence[str]) -> Iterator[str]:
        """Give the difference between copy and image, gathered during the block."""
        place = f"{folder}/changes"
        with suppress(FileNotFoundError):
            rmtree(place)
        os.mkdir(place, 0o755)
        try:
            with self._open(folder, layers) as (new, old):
                out = os.open(place, _FOLDER)
                try:
                    comparing.gather(new, old, out)
                except comparing.TooDeepError:
                    raise InvalidParameterError(TOO_DEEP) from None
                except comparing.MarkedNameError as error:
                    raise InvalidParameterError(
                        f"the file {error} cannot be kept in a layer: names that begin with "
                        f"{comparing.WHITEOUT} stand for deleted files there"
                    ) from None
                finally:
                    os.close(out)
            yield place
        finally:
            rmtree(place)

    def written_bytes(self, folder: str, layers: Callable[[], list[str]]) -> int:
        """Return the size of the difference; 0 if the image was removed."""
        found = layers()
        if not found or not os.path.isdir(self.copy_of(folder)):
            return 0
        with self._open(folder, found) as (new, old):
            return comparing.changed_bytes(new, old)

    @contextmanager
    def _open(self, folder: str, layers: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Open the container's tree (the image's before there is a copy), and the image's."""
        old = os.open(layers[0], _FOLDER)
        try:
            with suppress(FileNotFoundError):
                new = os.open(self.copy_of(folder), _FOLDER)
                try:
                    yield new, old
                finally:
                    os.close(new)
                return
            yield old, old
        finally:
            os.close(old)


def of(root: str) -> Snapshotter:
    """Return the driver that a data root was made with; overlayfs if it has no record."""
    known = record.read(root)
    driver = known.driver if known else record.OVERLAYFS
    return Copies() if driver == record.COPIES else Union(driver)
