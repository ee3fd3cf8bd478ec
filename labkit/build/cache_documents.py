"""The documents of a cache outside of the engine: BuildKit's cache manifest, config version 0.

A manifest lists blobs: layers, and one config.  The config lists the layers, each with the one
below it, and records: the key of a step, and the layer that the step made.  Source: buildkit's
cache/remotecache/v1 (`doc.go`, `spec.go`).

The form is BuildKit's, but the keys are labkit's, because a key is a hash of how an engine
describes a step.  So each engine reads the other's cache, and finds none of its steps in it.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import msgspec

from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError
from labkit.images import models
from labkit.images.layout import encode
from labkit.images.models import Descriptor, Digest

CONFIG = "application/vnd.buildkit.cacheconfig.v0"
CONFIG_MAX_BYTES = 16 << 20
CHAIN_MAX = 500
"""More layers than overlayfs takes."""
STEPS_MAX = 10_000
"""Reading takes time for each layer below each step: this many take some seconds."""
NOTHING = -1
"""The number of the layer below the lowest."""

_T = TypeVar("_T")
Diffs = tuple[str, ...]
"""Layers by the digests of their plain archives, the lowest first."""


class LayerFacts(msgspec.Struct, rename="camel", omit_defaults=True):
    """The facts of a layer besides its digest."""

    media_type: str = ""
    diff_id: str = msgspec.field(default="", name="diffID")
    size: int = 0


class Layer(msgspec.Struct, omit_defaults=True):
    """A layer; `parent` is the number of the one below it, which BuildKit leaves out if it is 0."""

    blob: Digest
    parent: int = 0
    annotations: LayerFacts | None = None


class Outcome(msgspec.Struct):
    """The topmost layer after a step, by its number."""

    layer: int


class Link(msgspec.Struct):
    """The record of the step before, by its number."""

    link: int


class Record(msgspec.Struct, omit_defaults=True):
    """A step by its key; without an outcome it made no file on nothing."""

    digest: str
    layers: list[Outcome] = []
    inputs: list[list[Link]] = []


class Config(msgspec.Struct):
    """All layers, and all records."""

    layers: list[Layer] = []
    records: list[Record] = []


class _Document(msgspec.Struct, rename="camel"):
    """A manifest of a cache, or an index: BuildKit writes either."""

    layers: list[Descriptor] = []
    manifests: list[Descriptor] = []
    config: Descriptor | None = None


class Made(NamedTuple):
    """A step's result: its key, and the image's layers below it and after it."""

    key: str
    below: Diffs
    after: Diffs
    blobs: Sequence[Descriptor]
    """The layers after it as blobs."""


class Kept(NamedTuple):
    """A step's result in a cache: the blob of its layer, and the digest of the plain archive."""

    blob: Descriptor
    diff_id: str


Steps = dict[tuple[str, Diffs], Kept | None]
"""The results by the steps' keys and the layers below them; None: the step made no layer."""


def config_of(data: bytes) -> Descriptor | None:
    """Return the config that a manifest names; None if it is an image's and no cache's.

    InvalidParameterError for a damaged one.
    """
    document = _decoded(data, _Document)
    named = [*document.manifests, *([document.config] if document.config else [])]
    config = next((each for each in named if each.media_type == CONFIG), None)
    if config is not None and config.size > CONFIG_MAX_BYTES:
        raise InvalidParameterError(f"the cache's config has {config.size} bytes: it is too large")
    return config


def read(manifest: bytes, data: bytes) -> Steps:
    """Return the steps of a cache; `data` is its config.  InvalidParameterError."""
    document, config = _decoded(manifest, _Document), _decoded(data, Config)
    blobs = {each.digest: each for each in (*document.layers, *document.manifests)}
    outcomes = sum(len(record.layers) for record in config.records)
    if max(outcomes, len(config.records)) > STEPS_MAX:
        raise InvalidParameterError(f"the cache has more than {STEPS_MAX} steps: it is too large")
    found: Steps = {}
    for record in config.records:
        if not record.layers:
            found.setdefault((record.digest, ()), None)
        for outcome in record.layers:
            chain = _chain(config, outcome.layer)
            diffs = tuple(layer.annotations.diff_id for layer in chain if layer.annotations)
            if not chain or len(diffs) < len(chain):
                continue
            found[record.digest, diffs] = None
            top = blobs.get(chain[-1].blob)
            if top is not None:
                found[record.digest, diffs[:-1]] = Kept(top, diffs[-1])
    return found


def _chain(config: Config, number: int) -> list[Layer]:
    """Return a layer and those below it, the lowest first; empty if the config leads nowhere."""
    chain: list[Layer] = []
    while number != NOTHING:
        if not 0 <= number < len(config.layers) or len(chain) == CHAIN_MAX:
            return []
        chain.append(config.layers[number])
        number = chain[-1].parent
    return chain[::-1]


def written(steps: Sequence[Made]) -> tuple[list[Descriptor], bytes]:
    """Return the blobs of a cache of these steps, and its config."""
    config = Config()
    numbers: dict[Diffs, int] = {(): NOTHING}
    blobs: dict[str, Descriptor] = {}
    records: dict[Diffs, int] = {}
    for step in steps:
        for height, blob in enumerate(step.blobs, 1):
            chain = step.after[:height]
            if chain not in numbers:
                numbers[chain] = len(config.layers)
                facts = LayerFacts(blob.media_type, chain[-1], blob.size)
                config.layers.append(Layer(blob.digest, numbers[chain[:-1]], facts))
                blobs[blob.digest] = Descriptor(blob.media_type, blob.digest, blob.size)
        before = records.get(step.below)
        config.records.append(
            Record(
                step.key,
                [Outcome(numbers[step.after])] if step.after else [],
                [] if before is None else [[Link(before)]],
            )
        )
        records.setdefault(step.after, len(config.records) - 1)
    return list(blobs.values()), msgspec.json.encode(config)


def manifest_of(blobs: Sequence[Descriptor], config: Descriptor) -> tuple[Descriptor, bytes]:
    """Return the manifest of a cache, in the form of an image's: every registry takes it."""
    manifest = models.Manifest(2, config, list(blobs), media_type=models.MANIFEST)
    return encode(manifest, models.MANIFEST)


def _decoded(data: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE as error:
        raise InvalidParameterError(f"the cache cannot be read: {models.reason(error)}") from None
