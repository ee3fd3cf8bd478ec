"""RUN: a temporary container of the engine; its changes become the layer, and it is removed.

It is removed whatever happens: when the command fails, when the client goes away, and, after the
daemon was killed, by the next one (`labkit.build.workroom.sweep`).
"""

import contextlib
import json
import os
import signal
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy

from labkit.build import events
from labkit.build.dockerfile.model import Instruction
from labkit.build.errors import BuildError, CommandError
from labkit.build.mounts import Mounts
from labkit.build.stage import PREDEFINED, StageBuild
from labkit.build.workroom import CONTAINER_LABEL
from labkit.containers import ContainerConfig, HostConfig
from labkit.errors import InvalidParameterError, LabkitError, StartError
from labkit.images import Draft, Image
from labkit.images.archives.layer_packer import MADE_BY_LABKIT
from labkit.images.changes import environment_of
from labkit.images.models import Healthcheck, RuntimeConfig

SHORT = 12
FRAME = struct.Struct(">BxxxL")


def run(stage: StageBuild, instruction: Instruction) -> None:
    """`RUN [--mount= --network=] COMMAND`."""
    if stage.image is None:
        raise InvalidParameterError("there is nothing to run yet: FROM scratch has no files")
    network = instruction.flag("network")
    security = instruction.flag("security")
    if security not in ("", "sandbox"):
        raise InvalidParameterError(
            f"--security={security}: security.{security} is not allowed; labkit runs every command "
            "with the limits of a container"
        )
    mounts = Mounts(stage, instruction)
    command = _command(stage, instruction)
    arguments = _arguments(stage)

    def make(draft: Draft) -> bool:
        with mounts.ready() as given:
            host = deepcopy(stage.site.options.host_config)
            host.mounts = given
            host.network_mode = network if network not in ("", "default") else host.network_mode
            environment = [f"{name}={value}" for name, value in arguments.items()]
            environment += mounts.environment()
            with _container(stage, command, environment, host) as container_id:
                _run(stage, command, container_id, mounts)
                folder = stage.site.engine.parts.records.folder(container_id)
                stubs = [*MADE_BY_LABKIT, *(mount.target for mount in given)]
                return stage.site.take_written(draft, folder, draft.layer_directories(), stubs)

    def compare(_: Image) -> list[str]:
        return ["the mounted files differ"]

    noted = {name: value for name, value in arguments.items() if name in stage.arguments}
    words = _noted(command, noted, instruction, mounts.content_keys())
    stage.finish("", make, created_by=words, compare=compare, depends=_depends)


def _depends(config: RuntimeConfig) -> object:
    """Return the part of the config that a command sees, as in BuildKit."""
    return config.env, config.user, config.working_dir


def _command(stage: StageBuild, instruction: Instruction) -> list[str]:
    if instruction.words is not None:
        return list(instruction.words)
    documents = "".join(heredoc.source for heredoc in instruction.heredocs)
    if not documents:
        return [*stage.shell, instruction.text]
    if instruction.text.startswith("<<") and len(instruction.text.split()) == 1:
        return [*stage.shell, _script(instruction.heredocs[0].content)]
    return [*stage.shell, f"{instruction.text}\n{documents}"]


def _script(content: str) -> str:
    """A heredoc without a command: words for the shell, or a program with its own interpreter."""
    if not content.startswith("#!"):
        return content
    words = content.partition("\n")[0][2:].strip()
    marker = "LABKIT_SCRIPT"
    while marker in content:
        marker += "_"
    path = f"/dev/{marker}"
    return f"cat >{path} <<'{marker}'\n{content}{marker}\n{words} {path}\n"


def _arguments(stage: StageBuild) -> dict[str, str]:
    """The build arguments that the command sees; proxies need no ARG, and have both cases."""
    given = stage.site.options.build_args
    implied = {
        each: value
        for name, value in given.items()
        if name in PREDEFINED and value
        for each in (name.upper(), name.lower())
    }
    fixed = environment_of(stage.config)
    return {name: value for name, value in implied.items() if name not in fixed} | stage.arguments


def _noted(
    command: list[str],
    arguments: Mapping[str, str],
    instruction: Instruction,
    mounted: Sequence[str],
) -> str:
    """How the history shows it; also what the cache compares."""
    words = [f"{name}={value}" for name, value in sorted(arguments.items())]
    is_plain = instruction.words is None or not any(" " in word for word in command)
    shown = " ".join(command) if is_plain else json.dumps(command, ensure_ascii=False)
    flags = "".join(f" --{name}={value}" for name, value in instruction.flags)
    flags += "".join(f" {key}" for key in mounted)
    counted = [f"|{len(words)}", *words] if words else []
    return " ".join([*counted, shown]) + (f" #{flags}" if flags else "")


@contextlib.contextmanager
def _container(
    stage: StageBuild, command: list[str], environment: list[str], host: HostConfig
) -> Iterator[str]:
    """A container that is removed afterwards, whatever happens."""
    engine, image = stage.site.engine, stage.image
    config = ContainerConfig(
        image=image.id if image else "",
        cmd=command,
        entrypoint=[""],
        env=environment,
        labels={CONTAINER_LABEL: str(os.getpid())},
        healthcheck=Healthcheck(test=["NONE"]),
    )
    # Files that a step writes below a VOLUME stay, as with BuildKit.
    container, _ = engine.create(config, host, takes_volumes=False)
    try:
        yield container.id
    finally:
        with contextlib.suppress(LabkitError):  # someone was quicker
            engine.remove(container.id, force=True, volumes=True)
        stage.say(f"Removing intermediate container {container.id[:SHORT]}\n")


def _run(stage: StageBuild, command: list[str], container_id: str, mounts: Mounts) -> None:
    """Run the command to its end, its output being the build's; BuildError if it fails."""
    engine = stage.site.engine
    stage.say(f" ---> Running in {container_id[:SHORT]}\n")

    def kill() -> None:
        with contextlib.suppress(LabkitError):  # it has not begun, or has ended
            engine.kill(container_id, signal.SIGKILL)

    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            engine.attach(container_id, theirs.fileno(), stdin=False, stdout=True, stderr=True)
        with stage.site.cancellation.calling(kill):
            try:
                engine.start(container_id, mounts.secret_environment)
            except StartError as error:
                raise BuildError(str(error), error.exit_code) from None
            mounts.are_mounted()
            stage.site.cancellation.check()
            for stream, data in _output(ours):
                stage.tell(events.Printed(stage.step, stream, data))
            state = engine.wait(container_id)
    stage.site.cancellation.check()
    if state.exit_code:
        shown = " ".join(command)
        reason = ": it was killed because it used too much memory (-m)" if state.oom_killed else ""
        raise CommandError(
            f"The command '{shown}' returned a non-zero code: {state.exit_code}{reason}",
            state.exit_code,
            f"{shown}{reason}",
        )


def _output(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield the container's output, both streams in order (Engine API, "Attach")."""
    with connection.makefile("rb") as stream:
        while header := stream.read(FRAME.size):
            number, length = FRAME.unpack(header)
            yield number, stream.read(length)
