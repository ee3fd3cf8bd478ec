"""One build, from its context and options to an image.

>>> build = Build(engine, options, context)
>>> for events in build.run():
...     print(*events, sep="\n")
"""

import contextlib
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence

from labkit.build import solver, stubs
from labkit.build.archive import Archive, receive
from labkit.build.cache import SHORT, Cache
from labkit.build.errors import BuildError
from labkit.build.instructions import INSTRUCTIONS
from labkit.build.options import Event, Options, Registries
from labkit.build.parser import Dockerfile, Instruction, parse, parse_line, parse_trigger
from labkit.build.solver import Node
from labkit.build.stage import PREDEFINED, Cancellation, StageBuild, naming
from labkit.build.workroom import Workroom
from labkit.containers import Engine
from labkit.containers.trees.launch import Worker
from labkit.containers.trees.views import READ_ONLY, Layers
from labkit.errors import InvalidParameterError, LabkitError, NotFoundError
from labkit.images import Draft, Image, references
from labkit.images import shell_words as words
from labkit.images.archives.layer_packer import MADE_BY_LABKIT
from labkit.images.models import Platform
from labkit.images.shell_words import Expander
from labkit.kernel import threads
from labkit.patterns import Patterns, has_wildcard, read_ignore

DOCKERFILE_LIMIT_BYTES = 1 << 20
IGNORE_FILE = ".dockerignore"
SCRATCH = "scratch"


