"""From lines to instructions and stages: pure data, checked as far as it can be without building.

The words of the errors are BuildKit's where it has some.
"""

import difflib
import json
import re

from labkit.build.dockerfile.lines import Line, Source, read
from labkit.build.dockerfile.model import Dockerfile, Instruction, Stage
from labkit.build.dockerfile.rules import RULES, Rule
from labkit.build.errors import DockerfileError, TextError
from labkit.errors import InvalidParameterError
from labkit.images import shell_words as words
from labkit.images.changes import NO_TRIGGERS

_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")


def parse(data: bytes, file: str = "Dockerfile") -> Dockerfile:
    """Read a Dockerfile; DockerfileError says which line is wrong, and why."""
    source = read(data, file)
    if not source.lines:
        raise TextError("file with no instructions: the Dockerfile is empty", file, 1, "")
    arguments: list[Instruction] = []
    starts: list[Stage] = []
    bodies: list[list[Instruction]] = []
    numbers: dict[str, int] = {}
    for line in source.lines:
        try:
            instruction = _instruction(line.text, line, source.escape)
            if instruction.name == "FROM":
                starts.append(_stage(instruction, len(starts), numbers))
                bodies.append([])
            elif bodies:
                bodies[-1].append(instruction)
            elif instruction.name == "ARG":
                arguments.append(instruction)
            else:
                raise InvalidParameterError(
                    "no build stage in current context: the first instruction must be FROM "
                    "(only ARG may stand before it)"
                )
        except InvalidParameterError as error:
            why = str(error)
            kind = TextError if why.startswith("Syntax error - ") else DockerfileError
            raise kind(why, file, line.number, line.source) from None
    if not starts:
        raise _no_stage(source)
    stages = (
        stage._replace(instructions=tuple(body)) for stage, body in zip(starts, bodies, strict=True)
    )
    return Dockerfile(file, tuple(arguments), tuple(stages), numbers)


def parse_trigger(text: str) -> Instruction:
    """One instruction that an image's ONBUILD kept, with its heredocs; InvalidParameterError."""
    source = read(text.encode(), "ONBUILD")
    if len(source.lines) != 1:
        raise InvalidParameterError(f"a trigger is one instruction, and not {text!r}")
    return _instruction(source.lines[0].text, source.lines[0], source.escape)


def parse_line(text: str) -> Instruction:
    """Parse one instruction that is in no Dockerfile, as one line; InvalidParameterError."""
    return _instruction(text, Line(0, text, text), words.BACKSLASH)


def _no_stage(source: Source) -> DockerfileError:
    last = source.lines[-1]
    return DockerfileError("no build stage: a FROM is missing", source.file, last.number, "")


def _instruction(text: str, line: Line, escape: str) -> Instruction:
    written, *after = text.split(None, 1)
    name, rest = written.upper(), after[0] if after else ""
    rule = RULES.get(name)
    if rule is None:
        raise InvalidParameterError(f"unknown instruction: {written}{_hint(name, list(RULES))}")
    flags, rest = _flags(name, rest.strip(), rule, escape)
    listed = _json_list(rest) if rule.takes_json else None
    instruction = Instruction(
        name, flags, rest, listed, line.heredocs, text, line.number, escape, line.last
    )
    rule.check(instruction)
    return instruction if name != "ONBUILD" else _with_trigger(instruction, line)


def _with_trigger(instruction: Instruction, line: Line) -> Instruction:
    kept = instruction.text.split(None, 1)[0].upper()
    if kept in NO_TRIGGERS:
        raise InvalidParameterError(NO_TRIGGERS[kept])
    trigger = _instruction(instruction.text, line, instruction.escape)
    return instruction._replace(trigger=trigger)


def _flags(
    name: str, text: str, rule: Rule, escape: str
) -> tuple[tuple[tuple[str, str], ...], str]:
    """The flags at the beginning of the arguments, and the rest."""
    flags: list[tuple[str, str]] = []
    while text.startswith("--") and rule.flags:
        word = words.first_field(text, escape)
        rest = text[len(word) :].lstrip()
        if word == "--":
            return tuple(flags), rest
        key, equals, value = word[2:].partition("=")
        if key not in rule.flags:
            hint = _hint(key, list(rule.flags), "--")
            raise InvalidParameterError(f"unknown flag: --{key} of {name}{hint}")
        if not equals and not rule.flags[key].is_switch:
            raise InvalidParameterError(f"missing a value on flag: --{key}")
        if not rule.flags[key].may_repeat and key in dict(flags):
            raise InvalidParameterError(f"duplicate flag specified: --{key}")
        flags.append((key, value if equals else "true"))
        text = rest
    return tuple(flags), text


def _json_list(text: str) -> tuple[str, ...] | None:
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(word, str) for word in value):
        raise InvalidParameterError(
            "when using JSON array syntax, arrays must be comprised of strings only"
        )
    # JSON can name half a character, which no path and no argument can hold.
    return tuple(
        word.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for word in value
    )


def _stage(instruction: Instruction, number: int, numbers: dict[str, int]) -> Stage:
    """The stage that a FROM begins, noted in `numbers` if it has a name.

    Of several stages with one name the last counts, as in BuildKit.
    """
    parts = instruction.text.split()
    name = parts[2].lower() if len(parts) == 3 else ""
    if name and not _STAGE_NAME.fullmatch(name):
        raise InvalidParameterError(
            f'invalid name for build stage: "{parts[2]}", name can\'t start with a number or '
            "contain symbols"
        )
    if name:
        numbers[name] = number
    return Stage(number, name, parts[0], instruction.flag("platform"), instruction, ())


def _hint(word: str, known: list[str], prefix: str = "") -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f" (did you mean {prefix}{close[0]}?)" if close else ""
