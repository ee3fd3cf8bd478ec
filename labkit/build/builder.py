"""One build, from its context and options to an image.

>>> build = Build(engine, options, contexts, workroom, registries)
>>> for happened in build.run():
...     print(*happened, sep="\n")
"""

import contextlib
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence

from labkit.build import events, solver, stubs
from labkit.build.base_images import BaseImages, shown_name
from labkit.build.cache import Cache
from labkit.build.cancellation import Cancellation
from labkit.build.context.archive import Archive
from labkit.build.context.contexts import Contexts, wanted
from labkit.build.context.tars import receive
from labkit.build.dockerfile.model import Instruction
from labkit.build.dockerfile.parser import parse, parse_line, parse_trigger
from labkit.build.errors import BuildError, MissingSourceError
from labkit.build.events import Event, Step
from labkit.build.instructions import INSTRUCTIONS
from labkit.build.options import EPOCH, Options, Registries, epoch
from labkit.build.solver import Node
from labkit.build.stage import PREDEFINED, StageBuild, naming
from labkit.build.telling import short
from labkit.build.workroom import Workroom
from labkit.containers import Engine
from labkit.containers.trees.launch import Worker
from labkit.containers.trees.views import READ_ONLY, Layers
from labkit.errors import InvalidParameterError, LabkitError, NotFoundError
from labkit.images import Draft, Image, references
from labkit.images import shell_words as words
from labkit.images.archives.layer_packer import MADE_BY_LABKIT
from labkit.images.models import SCRATCH, Platform
from labkit.images.shell_words import Expander
from labkit.kernel import threads
from labkit.patterns import has_wildcard

FRONTEND_PREFIX = "BUILDKIT_"