class Build:
    """A build that is about to run; everything that is wrong with its Dockerfile is raised here."""

    def __init__(
        self,
        engine: Engine,
        options: Options,
        context: Archive,
        workroom: Workroom,
        registries: Registries,
    ) -> None:
        self.engine = engine
        self.options = options
        self.context = context
        self.workroom = workroom
        self.cancellation = Cancellation()
        self._registries = registries
        self._stages: dict[int, StageBuild] = {}
        self._used_arguments: set[str] = set()
        self.image_id = ""
        """The image that was built, once it has been."""
        self.platform = registries.platform(options.platform)
        self.dockerfile = self._parse()
        self._budget = words.Budget()
        self.global_arguments = self._global_arguments()
        self._nodes = solver.graph(
            self.dockerfile, self.global_arguments, self._kept_triggers, self._budget
        )
        self._target = solver.target(self.dockerfile, options.target)
        self._order = solver.needed(self._nodes, self._target)
        self.cache = Cache(engine.images, options.cache_from, enabled=not options.no_cache)

    def _parse(self) -> Dockerfile:
        """Read the Dockerfile, then take out of the context what `.dockerignore` says of both."""
        file = posixpath.normpath(self.options.dockerfile.replace("\\", "/"))
        try:
            if file.startswith("../"):
                raise InvalidParameterError(
                    f"forbidden path outside the build context: {self.options.dockerfile}"
                )
            data = self.context.read(self.context.find(file), DOCKERFILE_LIMIT_BYTES)
        except NotFoundError:
            raise InvalidParameterError(
                f"Cannot locate specified Dockerfile: {self.options.dockerfile}"
            ) from None
        if self.options.dockerfile_path:
            self.context.remove(file)
        dockerfile = parse(data, self.options.dockerfile_path or file)
        with contextlib.suppress(NotFoundError):
            ignore = self.context.read(self.context.find(IGNORE_FILE), DOCKERFILE_LIMIT_BYTES)
            patterns = Patterns(read_ignore(ignore.decode("utf-8", "replace")))
            if self.options.is_context_whole:
                self.context.exclude(patterns)
            for path in (file, IGNORE_FILE):
                if patterns.match(path):
                    self.context.remove(path)
        return dockerfile

    def _global_arguments(self) -> dict[str, str]:
        found = self._platform_arguments("TARGET", self.platform)
        found |= self._platform_arguments("BUILD", self._registries.platform(""))
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
        """What BuildKit knows without being told, for FROM and for ARGs without a default."""
        return {
            f"{prefix}PLATFORM": self._registries.shown(platform),
            f"{prefix}OS": platform.os,
            f"{prefix}ARCH": platform.architecture,
            f"{prefix}VARIANT": platform.variant,
        }

    def _kept_triggers(self, name: str) -> list[Instruction]:
        """What ONBUILD has kept in an image that is here: it may copy from stages, if any."""
        if len(self.dockerfile.stages) == 1 or name == SCRATCH:
            return []
        try:
            kept = self.engine.images.resolve(name).config.on_build or []
            return [parse_trigger(text) for text in kept]
        except (NotFoundError, InvalidParameterError):
            return []  # FROM says what is wrong with it

    def expander(self, environment: Mapping[str, str], escape: str = words.BACKSLASH) -> Expander:
        """Reads words with these variables; all of a build together may put in only so much."""
        return Expander(environment, escape, self._budget)

    def given_argument(self, name: str) -> str | None:
        """The value of a `--build-arg`, noted as used; None if it was not given."""
        self._used_arguments.add(name)
        return self.options.build_args.get(name)

    # Running it

    def run(self) -> Iterator[list[Event]]:
        """Build, and give what there is to say; an empty list now and then, while nothing is.

        Closing the iterator ends the build.  BuildError, and what the engine raises.
        """
        total = self._total()
        yield [_step(*said, total) for said in enumerate(self.dockerfile.arguments, 1)]
        firsts = self._first_steps()

        def build(node: Node, report: solver.Report) -> None:
            self._build_stage(node, report, firsts[node.stage.number])

        yield from solver.solve(self._nodes, self._order, build, self.cancellation.set)
        image = self._stages[self._target].image
        if image is None:
            raise BuildError("No image was generated. Is your Dockerfile empty?")
        self.image_id = image.id
        yield from self._finish(image)

    def _finish(self, image: Image) -> Iterator[list[Event]]:
        events: list[Event] = []
        unused = sorted(self.options.build_args.keys() - self._used_arguments - PREDEFINED)
        if unused:
            events.append(
                _said(f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n")
            )
        short = image.id.removeprefix("sha256:")[:SHORT]
        yield [*events, {"aux": {"ID": image.id}}, _said(f"Successfully built {short}\n")]
        for tag in self.options.tags:
            self.engine.images.tag(image.id, tag)
            yield [_said(f"Successfully tagged {references.parse(tag).familiar}\n")]

    def _total(self) -> int:
        steps = sum(1 + len(self._instructions(number)) for number in self._order)
        return len(self.dockerfile.arguments) + steps

    def _first_steps(self) -> dict[int, int]:
        """The number of each stage's first step."""
        firsts, count = {}, len(self.dockerfile.arguments)
        for number in self._order:
            firsts[number] = count + 1
            count += 1 + len(self._instructions(number))
        return firsts

    def _instructions(self, number: int) -> Sequence[Instruction]:
        """A stage's instructions; those of the target end with the labels that were asked for."""
        instructions = self._nodes[number].stage.instructions
        if number != self._target or not self.options.labels:
            return instructions
        labels = " ".join(
            f"{_quoted(name)}={_quoted(value)}"
            for name, value in sorted(self.options.labels.items())
        )
        return [*instructions, parse_line(f"LABEL {labels}")]

    def _build_stage(self, node: Node, report: solver.Report, first: int) -> None:
        threads.work_for(self.cancellation.is_set)
        number = node.stage.number
        stage = StageBuild(self, number, report)
        self._stages[number] = stage
        self.cancellation.check()
        total = self._total()
        stage.tell(_step(first, node.stage.start, total))
        with naming(node.stage.start, self.dockerfile.file):
            stage.begin(self._base(stage, node))
            self._run_triggers(stage)
        for step, instruction in enumerate(self._instructions(number), first + 1):
            self.cancellation.check()
            stage.tell(_step(step, instruction, total))
            with naming(instruction, self.dockerfile.file):
                INSTRUCTIONS[instruction.name](stage, instruction)

    def _base(self, stage: StageBuild, node: Node) -> Image | None:
        if node.base_stage is not None:
            return self._stages[node.base_stage].image
        if node.base == SCRATCH:
            return None
        platform = self.expander(self.global_arguments).expand(node.stage.platform)
        return self._image(stage, node.base, platform or self.options.platform)

    def _image(self, stage: StageBuild, name: str, platform: str) -> Image:
        """An image by its name, pulled if it is not here for the platform (empty: for any)."""
        has = ""
        if not self.options.pull:
            with contextlib.suppress(NotFoundError):
                image = self.engine.images.resolve(name)
                found = Platform(image.architecture, image.os, image.document.variant)
                wanted = self._registries.platform(platform)
                if not platform or self._registries.suits(found, wanted):
                    return image
                has = f"{name} is for {self._registries.shown(found)}, and {platform} was asked for"
        try:
            self._registries.pull(name, platform, stage.tell)
        except LabkitError as error:
            if not has:
                raise
            raise InvalidParameterError(f"{has}: {error}") from None
        return self.engine.images.resolve(name)

    def _run_triggers(self, stage: StageBuild) -> None:
        """What ONBUILD has kept in the base image is done first."""
        kept = stage.config.on_build or []
        stage.config.on_build = None
        if kept:
            stage.say(f"# Executing {len(kept)} build trigger{'s' if len(kept) > 1 else ''}\n")
        for text in kept:
            instruction = parse_trigger(text)
            with naming(instruction, "ONBUILD"):
                INSTRUCTIONS[instruction.name](stage, instruction)

    # What instructions need

    @contextlib.contextmanager
    def origin(self, stage: StageBuild, name: str, paths: Sequence[str]) -> Iterator[Archive]:
        """Where COPY takes files from: the context, or what `--from` names."""
        if not name:
            yield self.context
            return
        image = self.origin_image(stage, name)
        chunks = self._files(image, [_packable(path) for path in paths])
        archive = receive(chunks, self.workroom.path, devices=True)
        try:
            yield archive
        finally:
            archive.close()

    def origin_image(self, stage: StageBuild, name: str) -> Image:
        """The image that `--from` names: what an earlier stage has become, or any other."""
        number = solver.named(self.dockerfile, name, stage.number)
        if number is None:
            return self._image(stage, name, self.options.platform)
        if number not in self._nodes[stage.number].needs:
            raise InvalidParameterError(
                f"stage {name} is not built, as nobody knew that it is needed: the image that says "
                "so in its ONBUILD has just been pulled. Build again"
            )
        image = self._stages[number].image
        if image is None:
            raise InvalidParameterError(f"{name} has no files: it is FROM scratch, and empty")
        return image

    def _files(self, image: Image, paths: Sequence[str]) -> Iterator[bytes]:
        """What an image has at some paths, as an archive in which it has those paths."""
        place = f"{self.engine.paths.run}/containers"
        view = Layers(image.layer_directories(), "", "", place, [], False, READ_ONLY)
        with Worker("pack_all", (paths,), view) as worker:
            try:
                worker.ready()
            except NotFoundError as error:
                raise InvalidParameterError(f"stat {error}: file does not exist") from None
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


def _step(number: int, instruction: Instruction, total: int) -> Event:
    return _said(f"Step {number}/{total} : {instruction.original}\n")


def _said(text: str) -> Event:
    return {"stream": text}


def _quoted(text: str) -> str:
    """A word that is read as just this text."""
    return "'" + text.replace("'", "'\"'\"'") + "'"
