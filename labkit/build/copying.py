"""COPY, ADD and WORKDIR: the instructions that bring files into an image.

The sources are archives (`labkit.build.sources`); a process whose root is the image's files takes
them in (`labkit.containers.trees.copying`), so no link leads anywhere else.
"""

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from labkit.build import explain, modes
from labkit.build.context import fetch
from labkit.build.context.archive import Archive
from labkit.build.context.remote import cloned, is_git, is_remote
from labkit.build.context.tars import is_archive, of_file, receive
from labkit.build.dockerfile.model import Instruction
from labkit.build.sources import Source, Sources, packed, select
from labkit.build.stage import StageBuild
from labkit.containers.trees.copying import FILE, FOLDER
from labkit.containers.trees.launch import Worker
from labkit.containers.trees.views import HARMLESS, Layers
from labkit.errors import InvalidParameterError
from labkit.images import Draft, Image
from labkit.images.archives.compression import plain_chunks
from labkit.images.changes import INSTRUCTIONS

UNNAMED = "unnamed"
"""A file that was fetched, where its name does not matter."""


def copy(stage: StageBuild, instruction: Instruction) -> None:
    """`COPY [--from= --chown= --chmod= --link --exclude=] SOURCE… PLACE`."""
    paths, place = _words(stage, instruction)
    origin, excluded = instruction.flag("from"), instruction.flag_values("exclude")
    parents = _is_set(instruction, "parents")
    if parents:
        place = f"{place.rstrip('/')}/"
    named = [path for path in paths if not path.startswith("<<")]
    with ExitStack() as stack:
        inline = stack.enter_context(_heredocs(stage, instruction))

        def load() -> list[Source]:
            if not named:
                return inline
            archive = stack.enter_context(
                stage.site.origin(stage.number, stage.tell, origin, named)
            )
            return [*inline, *select(archive, named, excluded, parents=parents)]

        layers = (
            stage.site.layers_of(stage.number, stage.tell, origin)
            if origin and not inline
            else None
        )
        known_by = None
        if layers is not None:
            known_by = (*layers, "", *named, "", *excluded, *(["--parents"] if parents else []))
        _copy(stage, instruction, Sources(load, known_by), place)


def add(stage: StageBuild, instruction: Instruction) -> None:
    """`ADD` is COPY that also fetches URLs and git repositories, and unpacks archives.

    By default it unpacks those of the context; `--unpack` says it for all.
    """
    paths, place = _words(stage, instruction)
    remote = [path for path in paths if is_remote(path)]
    named = [path for path in paths if path not in remote and not path.startswith("<<")]
    checksum = instruction.flag("checksum")
    if checksum and len(paths) != 1:
        raise InvalidParameterError("checksum can't be specified for multiple sources")
    if checksum and not remote:
        raise InvalidParameterError("checksum can't be specified for non-HTTP(S) sources")
    with ExitStack() as stack:
        inline = stack.enter_context(_heredocs(stage, instruction))
        fetched = _fetched(stage, instruction, remote, place, stack)
        excluded = instruction.flag_values("exclude")
        found = select(stage.site.context, named, excluded) if named else []
        everything = [*inline, *fetched, *found]
        archives = found
        if instruction.flag("unpack"):
            archives = [*fetched, *found] if _is_set(instruction, "unpack") else []
        _copy(stage, instruction, Sources(lambda: everything), place, archives=archives)


def _is_set(instruction: Instruction, flag: str) -> bool:
    """Whether a switch is on; InvalidParameterError."""
    value = instruction.flag(flag).lower()
    if value not in ("", "true", "1", "false", "0"):
        raise InvalidParameterError(f"--{flag}={value}: it must be true or false")
    return value in ("true", "1")


def work_dir(stage: StageBuild, instruction: Instruction) -> None:
    """`WORKDIR` changes the config, and makes the folder, the user's, if the image has none."""
    INSTRUCTIONS["WORKDIR"](stage.config, instruction.text, stage.expander(instruction))
    place = stage.config.working_dir

    def make(draft: Draft) -> bool:
        return _in_layer(stage, draft, [("make_folder", (place, stage.config.user), [])])

    stage.finish(f" WORKDIR {place}", make, depends=lambda config: config.user)


def _words(stage: StageBuild, instruction: Instruction) -> tuple[list[str], str]:
    """The sources, and the place to copy to: absolute, a slash at its end if one was given."""
    expander = stage.expander(instruction)
    if instruction.words is not None:
        found = [expander.expand(word) for word in instruction.words]
    else:
        found = expander.split(instruction.text)
    *paths, place = found
    place = place or "."  # a variable may be empty
    if len(paths) + len(instruction.heredocs) == 0:
        raise InvalidParameterError("it needs a source and a destination")
    absolute = posixpath.normpath(posixpath.join("/", stage.config.working_dir, place))
    absolute = "/" + absolute.lstrip("/")
    is_folder = place.endswith(("/", "/.")) or place == "."
    return paths, f"{absolute.rstrip('/')}/" if is_folder else absolute


