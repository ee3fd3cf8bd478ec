"""The graph of stages: which of them the target needs, and building them, side by side.

A stage that nothing needs is not built.  Each needed one has a thread, and waits for those it is
made from; output comes in the stages' order, even if a later stage was quicker.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from labkit.build.dockerfile.model import Dockerfile, Instruction, Stage
from labkit.build.errors import CancelledError, TextError
from labkit.build.events import Event
from labkit.errors import InvalidParameterError
from labkit.images.shell_words import Budget, Expander

STAGES_SIDE_BY_SIDE = 4


class Node(NamedTuple):
    """A stage, and the stages below it."""

    stage: Stage
    base: str
    """Its base image, variables put in; empty if the base is a stage of this Dockerfile."""
    base_stage: int | None
    needs: frozenset[int]
    """The stages it cannot begin or go on without."""


Triggers = Callable[[str], Sequence[Instruction]]
"""What an image keeps to be done in the stages that begin with it (ONBUILD), by its name."""


def graph(
    dockerfile: Dockerfile,
    arguments: Mapping[str, str],
    kept: Triggers = lambda _: (),
    budget: Budget | None = None,
    is_outside: Callable[[str], bool] = lambda _: False,
) -> list[Node]:
    """Every stage with what it needs; `arguments` are the ARGs before the first FROM.

    `is_outside` says of a name that it means no stage, though one may be called so.
    """
    nodes: list[Node] = []
    for stage in dockerfile.stages:
        base = Expander(arguments, stage.start.escape, budget).expand(stage.base)
        if not base:
            raise InvalidParameterError(
                f"base name ({stage.base}) should not be blank: give it with --build-arg\n"
                f"{dockerfile.file}:{stage.start.number}: {stage.start.original}"
            )
        base_stage = None
        if not is_outside(base):
            base_stage = base_of(dockerfile, base, stage.number)
        triggers = kept(base) if base_stage is None else kept_by(dockerfile.stages[base_stage])
        needs = {base_stage}
        for instruction in (*triggers, *stage.instructions):
            needs |= _needed_for(dockerfile, instruction, is_outside)
        stages = frozenset(number for number in needs if number is not None)
        nodes.append(Node(stage, "" if base_stage is not None else base, base_stage, stages))
    _refuse_circles(dockerfile, nodes)
    return nodes


def kept_by(stage: Stage) -> Iterator[Instruction]:
    """The triggers of a stage."""
    return (found.trigger for found in stage.instructions if found.trigger is not None)


def _needed_for(
    dockerfile: Dockerfile,
    instruction: Instruction,
    is_outside: Callable[[str], bool],
) -> set[int | None]:
    try:
        return {named(dockerfile, name) for name in _origins(instruction) if not is_outside(name)}
    except InvalidParameterError as error:
        place = f"{dockerfile.file}:{instruction.number}: {instruction.original}"
        raise InvalidParameterError(f"{error}\n{place}") from None


def named(dockerfile: Dockerfile, name: str) -> int | None:
    """The stage that `--from` means, by name or number; None if it is none.

    As in BuildKit it may be a later one, as long as the stages do not need each other in a circle.
    """
    if name.isdecimal():
        if not _is_below(name, len(dockerfile.stages)):
            raise InvalidParameterError(f"invalid stage index {name}: there is no such stage")
        return int(name)
    return dockerfile.numbers.get(name.lower())


def base_of(dockerfile: Dockerfile, name: str, before: int) -> int | None:
    """The stage that FROM means: the last one before this one of this name; None if it is none."""
    names = [stage.name for stage in dockerfile.stages[:before]]
    found = [number for number, known in enumerate(names) if known and known == name.lower()]
    return found[-1] if found else None


def _is_below(digits: str, limit: int) -> bool:
    """Whether a number is below the limit; one of very many digits is not even read."""
    return len(digits) <= len(str(limit)) and int(digits) < limit


def _origins(instruction: Instruction) -> Iterator[str]:
    """Yield the names in `--from` and `--mount=…,from=`."""
    if origin := instruction.flag("from"):
        yield origin
    for mount in instruction.mounts():
        if origin := mount.get("from", ""):
            yield origin


def target(dockerfile: Dockerfile, name: str) -> int:
    """The stage that is wanted: by name or number, the last one unless said."""
    if not name:
        return len(dockerfile.stages) - 1
    if name.lower() in dockerfile.numbers:
        return dockerfile.numbers[name.lower()]
    if name.isdecimal() and _is_below(name, len(dockerfile.stages)):
        return int(name)
    known = ", ".join(stage.name for stage in dockerfile.stages if stage.name)
    raise InvalidParameterError(
        f'target stage "{name}" could not be found: the named stages are {known or "none"}'
    )


class CircleError(InvalidParameterError):
    """A stage needs another one that cannot be built before it."""

    def __init__(self, number: int, other: int) -> None:
        super().__init__(f"stage {number} needs stage {other}, and the other way round")
        self.number, self.other = number, other


def _refuse_circles(dockerfile: Dockerfile, nodes: list[Node]) -> None:
    """Raise TextError if stages need each other in a circle, also if the target needs none.

    Only a later stage, or the stage itself, can close a circle.
    """
    for node in nodes:
        if all(other < node.stage.number for other in node.needs):
            continue
        try:
            needed(nodes, node.stage.number)
        except CircleError as error:
            stage = dockerfile.stages[error.number]
            found = next(
                (
                    each
                    for each in stage.instructions
                    if error.other in _needed_for(dockerfile, each, lambda _: False)
                ),
                stage.start,
            )
            name = dockerfile.stages[error.other].name or str(error.other)
            why = f"circular dependency detected on stage: {name}"
            file, line = dockerfile.file, found.number
            raise TextError(why, file, line, found.original) from None


def needed(nodes: list[Node], wanted: int) -> list[int]:
    """The stages that have to be built for one, each after those that it needs.

    Else they are in the Dockerfile's order.  CircleError for stages in a circle.
    """
    found: dict[int, None] = {}
    begun: set[int] = set()
    waiting = [wanted]
    while waiting:
        number = waiting[-1]
        begun.add(number)
        missing = [other for other in sorted(nodes[number].needs) if other not in found]
        if circle := next(((number, other) for other in missing if other in begun), None):
            raise CircleError(*circle)
        waiting += missing[:1]
        if not missing:
            found[waiting.pop()] = None
    has_later = any(max(nodes[number].needs, default=number) > number for number in found)
    return list(found) if has_later else sorted(found)


Report = Callable[[Event], None]
BuildStage = Callable[[Node, Report], None]


def solve(
    nodes: list[Node], order: list[int], build: BuildStage, cancel: Callable[[], None]
) -> Iterator[list[Event]]:
    """Build the stages of `order`; their output, as it comes, in that order.

    An empty list stands for a moment in which nothing came.  The first error of a stage ends the
    others (`cancel`) and is raised when its output has been given.
    """
    outputs: dict[int, queue.SimpleQueue[Event | None]] = {
        number: queue.SimpleQueue() for number in order
    }
    done = {number: threading.Event() for number in order}
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for other in sorted(nodes[number].needs):
                done[other].wait()
            build(nodes[number], outputs[number].put)
        except BaseException as error:
            if not isinstance(error, CancelledError):
                failed.append(error)
            cancel()
            raise
        finally:
            done[number].set()
            outputs[number].put(None)

    with ThreadPoolExecutor(STAGES_SIDE_BY_SIDE, thread_name_prefix="build") as pool:
        # A stage needs earlier ones of `order` only, so one in the pool waits for one that runs.
        futures: list[Future[None]] = [pool.submit(work, number) for number in order]
        try:
            for number in order:
                yield from _until_done(outputs[number])
                if failed and futures[order.index(number)].exception() in failed:
                    break
        except GeneratorExit:
            cancel()
            raise
    if failed:
        raise failed[0]
    for future in futures:
        future.result()


POLL_S = 0.25


def _until_done(output: "queue.SimpleQueue[Event | None]") -> Iterator[list[Event]]:
    """All that is there, each time there is something."""
    is_over = False
    while not is_over:
        events: list[Event] = []
        with contextlib.suppress(queue.Empty):
            event = output.get(timeout=POLL_S)
            while event is not None:
                events.append(event)
                event = output.get_nowait()
            is_over = True
        yield events
