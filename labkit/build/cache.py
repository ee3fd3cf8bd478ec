"""The build cache: the images of earlier builds; nothing else is kept for it.

Every image of a build knows its parent, and its history shows how it was made, with a hash of the
copied files.  A child of the parent with the same words and the same config is this step's result.

A step with files does not depend on the whole config: a new LABEL, CMD or EXPOSE above a RUN
changes nothing for it.  So there is a second search, for the same words on the same layers with the
same part of the config.  A hit gives its layer to a new image.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from labkit.errors import NotFoundError
from labkit.images import Image, ImageStore
from labkit.images.layout import digest_of
from labkit.images.models import SCRATCH, RuntimeConfig

SHORT = 12
CONTENT_KEY = re.compile(r"\b(?:file|dir|multi):[0-9a-f]{64}\b")


class Step(NamedTuple):
    """A question to the cache: one instruction on one image."""

    parent: Image | None
    """None: on nothing, as after FROM scratch."""
    created_by: str
    config: RuntimeConfig
    """The config that the image of this step would have."""
    machine: tuple[str, str]
    """The image's architecture and variant."""
    compare: Callable[[Image], list[str]] | None = None
    """For COPY and ADD: returns the differences from the files that another image's step copied."""
    depends: Callable[[RuntimeConfig], object] | None = None
    """Returns the part of the config that the step's files depend on; None if it has no files."""
    created: str = ""
    """The time that the image must have; empty for any."""

    @property
    def key(self) -> str | None:
        """A hash of all that the step's files depend on, besides the layers below it.

        None if the step has no files.
        """
        if self.depends is None:
            return None
        facts = [self.machine, self.created_by, self.depends(self.config)]
        return digest_of(msgspec.json.encode(facts))


class Cache:
    """The images there are when a build begins, and those it makes; for several threads."""

    def __init__(self, store: ImageStore, sources: Sequence[str], *, enabled: bool) -> None:
        """Take note of the images that are here.

        `sources` (--cache-from): steps of these pulled images may be taken, too.
        """
        self.enabled = enabled
        self._children: dict[str, list[Image]] = {}
        self._by_layers: dict[tuple[str, ...], list[Image]] = {}
        self._sources: list[Image] = []
        self.steps: list[tuple[Step, Image]] = []
        """The steps of this build, in the order in which they were done."""
        if not enabled:
            return
        for image in reversed(store.list()):
            self.add(image)
        for name in sources:
            try:
                self._sources.append(store.resolve(name))
            except NotFoundError:
                continue  # as in Docker: the first build has nothing to take from

    def add(self, image: Image) -> None:
        """Take note of an image, newer than all before it."""
        self._children.setdefault(image.parent, []).insert(0, image)
        if image.parent and image.history:  # it was built here
            count = len(image.diff_ids) - (not image.history[-1].empty_layer)
            self._by_layers.setdefault(tuple(image.diff_ids[:count]), []).insert(0, image)

    def find(self, step: Step) -> Image | None:
        """The image that an earlier build made of this step."""
        for child in self._candidates(step):
            is_of_time = step.created in ("", child.document.created)
            is_same = child.history[-1].created_by == step.created_by
            if is_same and is_of_time and child.config == step.config:
                return child
        return None

    def find_made(self, step: Step) -> tuple[Image, int | None] | None:
        """Return an image whose last step made the same files on the same layers.

        Also the number of the step's layer in it, None if the step changed no file.
        """
        if step.depends is None:
            return None
        diff_ids = tuple(step.parent.diff_ids) if step.parent else ()
        wanted = step.depends(step.config)
        for image in self._by_layers.get(diff_ids, ()):
            machine = image.architecture, image.document.variant
            if (
                image.history[-1].created_by == step.created_by
                and machine == step.machine
                and step.depends(image.config) == wanted
            ):
                return image, None if image.history[-1].empty_layer else len(diff_ids)
        return None

    def find_layer(self, step: Step) -> tuple[Image, int | None] | None:
        """Return an image of --cache-from with the same steps, and the number of this step's layer.

        None in place of the number: a step without a layer.
        """
        height = len(step.parent.history) if step.parent else 0
        diff_ids = step.parent.diff_ids if step.parent else []
        for source in self._sources:
            history = source.history
            same_way = step.parent is None or [entry.created_by for entry in history[:height]] == [
                entry.created_by for entry in step.parent.history
            ]
            if (
                same_way
                and len(history) > height
                and history[height].created_by == step.created_by
                and source.diff_ids[: len(diff_ids)] == diff_ids
            ):
                return source, None if history[height].empty_layer else len(diff_ids)
        return None

    def _candidates(self, step: Step) -> list[Image]:
        """Return the images that were built on the step's parent, the newest first."""
        # An image that was loaded or pulled has no parent: anyone may have written its history
        # (CVE-2024-24557).
        found = self._children.get(step.parent.id if step.parent else SCRATCH, [])
        height = len(step.parent.history) if step.parent else 0
        return [
            image
            for image in found
            if len(image.history) == height + 1
            and (image.architecture, image.document.variant) == step.machine
        ]

    def why_missed(self, step: Step) -> str:
        """Explain why `find` found nothing: by the difference from the nearest earlier step."""
        candidates = self._candidates(step)
        if not candidates:
            on = step.parent.id.removeprefix("sha256:")[:SHORT] if step.parent else "scratch"
            return f"nothing was built on {on} before"
        for child in candidates:
            reason = _difference(child, step)
            if reason:
                return reason
        return f"the instruction is new here; before it was: {_said(candidates[0])}"


def _difference(child: Image, step: Step) -> str:
    """Return the difference from a step of the same instruction; empty for another instruction."""
    before, now = child.history[-1].created_by, step.created_by
    if before == now:
        return "the image that was made of it has another configuration"
    if CONTENT_KEY.sub("", before) == CONTENT_KEY.sub("", now):
        found = step.compare(child) if step.compare else []
        return ", ".join(found) or "the copied files differ"
    old, old_command = _arguments(before)
    new, new_command = _arguments(now)
    if old_command == new_command:
        return ", ".join(_changed(old, new))
    return ""


def _arguments(created_by: str) -> tuple[dict[str, str], str]:
    """The build arguments that a RUN notes as `|2 A=1 B=2 `, and its command."""
    found = re.match(r"\|(\d+) ", created_by)
    if found is None:
        return {}, created_by
    arguments: dict[str, str] = {}
    rest = created_by[found.end() :]
    for _ in range(int(found[1])):
        word, _, rest = rest.partition(" ")
        name, _, value = word.partition("=")
        arguments[name] = value
    return arguments, rest


def _changed(old: dict[str, str], new: dict[str, str]) -> list[str]:
    said = []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            before, now = (
                repr(values[name]) if name in values else "not set" for values in (old, new)
            )
            said.append(f"the build argument {name} was {before} and is {now}")
    return said


def _said(image: Image) -> str:
    return image.history[-1].created_by.rpartition("#(nop) ")[2].strip()
