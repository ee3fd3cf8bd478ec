"""Questions about a Dockerfile that are answered without a build: `--call outline`, `targets`.

The client sends them as a frontend's subrequests, and prints the answer's text or its JSON.
Source: buildkit's frontend/subrequests (`outline`, `targets`); `linting` answers `--check`.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from labkit.build.context.contexts import Source
from labkit.build.dockerfile.model import Dockerfile, Instruction
from labkit.build.dockerfile.parser import parse
from labkit.build.options import Options
from labkit.build.solver import graph, needed, target
from labkit.images import shell_words as words
from labkit.rpc.errors import UNIMPLEMENTED, CallError

Answer = dict[str, bytes]
VERSION = b"1.0.0"


def answer(asked: str, source: Source, options: Options) -> Answer:
    """Return the answer to a subrequest.  CallError for an unknown one; DockerfileError."""
    find = _ANSWERS.get(asked)
    if find is None:
        raise CallError(UNIMPLEMENTED, f"unsupported request {asked!r}")
    return find(source, options)


def _targets(source: Source, _: Options) -> Answer:
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


def _outline(source: Source, options: Options) -> Answer:
    """Return the target, and the arguments, secrets, agents and caches of the needed stages."""
    dockerfile = parse(*source)
    number = target(dockerfile, options.target)
    name = dockerfile.stages[number].name
    instructions = [*dockerfile.arguments, *_needed(dockerfile, number, options)]
    found = _arguments(instructions, options)
    mounts = [_mount(keys) for each in instructions for keys in each.mounts()]
    outline: dict[str, object] = {"name": name, "args": found}
    lines = [f"TARGET: {name or '(default)'}", "", "BUILD ARG".ljust(20) + "VALUE"]
    lines += [f"{each['name']:<20}{each['value']}" for each in found]
    for kind, key, title in (("secret", "secrets", "SECRET"), ("ssh", "ssh", "SSH")):
        given = {mount["id"]: mount for mount in mounts if mount["type"] == kind}
        if given:
            is_required = {one: _is_required(mount) for one, mount in given.items()}
            outline[key] = [{"name": one, "required": is_required[one]} for one in given]
            lines += ["", title.ljust(20) + "REQUIRED"]
            lines += [f"{one:<20}{str(is_required[one]).lower()}" for one in given]
    caches = dict.fromkeys(mount["id"] for mount in mounts if mount["type"] == "cache")
    if caches:
        outline["cache"] = [{"ID": one} for one in caches]
    return {
        "result.json": msgspec.json.encode({**outline, "sources": [source.data]}),
        "result.txt": ("\n".join(lines) + "\n").encode(),
        "version": VERSION,
    }


def _needed(dockerfile: Dockerfile, number: int, options: Options) -> Iterator[Instruction]:
    """Yield the instructions of the stages that the target needs."""
    defaults = {each["name"]: each["value"] for each in _arguments(dockerfile.arguments, options)}
    nodes = graph(dockerfile, defaults)
    for each in needed(nodes, number):
        yield from dockerfile.stages[each].instructions


def _arguments(instructions: Iterable[Instruction], options: Options) -> list[dict[str, str]]:
    found: dict[str, str] = {}
    for instruction in instructions:
        if instruction.name == "ARG":
            for word in words.fields(instruction.text, instruction.escape):
                name, _, value = word.partition("=")
                given = options.build_args.get(name)
                found[name] = given if given is not None else value or found.get(name, "")
    return [{"name": name, "value": value} for name, value in found.items()]


def _mount(keys: Mapping[str, str]) -> dict[str, str]:
    place = keys.get("target") or keys.get("dst") or keys.get("destination") or ""
    kind = keys.get("type", "bind")
    default = {"secret": place.rpartition("/")[2] or keys.get("env", ""), "ssh": "default"}
    return {"type": kind, "id": keys.get("id") or default.get(kind, place), **keys}


def _is_required(mount: Mapping[str, str]) -> bool:
    return mount.get("required", "false") in ("", "1", "true")


_ANSWERS = {
    "frontend.targets": _targets,
    "frontend.outline": _outline,
}
