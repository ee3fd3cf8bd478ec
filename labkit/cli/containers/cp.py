"""`labkit cp`: copy files between a container and this machine.

The rules are those of Docker's command: an existing folder is copied *into*, a name that does not
exist yet becomes the copy's, and `FOLDER/.` means the content of the folder.
"""

import os
import sys

from labkit.cli.archives.packing import Source, pack, unpack
from labkit.cli.base.command import Command, Context
from labkit.cli.base.errors import UsageError
from labkit.cli.base.flags import Flag
from labkit.cli.base.output import write
from labkit.client.api import Api, container_path
from labkit.client.archive import PathStat, get_archive, path_stat, put_archive
from labkit.dialect.frames import STDOUT
from labkit.dialect.sizes import human_size
from labkit.errors import InvalidParameterError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

COMMAND = Command(
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n        labkit cp [OPTIONS] SRC_PATH|- "
    "CONTAINER:DEST_PATH",
    (
        Flag("archive", "a", "bool", "Keep the numbers of users and groups"),
        Flag("follow-link", "L", "bool", "Copy what a symbolic link in SRC_PATH points to"),
        Flag("quiet", "q", "bool", "Do not say how much was copied"),
    ),
    at_least=2,
    at_most=2,
)
STREAM = "-"
READ_BYTES = 256 * 1024


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Copy; if stderr is a terminal, print there how much was copied."""
    (from_container, source), (to_container, destination) = map(_place, arguments)
    if bool(from_container) == bool(to_container):
        raise UsageError(
            "copying between containers is not supported"
            if from_container
            else "must specify at least one container source: CONTAINER:PATH"
        )
    api = context.api()
    # HEAD, which asks about paths, has no message for a missing container.
    api.get(f"{container_path(from_container or to_container)}/json")
    copy = Copy(api, from_container or to_container, options)
    (copy.out if from_container else copy.into)(source, destination)
    if not options["quiet"] and destination != STREAM and sys.stderr.isatty():
        size = human_size(copy.copied_bytes)
        sys.stderr.write(f"Successfully copied {size} to {arguments[1]}\n")
    return 0


def _place(text: str) -> tuple[str, str]:
    """Split `web:/etc` into a container and a path in it; a local path has an empty container."""
    name, colon, path = text.partition(":")
    if text.startswith(("/", ".")) or not colon or "/" in name:
        return "", text
    if not path:
        raise InvalidParameterError(f"{text}: a path is needed after the colon")
    return name, path if path.startswith("/") else f"/{path}"


class Copy:
    """One copy from or to a container."""

    def __init__(self, api: Api, container: str, options: "dict[str, Any]") -> None:
        self._api = api
        self._container = container
        self._options = options
        self.copied_bytes = 0

    def out(self, source: str, destination: str) -> None:
        """Copy from the container's path to a local one, or to stdout as an archive."""
        found = self._look(source)
        if found is None:
            raise NotFoundError(f"Could not find the file {source} in container {self._container}")
        if self._options["follow_link"] and found.link_target:
            source = _linked(source, found)
        pieces, found = get_archive(self._api, self._container, source)
        if destination == STREAM:
            if sys.stdout.isatty():
                raise InvalidParameterError("stdout is a terminal, not for archives: redirect it")
            for piece in pieces:
                write(STDOUT, piece)
            return
        name = "" if _is_content(source) else found.name
        folder, name = _local_target(destination, name, found.is_directory)
        unpack(self._counted(pieces), folder, name, keep_owners=self._options["archive"])

    def into(self, source: str, destination: str) -> None:
        """Copy from a local path, or from an archive on stdin, to the container's."""
        target = self._look(destination)
        if target and target.link_target:
            destination = _linked(destination, target)
            target = self._look(destination)
        if source == STREAM:
            if target and not target.is_directory:
                raise InvalidParameterError(f'destination "{destination}" must be a directory')
            self._put(destination, iter(lambda: sys.stdin.buffer.read(READ_BYTES), b""))
            return
        local = Source(source, follow=self._options["follow_link"])
        folder, name = _container_target(destination, target, local)
        self._put(folder, pack(local, name))

    def _put(self, folder: str, pieces: "Iterable[bytes]") -> None:
        as_user = self._options["archive"]
        put_archive(self._api, self._container, folder, self._counted(pieces), as_user=as_user)

    def _look(self, path: str) -> "PathStat | None":
        try:
            return path_stat(self._api, self._container, path)
        except NotFoundError:
            return None

    def _counted(self, pieces: "Iterable[bytes]") -> "Iterator[bytes]":
        for piece in pieces:
            self.copied_bytes += len(piece)
            yield piece


def _local_target(destination: str, name: str, is_directory: bool) -> tuple[str, str]:
    """Return the folder to unpack in, and the copy's name there; empty: the folder itself."""
    if os.path.isdir(destination):
        return destination, name
    parent, new_name = os.path.split(destination.rstrip("/"))
    if not os.path.isdir(parent or "."):
        raise InvalidParameterError(f'invalid output path: directory "{parent}" does not exist')
    if os.path.lexists(destination) and is_directory:
        raise InvalidParameterError(f"cannot copy a directory to the file {destination}")
    if destination.endswith("/") and not is_directory:
        raise InvalidParameterError(f'destination "{destination}" must be a directory')
    return parent or ".", new_name


def _container_target(
    destination: str, target: "PathStat | None", source: Source
) -> tuple[str, str]:
    """Return the container's folder to unpack in, and the copy's name there."""
    if target and target.is_directory:
        return destination, "." if source.is_content else source.name
    if target and source.is_directory:
        raise InvalidParameterError(f"cannot copy a directory to the file {destination}")
    if destination.endswith("/") and not source.is_directory:
        raise InvalidParameterError(f'destination "{destination}" must be a directory')
    folder, name = os.path.split(destination.rstrip("/"))
    return folder or "/", name


def _linked(path: str, link: PathStat) -> str:
    return os.path.join(os.path.dirname(path.rstrip("/")), link.link_target)


def _is_content(path: str) -> bool:
    return path.endswith("/.")