def _copy(
    stage: StageBuild,
    instruction: Instruction,
    sources: Sources,
    place: str,
    *,
    archives: Sequence[Source] = (),
) -> None:
    """Finish the step; what of `archives` is a tar archive is unpacked."""
    key = sources.key
    if sources.count > 1 and not place.endswith("/"):
        raise InvalidParameterError(
            f"When using {instruction.name} with more than one source file, the destination must "
            "be a directory and end with a /"
        )
    owner, written = _owner(stage, instruction), _chmod(stage, instruction)
    mode = modes.change(written) if written else None
    flags = "".join(
        f"--{name}={value} "
        for name, value in (
            ("chown", owner),
            ("chmod", written.zfill(4) if written.isdecimal() else written),
            ("link", instruction.flag("link")),
        )
        if value
    )

    def make(draft: Draft) -> bool:
        return _in_layer(
            stage,
            draft,
            _tasks(sources.found, archives, place, owner, mode),
            alone=instruction.flag("link") == "true",
        )

    def compare(image: Image) -> list[str]:
        return explain.differences(sources.found, place, image)

    stage.finish(f"{instruction.name} {flags}{key} in {place} ", make, compare=compare)


Task = tuple[str, tuple[object, ...], Iterable[bytes]]
"""The job of a worker: the task, its arguments, and its input."""


def _tasks(
    sources: Sequence[Source],
    archives: Sequence[Source],
    place: str,
    owner: str,
    mode: modes.Change | None,
) -> Iterator[Task]:
    unpacked = [
        source
        for source in archives
        if source.node.kind == "file"
        and not source.node.member.issparse()
        and is_archive(source.archive.open(source.node))
    ]
    plain = [source for source in sources if source not in unpacked]
    if plain:
        kinds = [FOLDER if source.node.is_folder else FILE for source in plain]
        yield "copy", (place, kinds, owner), packed(plain, mode)
    for source in unpacked:
        stream = source.archive.open(source.node)
        yield "extract", (place, owner), plain_chunks(stream)


def _in_layer(
    stage: StageBuild, draft: Draft, tasks: Iterable[Task], *, alone: bool = False
) -> bool:
    """Do tasks on the image's files, and make what they have changed a layer of the draft.

    `alone` (--link): on no files at all, so that the layer depends on nothing below it.
    """
    with stage.site.workroom.layer() as room:
        below = [stage.site.workroom.nothing] if alone else draft.layer_directories()
        root = stage.site.engine.parts.snapshots.writable(room.folder, below)
        view = Layers(*root, room.place, [], False, HARMLESS)
        for task, arguments, chunks in tasks:
            with Worker(task, arguments, view, takes_input=True) as worker:
                worker.ready()
                worker.feed(chunks)
        return stage.site.take_written(draft, room.folder, below)


def _owner(stage: StageBuild, instruction: Instruction) -> str:
    return stage.expander(instruction).expand(instruction.flag("chown"))


def _chmod(stage: StageBuild, instruction: Instruction) -> str:
    return stage.expander(instruction).expand(instruction.flag("chmod"))


@contextmanager
def _heredocs(stage: StageBuild, instruction: Instruction) -> Iterator[list[Source]]:
    """The documents within the Dockerfile as files."""
    archives: list[Archive] = []
    found: list[Source] = []
    try:
        for heredoc in instruction.heredocs:
            text = heredoc.content
            if heredoc.expands:
                text = stage.expander(instruction).expand_document(text)
            archives.append(of_file(heredoc.name, text.encode()))
            found += select(archives[-1], [heredoc.name], ())
        yield found
    finally:
        for archive in archives:
            archive.close()


def _fetched(
    stage: StageBuild,
    instruction: Instruction,
    urls: Sequence[str],
    place: str,
    stack: ExitStack,
) -> list[Source]:
    """The content of URLs as files, and that of git repositories; `stack` closes them."""
    found: list[Source] = []
    checksum, workroom = instruction.flag("checksum"), stage.site.workroom
    for url in urls:
        if is_git(url):
            keep = _is_set(instruction, "keep-git-dir")
            archive = stack.enter_context(
                closing(cloned(url, workroom, keep_git_folder=keep, commit=checksum))
            )
            found += select(archive, ["."], instruction.flag_values("exclude"))
            continue
        fetched = fetch.fetch(url, workroom.path, checksum, stage.site.cancellation.check)
        if not fetched.name and place.endswith("/"):
            fetched.file.close()
            raise InvalidParameterError(f"cannot determine filename from url: {url}")
        name = fetched.name or UNNAMED
        archive = stack.enter_context(closing(receive(fetched.as_archive(name), workroom.path)))
        found += select(archive, [name], ())
    return found
