"""What the engine asks of a storage driver: a container's writable layer, and views of it.

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
    """What to mount as a root that may be written: a union, or without `work` one whole tree."""

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
        """Of all the unpacked layers of an image, those that its files are made of."""
        ...

    def settle(self, tree: str, below: str) -> None:
        """Finish a layer that was just unpacked on top of the layer `below` ("" for none)."""
        ...

    def make_folders(self, folder: str) -> None:
        """Make what a new container's folder holds; its files come with `writable`."""
        ...

    def copy_of(self, folder: str) -> str:
        """Where the whole tree of a container is; "" if its root is a union."""
        ...

    def writable(self, folder: str, layers: Sequence[str]) -> Writable:
        """The root of a container that does not run, to be written; OSError."""
        ...

    def readable(self, folder: str, layers: Sequence[str]) -> list[str]:
        """The folders that show a container's files when they are united; OSError."""
        ...

    def written(self, folder: str, layers: Sequence[str]) -> AbstractContextManager[str]:
        """What a container has changed, as a folder: a writable layer of overlayfs, or its like."""
        ...

    def written_bytes(self, folder: str, layers: Callable[[], list[str]]) -> int:
        """The sum of the sizes of the files that a container has written.

        `layers` gives the image's, or none if it is gone; not every driver asks.
        """
        ...


class Union:
    """Layers and one writable layer, united by overlayfs: upper/, and work/ for overlayfs."""

    is_union = True

    def __init__(self, name: str = record.OVERLAYFS) -> None:
        self.name = name

    def lower(self, trees: list[str]) -> list[str]:
        """All of them."""
        return trees

    def settle(self, tree: str, below: str) -> None:
        """A layer is finished when it is unpacked."""

    def make_folders(self, folder: str) -> None:
        """The mode of upper/ is the mode of the container's own "/", whatever the umask says."""
        for name in ("upper", "work"):
            os.mkdir(f"{folder}/{name}", 0o755)
            os.chmod(f"{folder}/{name}", 0o755)

    def copy_of(self, folder: str) -> str:
        """None: the root is a union."""
        return ""

    def writable(self, folder: str, layers: Sequence[str]) -> Writable:
        """The union as it is mounted for a container that runs."""
        return Writable(list(layers), f"{folder}/upper", f"{folder}/work")

    def readable(self, folder: str, layers: Sequence[str]) -> list[str]:
        """The writable layer on top of the image's."""
        return [f"{folder}/upper", *layers]

    @contextmanager
    def written(self, folder: str, layers: Sequence[str]) -> Iterator[str]:
        """The writable layer itself."""
        yield f"{folder}/upper"

    def written_bytes(self, folder: str, layers: Callable[[], list[str]]) -> int:
        """What is in the writable layer."""
        return comparing.size_bytes(f"{folder}/upper")


class Copies:
    """Each layer is a whole tree that shares files with the one below; a container has a copy."""

    name = record.COPIES
    is_union = False

    def lower(self, trees: list[str]) -> list[str]:
        """The topmost, which holds everything."""
        return trees[:1]

    def settle(self, tree: str, below: str) -> None:
        """Complete the layer's tree by what it leaves as it was."""
        if not below:
            return
        try:
            merging.merge(tree, below)
        except RecursionError:
            raise InvalidParameterError(TOO_DEEP) from None

    def make_folders(self, folder: str) -> None:
        """The copy is made when it is first needed."""

    def copy_of(self, folder: str) -> str:
        """The container's own tree."""
        return f"{folder}/root"

    def writable(self, folder: str, layers: Sequence[str]) -> Writable:
        """The copy, made if it is not there."""
        make_copy(layers[0], self.copy_of(folder))
        return Writable([self.copy_of(folder)], "", "")

    def readable(self, folder: str, layers: Sequence[str]) -> list[str]:
        """The same."""
        return self.writable(folder, layers).layers

    @contextmanager
    def written(self, folder: str, layers: Sequence[str]) -> Iterator[str]:
        """What differs between the copy and the image, gathered for the moment."""
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
        """What differs between the copy and the image; 0 if the image is gone."""
        found = layers()
        if not found or not os.path.isdir(self.copy_of(folder)):
            return 0
        with self._open(folder, found) as (new, old):
            return comparing.changed_bytes(new, old)

    @contextmanager
    def _open(self, folder: str, layers: Sequence[str]) -> Iterator[tuple[int, int]]:
        """The container's tree, which is the image's until there is a copy, and the image's."""
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
    """The driver that a data root was made with; overlayfs if nothing says another."""
    known = record.read(root)
    driver = known.driver if known else record.OVERLAYFS
    return Copies() if driver == record.COPIES else Union(driver)
