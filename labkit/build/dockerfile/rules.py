"""The form of each instruction: its flags, and its required words.

A rule's `check` sees only the text; the values of variables are known when it is built.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from labkit.build.dockerfile.model import Instruction
from labkit.errors import InvalidParameterError
from labkit.images import healthchecks
from labkit.images import shell_words as words

_ARG_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class FlagRule(NamedTuple):
    """One flag of an instruction."""

    is_switch: bool = False
    """Whether it may stand without a value."""
    may_repeat: bool = False


class Rule(NamedTuple):
    """The rule for one instruction."""

    check: Callable[[Instruction], None]
    flags: Mapping[str, FlagRule] = {}
    takes_json: bool = False


NETWORKS = ("default", "none", "host")
"""The networks of RUN."""
VALUE, SWITCH, REPEATED = FlagRule(), FlagRule(is_switch=True), FlagRule(may_repeat=True)
_COPY_FLAGS = {
    "chown": VALUE,
    "chmod": VALUE,
    "link": SWITCH,
    "exclude": REPEATED,
}
_ADD_FLAGS = {**_COPY_FLAGS, "checksum": VALUE, "keep-git-dir": SWITCH, "unpack": SWITCH}


def _at_least_one(instruction: Instruction) -> None:
    if not instruction.text:
        raise InvalidParameterError(f"{instruction.name} requires at least one argument")


def _exactly_one(instruction: Instruction) -> None:
    if not instruction.text:
        raise InvalidParameterError(f"{instruction.name} requires exactly one argument")


def _one_word(instruction: Instruction) -> None:
    if len(words.fields(instruction.text, instruction.escape)) != 1:
        raise InvalidParameterError(f"{instruction.name} requires exactly one argument")


def _check_from(instruction: Instruction) -> None:
    parts = instruction.text.split()
    if len(parts) == 3 and parts[1].upper() == "AS":
        return
    if len(parts) != 1:
        raise InvalidParameterError(
            "FROM requires either one or three arguments: FROM IMAGE [AS NAME]"
        )


def _check_pairs(instruction: Instruction) -> None:
    _at_least_one(instruction)
    words.pairs(instruction.name, instruction.text, instruction.escape)


def _check_arg(instruction: Instruction) -> None:
    _at_least_one(instruction)
    for word in words.fields(instruction.text, instruction.escape):
        name = word.partition("=")[0]
        if not name:
            raise InvalidParameterError("ARG names can not be blank")
        if not _ARG_NAME.fullmatch(name):
            raise InvalidParameterError(f'ARG: "{name}" is not a name of a variable')


def _check_copy(instruction: Instruction) -> None:
    listed = instruction.words or tuple(words.fields(instruction.text, instruction.escape))
    if not listed:
        raise InvalidParameterError(f"{instruction.name} requires at least two arguments")
    if len(listed) < 2:
        raise InvalidParameterError(
            f"{instruction.name} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )


def _check_run(instruction: Instruction) -> None:
    _at_least_one(instruction)
    network = instruction.flag("network")
    if network not in ("", *NETWORKS):
        known = ", ".join(NETWORKS)
        raise InvalidParameterError(f'invalid network mode "{network}": it must be one of {known}')


def _check_shell(instruction: Instruction) -> None:
    if not instruction.words:
        raise InvalidParameterError('SHELL requires the arguments to be in JSON form: ["sh", "-c"]')


def _check_healthcheck(instruction: Instruction) -> None:
    _at_least_one(instruction)
    healthchecks.check(instruction.text, has_flags=bool(instruction.flags))
    healthchecks.made(dict(instruction.flags), instruction.text)


def _check_volume(instruction: Instruction) -> None:
    _at_least_one(instruction)
    if instruction.words == ():
        raise InvalidParameterError("VOLUME requires at least one argument")
    if "" in (instruction.words or ()):
        raise InvalidParameterError("VOLUME specified can not be an empty string")


def _anything(_: Instruction) -> None:
    """CMD and ENTRYPOINT may be empty, and take away what the base has."""


RULES: Mapping[str, Rule] = {
    "ADD": Rule(_check_copy, _ADD_FLAGS, takes_json=True),
    "ARG": Rule(_check_arg),
    "CMD": Rule(_anything, takes_json=True),
    "COPY": Rule(_check_copy, {**_COPY_FLAGS, "from": VALUE, "parents": SWITCH}, takes_json=True),
    "ENTRYPOINT": Rule(_anything, takes_json=True),
    "ENV": Rule(_check_pairs),
    "EXPOSE": Rule(_at_least_one),
    "FROM": Rule(_check_from, {"platform": VALUE}),
    "HEALTHCHECK": Rule(_check_healthcheck, dict.fromkeys(healthchecks.FLAGS, VALUE)),
    "LABEL": Rule(_check_pairs),
    "MAINTAINER": Rule(_exactly_one),
    "ONBUILD": Rule(_at_least_one),
    "RUN": Rule(
        _check_run,
        {"mount": REPEATED, "network": VALUE, "security": VALUE},
        takes_json=True,
    ),
    "SHELL": Rule(_check_shell, takes_json=True),
    "STOPSIGNAL": Rule(_one_word),
    "USER": Rule(_exactly_one),
    "VOLUME": Rule(_check_volume, takes_json=True),
    "WORKDIR": Rule(_exactly_one),
}
"""Every instruction there is."""
