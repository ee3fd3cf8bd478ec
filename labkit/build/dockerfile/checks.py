"""Checks of a Dockerfile's style (`--check`): each rule is a small function in a table.

Names, descriptions and messages are BuildKit's (frontend/dockerfile/linter/ruleset.go), so that
`# check=skip=NAME` lines and the pages of Docker's documentation apply.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from labkit.build.dockerfile.model import Dockerfile, Instruction, Stage
from labkit.dialect.references import canonical
from labkit.errors import InvalidParameterError
from labkit.images import shell_words as words
from labkit.patterns import Patterns

URL = "https://docs.docker.com/go/dockerfile/rule/"
RESERVED_NAMES = ("context", "scratch")
_VARIABLE = re.compile(r"(?<!\\)\$(?:(\w+)|\{(\w+)\})")
_SECRET = re.compile(
    r"(?i)(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)"
)
_PUBLIC = re.compile(r"(?i)(?:_|^)public(?:_|$)")
_USED_ONCE = ("CMD", "ENTRYPOINT", "HEALTHCHECK")
_EXPANDED = frozenset(
    {"ADD", "COPY", "ENV", "EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)


class Base(NamedTuple):
    """The image that a stage begins with."""

    variables: frozenset[str]
    """The names in its environment."""
    platform: str
    """As `linux/amd64`."""


class Subject(NamedTuple):
    """A Dockerfile with the facts that rules need."""

    dockerfile: Dockerfile
    lines: list[str]
    """Its physical lines."""
    given: Mapping[str, str]
    """Variables that need no ARG before FROM: the platforms, and the build arguments."""
    ignored: Patterns
    """The patterns of `.dockerignore`."""
    base: Callable[[str], Base | None]
    """Returns an image by its name; None if it is not known here."""
    platform: str
    """The platform of the build."""

    def instructions(self) -> Iterator[Instruction]:
        """Yield every instruction, in the file's order."""
        yield from self.dockerfile.arguments
        for stage in self.dockerfile.stages:
            yield stage.start
            yield from stage.instructions


class Fault(NamedTuple):
    """A place where a rule is broken: the message, and the lines."""

    message: str
    first: int
    last: int


class Warned(NamedTuple):
    """A fault with its rule."""

    rule: str
    description: str
    url: str
    fault: Fault


class Rule(NamedTuple):
    """One rule."""

    description: str
    find: Callable[[Subject], Iterable[Fault]]
    is_experimental: bool = False


def check(subject: Subject, skipped: Iterable[str], *, experimental: bool = False) -> list[Warned]:
    """Return the broken rules in the order of lines; `skipped` are names, or `all`."""
    left_out = {name.lower() for name in skipped}
    if "all" in left_out:
        return []
    found = [
        Warned(name, rule.description, URL + _dashed(name) + "/", fault)
        for name, rule in RULES.items()
        if name.lower() not in left_out and (experimental or not rule.is_experimental)
        for fault in rule.find(subject)
    ]
    return sorted(found, key=lambda each: each.fault.first)


def _dashed(name: str) -> str:
    """`FromAsCasing` as `from-as-casing`."""
    return re.sub(r"(?<!^)(?=[A-Z][a-z])", "-", name).lower()


def _at(instruction: Instruction, message: str) -> Fault:
    return Fault(message, instruction.number, instruction.last or instruction.number)


def _written(instruction: Instruction) -> str:
    """The instruction's name as it is written."""
    return instruction.original.split(None, 1)[0]


# Names and capitals


def _duplicate_stage_name(subject: Subject) -> Iterator[Fault]:
    seen: set[str] = set()
    for stage in subject.dockerfile.stages:
        if stage.name and stage.name in seen:
            yield _at(
                stage.start,
                f'Duplicate stage name "{stage.name}", stage names should be unique',
            )
        seen.add(stage.name)


