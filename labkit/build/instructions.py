"""The instructions that change what an image says, and not its files; and the table of all.

Each is one function on a stage's state.  Those with files are in `labkit.build.copying` and
`labkit.build.running`.
"""

import json
from collections.abc import Callable, Mapping

from labkit.build import copying, running
from labkit.build.dockerfile.model import Instruction
from labkit.build.stage import StageBuild
from labkit.images import changes, healthchecks
from labkit.images import shell_words as words

Handler = Callable[[StageBuild, Instruction], None]


def _said(instruction: Instruction, text: str) -> str:
    """How the history shows an instruction without files: two blanks stand before it."""
    return f" {instruction.name} {text}"


def _changed(stage: StageBuild, instruction: Instruction) -> None:
    """Change the config as `import --change` would, variables put in."""
    change = changes.INSTRUCTIONS[instruction.name]
    change(stage.config, instruction.text, stage.expander(instruction))


def _expanding(stage: StageBuild, instruction: Instruction) -> None:
    """EXPOSE, STOPSIGNAL, USER: noted as they are written, with the values put in."""
    expander = stage.expander(instruction)
    _changed(stage, instruction)
    noted = " ".join(
        expander.expand(word) for word in words.fields(instruction.text, instruction.escape)
    )
    stage.finish(_said(instruction, noted))


def _volume(stage: StageBuild, instruction: Instruction) -> None:
    before = set(stage.config.volumes or {})
    _changed(stage, instruction)
    noted = [path for path in stage.config.volumes or {} if path not in before]
    stage.finish(_said(instruction, json.dumps(noted or [instruction.text])))


def _cmd(stage: StageBuild, instruction: Instruction) -> None:
    _changed(stage, instruction)
    stage.cmd_is_set = True
    stage.finish(_said(instruction, _listed(stage.config.cmd)))


def _entrypoint(stage: StageBuild, instruction: Instruction) -> None:
    _changed(stage, instruction)
    if not stage.cmd_is_set:
        stage.config.cmd = None
    stage.finish(_said(instruction, _listed(stage.config.entrypoint)))


def _listed(command: list[str] | None) -> str:
    """A command as Docker's history has it: `["/bin/sh" "-c" "echo hi"]`."""
    return f"[{' '.join(json.dumps(word, ensure_ascii=False) for word in command or [])}]"


def _maintainer(stage: StageBuild, instruction: Instruction) -> None:
    stage.author = instruction.text
    stage.finish(_said(instruction, instruction.text))


def _arg(stage: StageBuild, instruction: Instruction) -> None:
    expander = stage.expander(instruction)
    noted: list[str] = []
    for word in words.fields(instruction.text, instruction.escape):
        name, equals, default = word.partition("=")
        value = expander.expand(default) if equals else stage.site.global_arguments.get(name)
        noted.append(f"{name}={value}" if equals else name)
        given = stage.site.given_argument(name)
        value = value if given is None else given
        if value is not None:
            stage.arguments[name] = value
    stage.finish(_said(instruction, " ".join(noted)))


def _shell(stage: StageBuild, instruction: Instruction) -> None:
    stage.config.shell = list(instruction.words or ())
    stage.finish(_said(instruction, _listed(stage.config.shell)))


def _onbuild(stage: StageBuild, instruction: Instruction) -> None:
    heredocs = "".join(heredoc.source for heredoc in instruction.heredocs)
    kept = f"{instruction.text}\n{heredocs}".rstrip("\n")
    stage.config.on_build = [*(stage.config.on_build or []), kept]
    stage.finish(_said(instruction, instruction.text))


def _healthcheck(stage: StageBuild, instruction: Instruction) -> None:
    made = healthchecks.made(dict(instruction.flags), instruction.text)
    stage.config.healthcheck = made
    flags = "".join(f"--{name}={value} " for name, value in instruction.flags)
    stage.finish(_said(instruction, f"{flags}{_listed(made.test)}"))


def _pairs(stage: StageBuild, instruction: Instruction) -> None:
    """ENV, LABEL: noted pair by pair, with the values put in."""
    found = changes.pairs(instruction.name, instruction.text, stage.expander(instruction))
    _changed(stage, instruction)
    if instruction.name == "ENV":
        for name in found:
            stage.arguments.pop(name, None)
    noted = " ".join(f"{name}={value}" for name, value in found.items())
    stage.finish(_said(instruction, noted))


INSTRUCTIONS: Mapping[str, Handler] = {
    "ADD": copying.add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": copying.copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _pairs,
    "EXPOSE": _expanding,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _pairs,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": running.run,
    "SHELL": _shell,
    "STOPSIGNAL": _expanding,
    "USER": _expanding,
    "VOLUME": _volume,
    "WORKDIR": copying.work_dir,
}
"""Every instruction but FROM, which is a stage's beginning (`labkit.build.solver`)."""