class Build:
    """A build that is about to run; everything that is wrong with its Dockerfile is raised here."""

    def __init__(
        self,
        engine: Engine,
        options: Options,
        contexts: Contexts,
        workroom: Workroom,
        registries: Registries,
    ) -> None:
        self.engine = engine
        self.options = options
        self.contexts = contexts
        self.workroom = workroom
        self.cancellation = Cancellation()
        self.registries = registries
        self.bases = BaseImages(engine, options, contexts, registries)
        self._stages: dict[int, StageBuild] = {}
        self._used_arguments: set[str] = set()
        self.image_id = ""
        """The image that was built, once it has been."""
        self.platform = registries.platform(options.platform)
        self.epoch = epoch(options)
        self.source = contexts.dockerfile()
        self.dockerfile = parse(*self.source)
        self._budget = words.Budget()
        self.global_arguments = self._global_arguments()
        self.target = solver.target(self.dockerfile, options.target)
        self._find_order()
        self.cache = Cache(engine.images, options.cache_from, enabled=not options.no_cache)

    def _find_order(self) -> None:
        """Choose the stages to build, and their order."""
        self.nodes = solver.graph(
            self.dockerfile,
            self.global_arguments,
            self.bases.triggers,
            self._budget,
            self._is_named,
        )
        self.order = solver.needed(self.nodes, self.target)
        self.steps = self._steps()
        every = (step.instruction for steps in self.steps.values() for step in steps)
        self._wanted = wanted(every)

    def _is_named(self, name: str) -> bool:
        """Whether a name means a context of the user's own, which goes before stages and images."""
        return self.contexts.named(name) is not None

    @property
    def context(self) -> Archive:
        """The files that COPY and ADD name."""
        return self.contexts.files(self._wanted)

    def _global_arguments(self) -> dict[str, str]:
        found = self._platform_arguments("TARGET", self.platform)
        found |= self._platform_arguments("BUILD", self.registries.platform(""))
        found["TARGETSTAGE"] = self.options.target or "default"
        for instruction in self.dockerfile.arguments:
            for word in words.fields(instruction.text, instruction.escape):
                name, equals, default = word.partition("=")
                given = self.given_argument(name)
                if given is not None:
                    found[name] = given
                elif equals:
                    found[name] = self.expander(found, instruction.escape).expand(default)
        return found

    def _platform_arguments(self, prefix: str, platform: Platform) -> dict[str, str]:
        """Return the arguments that BuildKit sets, for FROM and for ARGs without a default."""
        return {
            f"{prefix}PLATFORM": self.registries.shown(platform),
            f"{prefix}OS": platform.os,
            f"{prefix}ARCH": platform.architecture,
            f"{prefix}VARIANT": platform.variant,
        }

    def expander(self, environment: Mapping[str, str], escape: str = words.BACKSLASH) -> Expander:
        """Reads words with these variables; all of a build together may put in only so much."""
        return Expander(environment, escape, self._budget)

    def given_argument(self, name: str) -> str | None:
        """The value of a `--build-arg`, noted as used; None if it was not given."""
        self._used_arguments.add(name)
        return self.options.build_args.get(name)

    # Running it

    def resolve(self, report: solver.Report) -> None:
        """Have the images that stages begin with, before any stage is built.

        So what is wrong with their names is known first, and what their ONBUILD needs.
        """
        for number in self.order:
            node = self.nodes[number]
            if node.base_stage is not None or node.base == SCRATCH:
                continue
            name = shown_name(self.bases.meaning(node.base))
            report(events.Resolving(name))
            try:
                self.bases.find(report, node.base, self._stage_platform(node))
            except (LabkitError, OSError) as error:
                report(events.Resolved(name, error))
                why = f"{node.base}: failed to resolve source metadata for {name}: {error}"
                start = node.stage.start
                raise BuildError(why, line=start.number, last_line=start.last) from None
            report(events.Resolved(name))
        self.bases.forget_triggers()
        self._find_order()

    def run(self) -> Iterator[list[Event]]:
        """Build, and give what happens in the order of stages; an empty list while nothing does.

        Closing the iterator ends the build.  BuildError, and what the engine raises.
        """
        yield [events.Begun(step, step.instruction.original) for step in self._global_steps()]
        yield from solver.solve(self.nodes, self.order, self._build_stage, self.cancellation.set)
        yield from self._finish(self._built())

    def run_reporting(self, report: solver.Report) -> Image:
        """Build, and report what happens as it happens, from several threads."""

        def build(node: Node, _: solver.Report) -> None:
            self._build_stage(node, report)

        for _ in solver.solve(self.nodes, self.order, build, self.cancellation.set):
            pass
        return self._built()

    def _built(self) -> Image:
        image = self._stages[self.target].image
        if image is None:
            raise BuildError("No image was generated. Is your Dockerfile empty?")
        self.image_id = image.id
        return image

    def _finish(self, image: Image) -> Iterator[list[Event]]:
        happened: list[Event] = []
        if unused := self.unused_arguments():
            said = f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n"
            happened.append(events.Said(said))
        built = events.Said(f"Successfully built {short(image.id)}\n")
        yield [*happened, events.Built(image.id), built]
        for tag in self.options.tags:
            name = references.parse(tag).familiar
            self.engine.images.tag(image.id, tag)
            self.engine.events.publish_image("tag", image, name)
            yield [events.Said(f"Successfully tagged {name}\n")]

    def unused_arguments(self) -> list[str]:
        """The build arguments that no ARG has asked for; a frontend's own need none."""
        unused = self.options.build_args.keys() - self._used_arguments - PREDEFINED - {EPOCH}
        return sorted(name for name in unused if not name.startswith(FRONTEND_PREFIX))

    def push(self, name: str) -> None:
        """Send the image to the registry that its name says; LabkitError."""
        self.registries.push(name, lambda _: self.cancellation.check())

    # Steps

    def _global_steps(self) -> list[Step]:
        total = self._total()
        return [
            Step(-1, index, index + 1, total, instruction)
            for index, instruction in enumerate(self.dockerfile.arguments)
        ]

    def _total(self) -> int:
        steps = sum(1 + len(self._instructions(number)) for number in self.order)
        return len(self.dockerfile.arguments) + steps

    def _steps(self) -> dict[int, list[Step]]:
        """The steps of each stage that is built: FROM, what ONBUILD has kept, and the others."""
        found: dict[int, list[Step]] = {}
        count, total = len(self.dockerfile.arguments), self._total()
        for number in self.order:
            node = self.nodes[number]
            count += 1
            steps = [Step(number, 0, count, total, node.stage.start)]
            if node.base_stage is None:
                kept = self.bases.triggers(node.base)
            else:
                kept = list(solver.kept_by(self.dockerfile.stages[node.base_stage]))
            steps += [Step(number, index, 0, total, each) for index, each in enumerate(kept, 1)]
            for instruction in self._instructions(number):
                count += 1
                steps.append(Step(number, len(steps), count, total, instruction))
            found[number] = steps
        return found

    def _instructions(self, number: int) -> Sequence[Instruction]:
        """A stage's instructions; those of the target end with the labels that were asked for."""
        instructions = self.nodes[number].stage.instructions
        if number != self.target or not self.options.labels:
            return instructions
        labels = " ".join(
            f"{_quoted(name)}={_quoted(value)}"
            for name, value in sorted(self.options.labels.items())
        )
        return [*instructions, parse_line(f"LABEL {labels}")]

    def _build_stage(self, node: Node, report: solver.Report) -> None:
        threads.work_for(self.cancellation.is_set)
        number = node.stage.number
        first, *others = self.steps[number]
        stage = StageBuild(self, first, report)
        self._stages[number] = stage
        below = None if node.base_stage is None else self._stages[node.base_stage]
        if below is not None:
            stage.arguments = dict(below.arguments)
        with self._step(stage, first, self.dockerfile.file):
            stage.begin(self._base(stage, node), below)
        self._run_triggers(stage, [step for step in others if not step.number])
        for step in others:
            if step.number:
                with self._step(stage, step, self.dockerfile.file):
                    INSTRUCTIONS[step.instruction.name](stage, step.instruction)

    @contextlib.contextmanager
    def _step(self, stage: StageBuild, step: Step, file: str) -> Iterator[None]:
        """Report a step's beginning and its end, and let an error say where it happened."""
        self.cancellation.check()
        stage.step = step
        stage.tell(events.Begun(step, stage.shown(step.instruction)))
        try:
            with naming(step.instruction, file):
                yield
        except (LabkitError, OSError) as error:
            stage.tell(events.Ended(step, error))
            raise
        stage.tell(events.Ended(step))

    def _base(self, stage: StageBuild, node: Node) -> Image | None:
        if node.base_stage is not None:
            return self._stages[node.base_stage].image
        if node.base == SCRATCH:
            return None
        return self.bases.find(stage.tell, node.base, self._stage_platform(node))

    def _stage_platform(self, node: Node) -> str:
        platform = self.expander(self.global_arguments).expand(node.stage.platform)
        return platform or self.options.platform

    def _run_triggers(self, stage: StageBuild, steps: Sequence[Step]) -> None:
        """Run the ONBUILD instructions of the base image first."""
        kept = stage.config.on_build or []
        stage.config.on_build = None
        if kept:
            stage.say(f"# Executing {len(kept)} build trigger{'s' if len(kept) > 1 else ''}\n")
        if len(steps) != len(kept):  # the base was not known when the steps were counted
            steps = [
                stage.step._replace(number=0, instruction=parse_trigger(text)) for text in kept
            ]
        for step in steps:
            with self._step(stage, step, "ONBUILD"):
                INSTRUCTIONS[step.instruction.name](stage, step.instruction)

    # What instructions need

    @contextlib.contextmanager
    def origin(
        self, number: int, tell: solver.Report, name: str, paths: Sequence[str]
    ) -> Iterator[Archive]:
        """Give the origin of a COPY's files: the context, or the stage or image of `--from`."""
        if not name:
            yield self.context
            return
        named = self.contexts.named(name)
        if isinstance(named, Archive):
            yield named
            return
        image = self.origin_image(number, tell, name)
        chunks = self.files_of(image, [_packable(path) for path in paths])
        archive = receive(chunks, self.workroom.path, devices=True)
        try:
            yield archive
        finally:
            archive.close()

    def layers_of(self, number: int, tell: solver.Report, name: str) -> list[str] | None:
        """The layers that `--from` names, by their digests; None for files that are no image's."""
        if isinstance(self.contexts.named(name), Archive):
            return None
        return self.origin_image(number, tell, name).diff_ids

    def origin_image(self, number: int, tell: solver.Report, name: str) -> Image:
        """The image that `--from` names: what an earlier stage has become, or any other."""
        earlier = None if self._is_named(name) else solver.named(self.dockerfile, name)
        if earlier is None:
            return self.bases.find(tell, name, self.options.platform)
        if earlier not in self.nodes[number].needs:
            raise InvalidParameterError(
                f"stage {name} is not built: the image whose ONBUILD needs it was pulled after the "
                "stages had been chosen. Build again"
            )
        image = self._stages[earlier].image
        if image is None:
            raise InvalidParameterError(f"{name} has no files: it is an empty stage FROM scratch")
        return image

    def files_of(self, image: Image, paths: Sequence[str]) -> Iterator[bytes]:
        """Yield an archive of an image's files at some paths, under the same paths."""
        place = f"{self.engine.paths.run}/containers"
        view = Layers(image.layer_directories(), "", "", place, [], False, READ_ONLY)
        with Worker("pack_all", (paths,), view) as worker:
            try:
                worker.ready()
            except NotFoundError as error:
                raise MissingSourceError(str(error).strip("/")) from None
            yield from worker.output()

    def take_written(
        self,
        draft: Draft,
        folder: str,
        layers: Sequence[str],
        paths: Iterable[str] = MADE_BY_LABKIT,
    ) -> bool:
        """Make what was written to a snapshot a layer of the draft; False if it is nothing.

        `folder` and `layers` are the snapshot's.  `paths`: where mount points were made that are no
        part of the image.
        """
        with self.engine.parts.snapshots.written(folder, layers) as upper:
            stubs.prune(upper, draft.layer_directories(), paths)
            if not os.listdir(upper):
                return False
            draft.add_upper(upper)
            return True


def _packable(path: str) -> str:
    """A source's path up to its first wildcard, in its normal form."""
    parts: list[str] = []
    for part in posixpath.normpath(f"/{path}").split("/"):
        if has_wildcard(part):
            break
        parts.append(part)
    return "/".join(parts).strip("/")


def _quoted(text: str) -> str:
    """A word that is read as just this text."""
    return "'" + text.replace("'", "'\"'\"'") + "'"