def _stage_name_casing(subject: Subject) -> Iterator[Fault]:
    for stage, name in _named(subject):
        if name != name.lower():
            yield _at(stage.start, f"Stage name '{name}' should be lowercase")


def _from_as_casing(subject: Subject) -> Iterator[Fault]:
    for stage, _ in _named(subject):
        start, keyword = _written(stage.start), stage.start.text.split()[1]
        if (start.islower() and not keyword.islower()) or (
            start.isupper() and not keyword.isupper()
        ):
            yield _at(stage.start, f"'{keyword}' and '{start}' keywords' casing do not match")


def _named(subject: Subject) -> Iterator[tuple[Stage, str]]:
    """The stages with a name, and the name as it is written."""
    for stage in subject.dockerfile.stages:
        if stage.name:
            yield stage, stage.start.text.split()[2]


def _consistent_casing(subject: Subject) -> Iterator[Fault]:
    names = [_written(each) for each in subject.instructions()]
    lower = sum(name.islower() for name in names)
    upper = sum(name.isupper() for name in names)
    wanted = "lowercase" if lower > upper else "uppercase"
    for instruction in subject.instructions():
        name = _written(instruction)
        if not (name.islower() if wanted == "lowercase" else name.isupper()):
            yield _at(
                instruction,
                f"Command '{name}' should match the case of the command majority ({wanted})",
            )


def _reserved_stage_name(subject: Subject) -> Iterator[Fault]:
    for stage, _ in _named(subject):
        if stage.name in RESERVED_NAMES:
            yield _at(
                stage.start,
                f'Stage name should not use the same name as reserved stage "{stage.name}"',
            )


# Forms


def _no_empty_continuation(subject: Subject) -> Iterator[Fault]:
    for instruction in subject.instructions():
        documents = sum(each.source.count("\n") for each in instruction.heredocs)
        own = subject.lines[instruction.number - 1 : instruction.last - documents]
        if any(not line.strip() for line in own):
            yield _at(instruction, "Empty continuation line")


def _json_args_recommended(subject: Subject) -> Iterator[Fault]:
    for stage in subject.dockerfile.stages:
        has_shell = False
        for each in stage.instructions:
            has_shell |= each.name == "SHELL"
            is_command = each.name in ("CMD", "ENTRYPOINT") and each.words is None and each.text
            if is_command and not has_shell:
                yield _at(
                    each,
                    f"JSON arguments recommended for {each.name} to prevent unintended behavior "
                    "related to OS signals",
                )


def _maintainer_deprecated(subject: Subject) -> Iterator[Fault]:
    for each in subject.instructions():
        if each.name == "MAINTAINER":
            yield _at(each, "Maintainer instruction is deprecated in favor of using label")


def _legacy_key_value(subject: Subject) -> Iterator[Fault]:
    for each in subject.instructions():
        if each.name in ("ENV", "LABEL") and "=" not in words.first_field(each.text, each.escape):
            yield _at(
                each,
                f'"{each.name} key=value" should be used instead of legacy "{each.name} key value" '
                "format",
            )


def _multiple_instructions(subject: Subject) -> Iterator[Fault]:
    for stage in subject.dockerfile.stages:
        for name in _USED_ONCE:
            for each in [one for one in stage.instructions if one.name == name][:-1]:
                yield _at(
                    each,
                    f"Multiple {name} instructions should not be used in the same stage because "
                    "only the last one will be used",
                )


def _workdir_relative(subject: Subject) -> Iterator[Fault]:
    absolute: set[int] = set()
    for stage in subject.dockerfile.stages:
        is_set = subject.dockerfile.numbers.get(stage.base.lower(), -1) in absolute
        for each in stage.instructions:
            if each.name != "WORKDIR":
                continue
            if not each.text.startswith(("/", "$", '"/', "'/")) and not is_set:
                yield _at(
                    each,
                    f'Relative workdir "{each.text}" can have unexpected results if the base '
                    "image changes",
                )
            is_set = True
        if is_set:
            absolute.add(stage.number)


