"""The checks of a Dockerfile's style for a build client: an answer to `--check`, or warnings.

A line `# check=skip=NAME,NAME;error=true` in the file, or the build argument
BUILDKIT_DOCKERFILE_CHECK, leaves rules out, and makes a broken rule an error.
Source: buildkit's frontend/dockerfile/linter, frontend/subrequests/lint.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from labkit.build.context.contexts import Source
from labkit.build.dockerfile.checks import Base, Subject, Warned, check
from labkit.build.dockerfile.parser import parse
from labkit.buildkit.checking import VERSION, Answer
from labkit.buildkit.messages import Position, Range, SourceInfo, VertexWarning
from labkit.containers import Engine
from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images.changes import environment_of
from labkit.patterns import Patterns

ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
EXPERIMENTAL = "BUILDKIT_DOCKERFILE_CHECK_EXPERIMENTAL"
SHOWN_LINES = 2
"""How many lines are shown around those of a fault."""
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+)")


class Settings(NamedTuple):
    """The settings in a `check` line."""

    skipped: Sequence[str]
    is_error: bool
    experimental: bool


class Facts(NamedTuple):
    """The facts of a build that the checks need, besides its Dockerfile."""

    engine: Engine
    arguments: Mapping[str, str | None]
    platform: str
    ignored: Sequence[str]


def lint(source: Source, facts: Facts) -> tuple[list[Warned], Settings]:
    """Return the broken rules, and the settings.  DockerfileError, InvalidParameterError."""
    settings = _settings(source, facts.arguments)
    platform_names = ("PLATFORM", "OS", "ARCH", "VARIANT")
    system, _, rest = facts.platform.partition("/")
    architecture, _, variant = rest.partition("/")
    values = dict(zip(platform_names, (facts.platform, system, architecture, variant), strict=True))
    given = {
        f"{side}{name}": value for name, value in values.items() for side in ("TARGET", "BUILD")
    }
    subject = Subject(
        parse(*source),
        source.data.decode("utf-8-sig", "replace").split("\n"),
        given,
        Patterns(facts.ignored),
        lambda name: _base(facts, name),
        facts.platform,
    )
    return check(subject, settings.skipped, experimental=settings.experimental), settings


def _base(facts: Facts, name: str) -> Base | None:
    """Return the facts of a base image, if it is here."""
    if name == "scratch":
        return Base(frozenset(), "")
    try:
        image = facts.engine.images.resolve(name)
    except (NotFoundError, InvalidParameterError):
        return None
    parts = (image.os, image.architecture, image.document.variant)
    platform = "/".join(part for part in parts if part)
    return Base(frozenset(environment_of(image.config)), platform)


def _settings(source: Source, arguments: Mapping[str, str | None]) -> Settings:
    text = arguments.get(ARGUMENT)
    parts = (text if text is not None else _line(source.data)).split(";")
    values = {key.strip(): value for key, _, value in (part.partition("=") for part in parts)}
    for key in values:
        if key not in ("", "skip", "error", "experimental"):
            raise InvalidParameterError(f'invalid check option "{key}": it must be skip or error')
    experimental = bool(values.get("experimental")) or bool(arguments.get(EXPERIMENTAL))
    skipped = [name.strip() for name in values.get("skip", "").split(",") if name.strip()]
    is_error = values.get("error", "").strip().lower() in ("1", "t", "true")
    return Settings(skipped, is_error, experimental)


def _line(data: bytes) -> str:
    """Return the value of the `# check=` line at the top of the file."""
    for line in data.decode("utf-8-sig", "replace").splitlines():
        found = _DIRECTIVE.fullmatch(line.strip())
        if found is None:
            break
        if found[1].lower() == "check":
            return found[2]
    return ""


def error_of(found: Sequence[Warned]) -> InvalidParameterError:
    """Return the error of a file that says `error=true`."""
    rules = ", ".join(sorted({each.rule for each in found}))
    return InvalidParameterError(f"lint violation found for rules: {rules}")


def answer(source: Source, found: Sequence[Warned]) -> Answer:
    """Return the answer to `--check`."""
    warnings = [
        {
            "ruleName": each.rule,
            "description": each.description,
            "url": each.url,
            "detail": each.fault.message,
            "location": {
                "ranges": [{"start": {"line": each.fault.first}, "end": {"line": each.fault.last}}]
            },
        }
        for each in found
    ]
    data = base64.b64encode(source.data).decode()
    sources = [
        {"fileName": source.name, "language": "Dockerfile", "definition": None, "data": data}
    ]
    result = {"warnings": warnings, "sources": sources if warnings else []}
    return {
        "result.json": msgspec.json.encode(result),
        "result.txt": _text(source, found).encode(),
        "result.statuscode": b"1" if found else b"0",
        "version": VERSION,
    }


def _text(source: Source, found: Sequence[Warned]) -> str:
    if not found:
        return "Check complete, no warnings found.\n"
    lines = source.data.decode("utf-8-sig", "replace").split("\n")
    count = f"{len(found)} warning{'s' if len(found) > 1 else ''}"
    parts = [f"Check complete, {count} found:"]
    for each in found:
        first, last = each.fault.first, each.fault.last
        parts += ["", f"WARNING: {each.rule} - {each.url}", each.fault.message]
        parts += [f"{source.name}:{first}", "-" * 20]
        for number in range(max(1, first - SHOWN_LINES), min(len(lines), last + SHOWN_LINES) + 1):
            mark = ">>>" if first <= number <= last else "   "
            parts.append(f"{number:4} | {mark} {lines[number - 1]}".rstrip())
        parts.append("-" * 20)
    return "\n".join(parts) + "\n"


def warnings(source: Source, found: Sequence[Warned], vertex: str) -> list[VertexWarning]:
    """Return the broken rules as warnings of a build's step, with their lines."""
    info = SourceInfo(source.name, source.data, "Dockerfile")
    return [
        VertexWarning(
            vertex,
            1,
            f"{each.rule}: {each.fault.message} (line {each.fault.first})".encode(),
            [each.description.encode()],
            each.url,
            info,
            [Range(Position(each.fault.first), Position(each.fault.last))],
        )
        for each in found
    ]
