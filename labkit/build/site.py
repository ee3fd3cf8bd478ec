"""A stage's view of its build: the engine, the options, the cache, files from elsewhere.

Instructions are functions on a stage, and a stage knows this much and no more, so that neither
needs the whole build (`builder.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from labkit.build.cache import Cache
from labkit.build.cancellation import Cancellation
from labkit.build.context.archive import Archive
from labkit.build.dockerfile.model import Dockerfile
from labkit.build.options import Options
from labkit.build.solver import Report
from labkit.build.workroom import Workroom
from labkit.containers import Engine
from labkit.images import Draft, Image
from labkit.images.archives.layer_packer import MADE_BY_LABKIT
from labkit.images.models import Platform
from labkit.images.shell_words import BACKSLASH, Expander


class Site(Protocol):
    """A build, as its stages see it; `number` is a stage's, `tell` gets what happens."""

    engine: Engine
    options: Options
    workroom: Workroom
    cancellation: Cancellation
    cache: Cache
    platform: Platform
    epoch: datetime | None
    """The time of all images of this build (SOURCE_DATE_EPOCH); None: when they are made."""
    dockerfile: Dockerfile
    global_arguments: dict[str, str]

    @property
    def context(self) -> Archive:
        """The files that the client sent."""
        ...

    def expander(self, environment: Mapping[str, str], escape: str = BACKSLASH) -> Expander:
        """Return a reader of words with these variables."""
        ...

    def given_argument(self, name: str) -> str | None:
        """Return the value of a `--build-arg`; None if it was not given."""
        ...

    def origin(
        self, number: int, tell: Report, name: str, paths: Sequence[str]
    ) -> AbstractContextManager[Archive]:
        """Open the files that `--from` names, or those of the context."""
        ...

    def layers_of(self, number: int, tell: Report, name: str) -> list[str] | None:
        """Return the digests of the layers that `--from` names; None if it is no image."""
        ...

    def origin_image(self, number: int, tell: Report, name: str) -> Image:
        """Return the image that `--from` names."""
        ...

    def take_written(
        self,
        draft: Draft,
        folder: str,
        layers: Sequence[str],
        paths: Iterable[str] = MADE_BY_LABKIT,
    ) -> bool:
        """Make what was written to a snapshot a layer of the draft; False if it is nothing."""
        ...