def _secrets(subject: Subject) -> Iterator[Fault]:
    for each in subject.instructions():
        if each.name in ("ARG", "ENV"):
            for name in _defined(each):
                if _SECRET.search(name) and not _PUBLIC.search(name):
                    yield _at(
                        each,
                        "Do not use ARG or ENV instructions for sensitive data "
                        f'({each.name} "{name}")',
                    )


def _defined(instruction: Instruction) -> list[str]:
    """The names that an ARG or an ENV defines."""
    found = words.fields(instruction.text, instruction.escape)
    if instruction.name == "ENV" and found and "=" not in found[0]:
        return found[:1]
    return [word.partition("=")[0] for word in found]


def _copy_ignored(subject: Subject) -> Iterator[Fault]:
    for each in subject.instructions():
        if each.name not in ("ADD", "COPY") or each.flag("from"):
            continue
        for path in (each.words or words.fields(each.text, each.escape))[:-1]:
            plain = path.strip("/").removeprefix("./")
            if "://" not in path and "<<" not in path and subject.ignored.match(plain):
                yield _at(
                    each,
                    f'Attempting to {each.name.capitalize()} file "{path}" that is excluded by '
                    ".dockerignore",
                )


# Variables


def _undefined_in_from(subject: Subject) -> Iterator[Fault]:
    known = set(subject.given) | {name for each in subject.dockerfile.arguments
                                  for name in _defined(each)}  # fmt: skip
    for stage in subject.dockerfile.stages:
        for name in _used(f"{stage.base} {stage.platform}"):
            if name not in known:
                yield _at(stage.start, f"FROM argument '{name}' is not declared")


def _invalid_default(subject: Subject) -> Iterator[Fault]:
    defaults = dict(subject.given)
    declared = set()
    for each in subject.dockerfile.arguments:
        for word in words.fields(each.text, each.escape):
            name, _, value = word.partition("=")
            declared.add(name)
            defaults[name] = words.Expander(defaults, each.escape).expand(value)
    for stage in subject.dockerfile.stages:
        if not declared & set(_used(stage.base)):
            continue
        name = words.Expander(defaults, stage.start.escape).expand(stage.base)
        try:
            canonical(name)
        except InvalidParameterError:
            yield _at(
                stage.start,
                f"Default value for ARG {stage.base} results in empty or invalid base image name",
            )


def _undefined_variable(subject: Subject) -> Iterator[Fault]:
    known_by_stage: list[set[str] | None] = []
    for stage in subject.dockerfile.stages:
        number = subject.dockerfile.numbers.get(stage.base.lower(), stage.number)
        if number < stage.number:
            below = known_by_stage[number]
        else:
            base = subject.base(stage.base)
            below = None if base is None else set(base.variables)
        known = None if below is None else {*below, "PATH"}
        for each in stage.instructions:
            if known is not None and each.name in _EXPANDED:
                for name in dict.fromkeys(_used(each.text)):
                    if name not in known:
                        yield _at(each, f"Usage of undefined variable '${name}'")
            if known is not None and each.name in ("ARG", "ENV"):
                known.update(_defined(each))
        known_by_stage.append(known)


def _used(text: str) -> list[str]:
    """The variables in a text, except those with a default, and those between single quotes."""
    return [a or b for a, b in _VARIABLE.findall(re.sub(r"'[^']*'", "", text))]


# Platforms


def _redundant_platform(subject: Subject) -> Iterator[Fault]:
    for stage in subject.dockerfile.stages:
        if stage.platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
            yield _at(
                stage.start,
                f"Setting platform to predefined {stage.platform} in FROM is redundant as this is "
                "the default behavior",
            )


def _constant_platform(subject: Subject) -> Iterator[Fault]:
    for stage in subject.dockerfile.stages:
        platform = stage.platform
        # A stage for each platform is named after its own: FROM build-$TARGETARCH chooses one.
        is_in_name = any(part in stage.name for part in platform.split("/")[1:2] if part)
        if platform and "$" not in platform and not is_in_name:
            yield _at(
                stage.start, f'FROM --platform flag should not use constant value "{platform}"'
            )


