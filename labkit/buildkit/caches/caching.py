"""The caches that a build's client names: `--cache-from` and `--cache-to`.

| type | where | form |
|---|---|---|
| `inline` | in the image itself | its history and its layers: labkit needs no more |
| `registry` | a repository | an image, or a cache (`labkit.build.portable_cache`) |
| `local` | a folder of the client | a cache |
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import msgspec

from labkit.build import cache_documents as documents
from labkit.build import portable_cache as portable
from labkit.build.builder import Build
from labkit.build.cache_documents import Diffs
from labkit.build.options import Registries
from labkit.build.portable_cache import Place, PortableCache
from labkit.build.workroom import Workroom
from labkit.buildkit.caches.content import FolderCache
from labkit.buildkit.messages import CacheEntry
from labkit.buildkit.progress import now
from labkit.buildkit.sessions import Client
from labkit.buildkit.vertices import Vertices
from labkit.containers import Engine
from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError, LabkitError, NotFoundError
from labkit.images import Image

INLINE, REGISTRY, LOCAL = "inline", "registry", "local"


class Caches(NamedTuple):
    """The caches that a build may take steps from."""

    images: Sequence[str]
    portable: Sequence[PortableCache]


class Named(msgspec.Struct, rename="pascal"):
    """One of the caches that a user names."""

    type: str
    attrs: dict[str, str] = {}


class Importer:
    """Finds the caches of one build; one that is not there is left out."""

    def __init__(
        self, engine: Engine, session: Client, registries: Registries, vertices: Vertices
    ) -> None:
        self._engine = engine
        self._session = session
        self._registries = registries
        self._vertices = vertices

    def find(self, attributes: Mapping[str, str], workroom: Workroom) -> Caches:
        """Return those that the attribute `cache-imports` names.  InvalidParameterError."""
        try:
            asked = msgspec.json.decode(attributes.get("cache-imports", "[]"), type=list[Named])
        except UNREADABLE as error:
            raise InvalidParameterError(f"cache-imports cannot be read: {error}") from None
        images: list[str] = []
        found: list[PortableCache] = []
        for each in asked:
            place = _place(each.type, each.attrs, self._session, self._registries, lambda: False)
            with (
                suppress(LabkitError, OSError),
                self._vertices.step(f"importing cache manifest from {place.name}"),
            ):
                if each.type == REGISTRY and self._is_image(place):
                    images.append(place.name)
                else:
                    found.append(PortableCache(place, workroom, place.manifest()))
        return Caches(images, found)

    def _is_image(self, place: Place) -> bool:
        """Whether the name means an image, which is then here."""
        with suppress(NotFoundError):
            self._engine.images.resolve(place.name)
            return True
        if documents.config_of(place.manifest()) is not None:
            return False
        self._registries.pull(place.name, "", lambda _: None)
        return True


def check(exports: Sequence[CacheEntry]) -> None:
    """Raise InvalidParameterError for an export that cannot be done."""
    for entry in exports:
        if entry.type not in (INLINE, REGISTRY, LOCAL):
            raise InvalidParameterError(
                f"unknown cache exporter {entry.type!r}: labkit has {INLINE}, {LOCAL}, {REGISTRY}"
            )
        mode = entry.attributes.get("mode", portable.MODES[0])
        if mode not in portable.MODES:
            raise InvalidParameterError(f"unknown cache mode {mode!r}: it must be min or max")
        if entry.type != INLINE:
            _named(entry.type, entry.attributes, "dest")


def export(
    entries: Sequence[CacheEntry], build: Build, image: Image, session: Client, vertices: Vertices
) -> dict[str, str]:
    """Write a build's caches; return what the client must know.  LabkitError, OSError."""
    said: dict[str, str] = {}
    for entry in entries:
        if entry.type == INLINE:
            continue
        cancelled = build.cancellation.is_set
        place = _place(entry.type, entry.attributes, session, build.registries, cancelled)
        title = "client directory" if entry.type == LOCAL else "registry"
        with _forgiving(entry), vertices.step(f"exporting cache to {title}") as step:
            manifest = portable.export(
                place,
                build.engine.images,
                build.cache.steps,
                _wanted(entry, image),
                _reporter(build, vertices, step),
            )
            said["cache.manifest"] = msgspec.json.encode(manifest).decode()
    return said


def _wanted(entry: CacheEntry, image: Image) -> Callable[[Diffs], bool]:
    if entry.attributes.get("mode") == "max":
        return lambda _: True
    result = tuple(image.diff_ids)
    return lambda diffs: result[: len(diffs)] == diffs


@contextmanager
def _forgiving(entry: CacheEntry) -> Iterator[None]:
    """Let the build succeed without its cache, if the user said so (`ignore-error=true`)."""
    try:
        yield
    except (LabkitError, OSError):
        if entry.attributes.get("ignore-error") != "true":
            raise


def _reporter(build: Build, vertices: Vertices, step: str) -> Callable[[str], None]:
    def report(name: str) -> None:
        build.cancellation.check()
        vertices.part(step, name, now(), is_done=True)

    return report


def _place(
    kind: str,
    attributes: Mapping[str, str],
    session: Client,
    registries: Registries,
    is_stopped: Callable[[], bool],
) -> Place:
    if kind == REGISTRY:
        return registries.cache(_named(kind, attributes, "ref"), is_stopped)
    if kind == LOCAL:
        folder = attributes.get("src") or _named(kind, attributes, "dest")
        return FolderCache(session, folder, attributes.get("digest", ""))
    raise InvalidParameterError(f"unknown cache importer {kind!r}: labkit has {LOCAL}, {REGISTRY}")


def _named(kind: str, attributes: Mapping[str, str], key: str) -> str:
    key = "ref" if kind == REGISTRY else key
    if not attributes.get(key):
        raise InvalidParameterError(f"a cache of type {kind} needs {key}=")
    return attributes[key]
