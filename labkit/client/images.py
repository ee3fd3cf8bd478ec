"""Images, with docker-py's names."""

import builtins
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from labkit.client.api import Api, image_path
from labkit.client.events import lines
from labkit.client.transfers import pull_events, push_events
from labkit.errors import LabkitError

READ_BYTES = 256 * 1024


class Image:
    """An image.  `attrs` is the answer of `inspect` when the object was made."""

    def __init__(self, attrs: dict[str, Any]) -> None:
        self.attrs = attrs

    def __repr__(self) -> str:
        return f"<Image: {', '.join(self.tags) or self.short_id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> str:
        """`sha256:` and the digest of the image's configuration."""
        return str(self.attrs["Id"])

    @property
    def short_id(self) -> str:
        """`sha256:` and the first twelve digits."""
        return self.id[:19]

    @property
    def tags(self) -> list[str]:
        """Its names: `["busybox:latest"]`."""
        return [tag for tag in self.attrs.get("RepoTags") or [] if tag != "<none>:<none>"]

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        config = self.attrs.get("Config") or self.attrs
        return dict(config.get("Labels") or {})


class ImageCollection:
    """`client.images`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def get(self, name: str) -> Image:
        """Return the image with this name or id; NotFoundError."""
        return Image(self._api.get(f"{image_path(name)}/json"))

    def list(self) -> "list[Image]":
        """Return all images, the newest first."""
        return [Image(attrs) for attrs in self._api.get("/images/json")]

    def remove(self, image: str, *, force: bool = False, noprune: bool = False) -> None:
        """Remove the name; the last name removes the layers.  NotFoundError, ConflictError."""
        self._api.delete(image_path(image), force=force, noprune=noprune)

    def tag(self, image: str, repository: str, tag: str = "") -> None:
        """Give an image one more name; NotFoundError, InvalidParameterError."""
        self._api.post(f"{image_path(image)}/tag", repo=repository, tag=tag or None)

    def history(self, image: str) -> Sequence[dict[str, Any]]:
        """Return its origin, the newest first: `Id`, `CreatedBy`, `Size`, ….  NotFoundError."""
        return [*self._api.get(f"{image_path(image)}/history")]

    def pull(self, repository: str, tag: str = "", platform: str = "") -> Image:
        """Get an image from its registry, `latest` without a tag; NotFoundError, LabkitError."""
        name = f"{repository}:{tag}" if tag else repository
        for _ in pull_events(self._api, name, platform=platform):
            pass
        return self.get(name)

    def push(self, repository: str, tag: str = "") -> "builtins.list[dict[str, Any]]":
        """Copy an image to its registry; return the daemon's messages.  LabkitError."""
        return [*push_events(self._api, f"{repository}:{tag}" if tag else repository)]

    def import_image(
        self,
        source: "str | BinaryIO",
        repository: str = "",
        tag: str = "",
        changes: Sequence[str] = (),
        message: str = "",
    ) -> Image:
        """Make an image of one layer from an archive (tar; plain, gzip or zstd) of a root tree.

        `source` is the archive's path or a file open for reading bytes; `changes` are Dockerfile
        instructions such as `CMD ["sh"]`.
        """
        if isinstance(source, str):
            with open(source, "rb") as file:
                return self.import_image(file, repository, tag, changes, message)
        image_id = ""
        for event in import_events(
            self._api, pieces_of(source), repository, tag, changes=changes, message=message
        ):
            image_id = event.get("status", image_id)
        return self.get(image_id)


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of the file, in pieces."""
    while piece := file.read(READ_BYTES):
        yield piece


def import_events(
    api: Api,
    pieces: Iterable[bytes],
    repository: str,
    tag: str,
    *,
    changes: Sequence[str] = (),
    message: str = "",
    source: str = "-",
) -> Iterator[dict[str, Any]]:
    """Send an archive to be imported; yield the daemon's messages.

    With a URL as the `source` the daemon fetches the archive from there.

    The last message's `status` is the new image's id.  LabkitError for an error in the stream.
    """
    response = api.upload(
        "/images/create",
        pieces,
        fromSrc=source,
        repo=repository or None,
        tag=tag or None,
        changes=list(changes) or None,
        message=message or None,
    )
    yield from _messages(response)


def load_events(api: Api, pieces: Iterable[bytes], platform: str = "") -> Iterator[dict[str, Any]]:
    """Send an archive of images; yield the daemon's messages.

    Each image must be for the platform, if one is given.
    Those about images have a `stream`: `Loaded image: …`.  LabkitError for an error.
    """
    yield from _messages(api.upload("/images/load", pieces, platform=platform or None))


def _messages(response: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines(response):
        event = json.loads(line)
        if "error" in event:
            raise LabkitError(str(event["error"]))
        yield event


def split_tag(reference: str) -> tuple[str, str]:
    """Return name and tag; a colon before a slash belongs to a registry's port."""
    folder, slash, last = reference.rpartition("/")
    name, _, tag = last.partition(":")
    return folder + slash + name, tag