def _base_platform(subject: Subject) -> Iterator[Fault]:
    for stage in subject.dockerfile.stages:
        base = subject.base(stage.base) if not stage.platform else None
        if base is not None and base.platform and base.platform != subject.platform:
            yield _at(
                stage.start,
                f'Base image {stage.base} was pulled with platform "{base.platform}", expected '
                f'"{subject.platform}" for current build',
            )


# Comments


def _description(subject: Subject) -> Iterator[Fault]:
    for each in subject.instructions():
        above = subject.lines[each.number - 2].strip() if each.number > 1 else ""
        if each.name not in ("ARG", "FROM") or not above.startswith("#"):
            continue
        names = _defined(each) if each.name == "ARG" else each.text.split()[2:3]
        if names and not above.lstrip("# ").startswith(f"{names[0]} "):
            yield _at(
                each,
                f"Comment for {each.name} should follow the format: `# {names[0]} <description>`",
            )


RULES: Mapping[str, Rule] = {
    "DuplicateStageName": Rule("Stage names should be unique", _duplicate_stage_name),
    "StageNameCasing": Rule("Stage names should be lowercase", _stage_name_casing),
    "FromAsCasing": Rule(
        "The 'as' keyword should match the case of the 'from' keyword", _from_as_casing
    ),
    "NoEmptyContinuation": Rule(
        "Empty continuation lines will become errors in a future release", _no_empty_continuation
    ),
    "ConsistentInstructionCasing": Rule(
        "All commands within the Dockerfile should use the same casing (either upper or lower)",
        _consistent_casing,
    ),
    "ReservedStageName": Rule(
        "Reserved words should not be used as stage names", _reserved_stage_name
    ),
    "JSONArgsRecommended": Rule(
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to "
        "OS signals",
        _json_args_recommended,
    ),
    "MaintainerDeprecated": Rule(
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
        _maintainer_deprecated,
    ),
    "UndefinedArgInFrom": Rule("FROM command must use declared ARGs", _undefined_in_from),
    "WorkdirRelativePath": Rule(
        "Relative workdir without an absolute workdir declared within the build can have "
        "unexpected results if the base image changes",
        _workdir_relative,
    ),
    "UndefinedVar": Rule("Variables should be defined before their use", _undefined_variable),
    "MultipleInstructionsDisallowed": Rule(
        "Multiple instructions of the same type should not be used in the same stage",
        _multiple_instructions,
    ),
    "LegacyKeyValueFormat": Rule(
        "Legacy key/value format with whitespace separator should not be used", _legacy_key_value
    ),
    "RedundantTargetPlatform": Rule(
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the "
        "default behavior",
        _redundant_platform,
    ),
    "SecretsUsedInArgOrEnv": Rule(
        "Sensitive data should not be used in the ARG or ENV commands", _secrets
    ),
    "InvalidDefaultArgInFrom": Rule(
        "Default value for global ARG results in an empty or invalid base image name",
        _invalid_default,
    ),
    "FromPlatformFlagConstDisallowed": Rule(
        "FROM --platform flag should not use a constant value", _constant_platform
    ),
    "InvalidBaseImagePlatform": Rule(
        "Base image platform does not match expected target platform", _base_platform
    ),
    "CopyIgnoredFile": Rule(
        "Attempting to Copy file that is excluded by .dockerignore", _copy_ignored
    ),
    "InvalidDefinitionDescription": Rule(
        "Comment for build stage or argument should follow the format: `# <arg/stage name> "
        "<description>`. If this is not intended to be a description comment, add an empty line or "
        "comment between the instruction and the comment.",
        _description,
        is_experimental=True,
    ),
}
"""Every rule by its name.  A duplicate name of a stage is an error in labkit, and no fault."""
