"""Questions about a Dockerfile that are answered without a build: `--call outline`, `targets`.

The client sends them as a frontend's subrequests, and prints the answer's text or its JSON.
Source: buildkit's frontend/subrequests (`outline`, `targets`); `linting` answers `--check`.
"""

import msgspec

from labkit.build.context.contexts import Source
from labkit.build.dockerfile.model import Dockerfile
from labkit.build.dockerfile.parser import parse
from labkit.build.solver import target
from labkit.rpc.errors import UNIMPLEMENTED, CallError

Answer = dict[str, bytes]
VERSION = b"1.0.0"


def answer(asked: str, source: Source, wanted: str) -> Answer:
    """Return the answer to a subrequest.  CallError for an unknown one; DockerfileError."""
    find = _ANSWERS.get(asked)
    if find is None:
        raise CallError(UNIMPLEMENTED, f"unsupported request {asked!r}")
    return find(source, wanted)


def _targets(source: Source, _: str) -> Answer:
    """Return the stages that can be built."""
    dockerfile = parse(*source)
    stages = [
        {
            "name": stage.name,
            "default": stage.number == len(dockerfile.stages) - 1,
            "base": stage.base,
            "platform": stage.platform,
        }
        for stage in dockerfile.stages
    ]
    lines = ["TARGET".ljust(20) + "DESCRIPTION"]
    for stage in stages:
        name = str(stage["name"] or "") + (" (default)" if stage["default"] else "")
        lines.append(name)
    return {
        "result.json": msgspec.json.encode({"targets": stages, "sources": [source.data]}),
        "result.txt": ("\n".join(lines) + "\n").encode(),
        "version": VERSION,
    }


def _outline(source: Source, wanted: str) -> Answer:
    """Return the target, and its build arguments."""
    dockerfile = parse(*source)
    name = dockerfile.stages[target(dockerfile, wanted)].name
    found = _arguments(dockerfile, wanted)
    lines = [f"TARGET: {name or '(default)'}", "", "BUILD ARG".ljust(20) + "VALUE"]
    lines += [f"{each['name']:<20}{each['value']}" for each in found]
    return {
        "result.json": msgspec.json.encode({"name": name, "args": found}),
        "result.txt": ("\n".join(lines) + "\n").encode(),
        "version": VERSION,
    }


def _arguments(dockerfile: Dockerfile, wanted: str) -> list[dict[str, str]]:
    stage = dockerfile.stages[target(dockerfile, wanted)]
    found: dict[str, str] = {}
    for instruction in (*dockerfile.arguments, *stage.instructions):
        if instruction.name == "ARG":
            for word in instruction.text.split():
                name, _, value = word.partition("=")
                found[name] = value or found.get(name, "")
    return [{"name": name, "value": value} for name, value in found.items()]


_ANSWERS = {
    "frontend.targets": _targets,
    "frontend.outline": _outline,
}
