"""A stage while it is built: the image so far, the config to come, how a step becomes an image."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from datetime import UTC, datetime
from functools import partial

from labkit.build import events
from labkit.build.cache import SHORT, Step
from labkit.build.cache_documents import Kept
from labkit.build.dockerfile.model import Instruction
from labkit.build.errors import BuildError, CancelledError
from labkit.build.portable_cache import PortableCache
from labkit.build.site import Site
from labkit.containers.life.specification import DEFAULT_PATH
from labkit.errors import InvalidParameterError, LabkitError, NotFoundError
from labkit.images import Draft, Image
from labkit.images.changes import SHELL, environment_of
from labkit.images.models import SCRATCH, History, ImageConfig, RootFs, RuntimeConfig
from labkit.images.shell_words import Expander

MakeLayer = Callable[[Draft], bool]
"""Adds a step's layer to the draft of its image; False if there is none."""

PREDEFINED = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)
"""Build arguments that need no ARG, and that the cache does not know."""


class StageBuild:
    """One stage's state.  Instructions are functions on it, see `labkit.build.instructions`."""

    def __init__(
        self, site: Site, first: events.Step, report: Callable[[events.Event], None]
    ) -> None:
        self.site = site
        self.number = first.stage
        self.step = first
        """The step at work."""
        self._report = report
        self.image: Image | None = None
        """The image so far; None after FROM scratch."""
        self.config = RuntimeConfig()
        self.author = ""
        self.arguments: dict[str, str] = {}
        """The ARGs in effect, with their values; an ENV of the same name ends one."""
        self.cmd_is_set = False
        """Whether this stage has its own CMD, which an ENTRYPOINT then leaves alone."""
        self.has_run = False
        """Whether a step with files was carried out, and not found in the cache: from there on
        nothing is taken from the cache."""
        self._has_missed = False

    def begin(self, image: Image | None, below: "StageBuild | None" = None) -> None:
        """Start from an image, or from nothing; `below` is the stage that made the image."""
        self.image = image
        self.has_run = below is not None and below.has_run
        if image is not None:
            self.config = deepcopy(image.config)
            self.author = image.document.author
        else:
            self.config.working_dir = "/"
        if "PATH" not in environment_of(self.config):
            self.config.env = [*(self.config.env or []), f"PATH={DEFAULT_PATH}"]
        self.say_image()

    # What instructions read

    @property
    def environment(self) -> dict[str, str]:
        """The variables that can be put in: of ENV and ARG the later one, as in BuildKit."""
        return environment_of(self.config) | self.arguments

    def expander(self, instruction: Instruction) -> Expander:
        """Return the expander for an instruction's arguments."""
        return self.site.expander(self.environment, instruction.escape)

    def shown(self, instruction: Instruction) -> str:
        """An instruction with the variables put in that have a value."""
        return substituted(instruction.original, self.environment)

    @property
    def shell(self) -> list[str]:
        """The program that runs the shell form of commands."""
        return self.config.shell or SHELL

    # What instructions do

    def say(self, text: str) -> None:
        """A piece of the build's output."""
        self._report(events.Said(text))

    def tell(self, event: events.Event) -> None:
        """Something that has happened."""
        self._report(event)

    def say_image(self) -> None:
        """The line with the id of what the stage is now."""
        shown = self.image.id.removeprefix("sha256:")[:SHORT] if self.image else ""
        self.say(f" ---> {shown}\n")

    def finish(
        self,
        comment: str,
        make: MakeLayer | None = None,
        *,
        created_by: str = "",
        compare: Callable[[Image], list[str]] | None = None,
        depends: Callable[[RuntimeConfig], object] = lambda _: None,
    ) -> None:
        """Take the step from an earlier build, or carry it out.

        `comment` is the instruction as the history shows it, unless `created_by` is all of that.
        `depends` returns the part of the config that the step's files depend on.
        """
        self.site.cancellation.check()
        words = created_by or " ".join([*self.shell, "#(nop)", comment])
        has_files = make is not None
        step = Step(
            self.image,
            words,
            self.config,
            self._machine,
            compare,
            depends if has_files else None,
            written(self.site.epoch) if self.site.epoch else "",
        )
        hit = self._from_cache(step)
        if hit is not None:
            self.image = hit
            self.config = deepcopy(hit.config)
        else:
            self.has_run |= has_files
            self.image = self._made(step, make)
        self.site.cache.steps.append((step, self.image))
        self.say_image()

    @property
    def _machine(self) -> tuple[str, str]:
        """Architecture and variant: the image's below, of nothing those that are asked for."""
        below, wanted = self.image, self.site.platform
        if below is None:
            return wanted.architecture, wanted.variant
        return below.architecture, below.document.variant

    def _from_cache(self, step: Step) -> Image | None:
        cache, why = self.site.cache, ""
        hit: Image | None = None
        if not cache.enabled or self._is_uncached:
            why = "--no-cache"
        elif self.has_run:
            why = "a step before it missed"
        elif self._has_missed:
            hit = self._same_files(step) or self._carried(step)
            why = "a step before it missed"
        else:
            hit = cache.find(step) or self._same_files(step) or self._restored(step)
            hit = hit or self._carried(step)
            why = "" if hit or not self.site.options.explain else cache.why_missed(step)
        self._has_missed |= hit is None
        if hit is not None:
            self.tell(events.Cached(self.step))
        if self.site.options.explain:
            below = "files" if self._has_missed else "image"
            same = f"the same {below} below, the same instruction, the same content"
            self.say(f" ---> Cache {'hit: ' + same if hit else 'miss: ' + why}\n")
        return hit

    @property
    def _is_uncached(self) -> bool:
        """Whether --no-cache-filter names this stage."""
        name = self.site.dockerfile.stages[self.number].name
        return name != "" and name in self.site.options.no_cache_stages

    def _same_files(self, step: Step) -> Image | None:
        """The step made from the layer that an earlier build made of the same files."""

        def take(draft: Draft, source: Image, number: int) -> None:
            if not draft.add_known(source.diff_ids[number]):
                raise NotFoundError(f"the layer {source.diff_ids[number]} was removed")

        try:
            return self._with_layer(step, self.site.cache.find_made(step), take)
        except NotFoundError:  # the image was removed since the build began
            return None

    def _restored(self, step: Step) -> Image | None:
        """The step made from the layer that an image of --cache-from has."""

        def take(draft: Draft, source: Image, number: int) -> None:
            with self.site.engine.images.open_blob(source.layers[number].digest) as blob:
                draft.add_tar(blob)

        return self._with_layer(step, self.site.cache.find_layer(step), take)

    def _carried(self, step: Step) -> Image | None:
        """The step made from the layer that a cache outside of the engine has."""
        for cache in self.site.options.portable_caches:
            found = cache.find(step)
            if found is None:
                continue
            if found.kept is None:
                return self._made(step, None)
            try:
                return self._made(step, partial(_take_carried, found.cache, found.kept))
            except CancelledError:
                raise
            except (LabkitError, OSError) as error:  # the step can still be carried out
                self.say(f"the cache's layer {found.kept.blob.digest} cannot be used: {error}\n")
        return None

    def _with_layer(
        self,
        step: Step,
        found: tuple[Image, int | None] | None,
        take: Callable[[Draft, Image, int], None],
    ) -> Image | None:
        """Return the step's image with the layer that the cache found in another; None for none."""
        if found is None:
            return None
        source, number = found
        if number is None:
            return self._made(step, None)

        def make(draft: Draft) -> bool:
            take(draft, source, number)
            return True

        return self._made(step, make)

    def _made(self, step: Step, make: MakeLayer | None) -> Image:
        with self.site.engine.images.draft() as draft:
            if step.parent is not None:
                draft.start_from(step.parent)
            has_layer = make is not None and make(draft)
            self.site.cancellation.check()
            document = self._document(step, has_layer=has_layer)
            image = draft.commit(document, parent=step.parent.id if step.parent else SCRATCH)
        self.site.cache.add(image)
        return image

    def _document(self, step: Step, *, has_layer: bool) -> ImageConfig:
        now = written(self.site.epoch or datetime.now(UTC))
        entry = History(now, step.created_by, self.author, empty_layer=not has_layer)
        architecture, variant = step.machine
        return ImageConfig(
            architecture=architecture,
            os="linux",
            rootfs=RootFs("layers", []),
            created=now,
            author=self.author,
            config=deepcopy(self.config),
            history=[*(step.parent.history if step.parent else []), entry],
            variant=variant,
        )


def _take_carried(cache: PortableCache, kept: Kept, draft: Draft) -> bool:
    with cache.open(kept) as blob:
        layer = draft.add_tar(blob)
    if layer.diff_id != kept.diff_id:
        raise InvalidParameterError(f"its content is {layer.diff_id}, and not {kept.diff_id}")
    return True


def written(moment: datetime) -> str:
    """Return a time as an image's config has it."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def substituted(text: str, environment: Mapping[str, str]) -> str:
    """A text as people are shown it: variables that are set are put in, others stay."""

    def value(found: re.Match[str]) -> str:
        return environment.get(found[1] or found[2], found[0])

    return _VARIABLE.sub(value, text)


@contextmanager
def naming(instruction: Instruction, file: str) -> Iterator[None]:
    """Let an error say where in the Dockerfile it happened."""
    place = f"{file}:{instruction.number}"
    try:
        yield
    except BuildError as error:
        if not error.line:
            error.args = (f"{error}\n{place}",)
            error.line = instruction.number
            error.last_line = instruction.last
        raise
    except CancelledError:
        raise
    except (LabkitError, OSError) as error:
        why = str((error.strerror if isinstance(error, OSError) else "") or error)
        raise BuildError(
            f"{instruction.name} failed: {why}\n{place}: {instruction.original}",
            why=error,
            line=instruction.number,
            last_line=instruction.last,
        ) from None
