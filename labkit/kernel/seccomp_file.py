"""The user's own system call filter: Docker's JSON profiles, and their compilation to BPF.

The format is that of moby/profiles (seccomp/default.json): a default action, and rules that name
calls, tests of their arguments, an action, and the capabilities, machines and kernels for which
they hold (`includes`, `excludes`).  Only the daemon imports this module, and `seccomp_profile`.
"""

import errno
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from labkit.kernel.seccomp_profile import UNKNOWN_CALL, bare, export

if TYPE_CHECKING:
    import pyseccomp

_ACTIONS = {
    "SCMP_ACT_KILL": "KILL",
    "SCMP_ACT_KILL_THREAD": "KILL_THREAD",
    "SCMP_ACT_KILL_PROCESS": "KILL_PROCESS",
    "SCMP_ACT_TRAP": "TRAP",
    "SCMP_ACT_ERRNO": "ERRNO",
    "SCMP_ACT_TRACE": "TRACE",
    "SCMP_ACT_ALLOW": "ALLOW",
    "SCMP_ACT_LOG": "LOG",
}
_WITH_NUMBER = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
_MACHINES = {"x86_64": ("amd64", "x86_64"), "aarch64": ("arm64", "aarch64")}
"""The names of each kind of machine in a profile."""


class _Argument(msgspec.Struct, rename="camel"):
    index: int
    op: str
    value: int = 0
    value_two: int = 0


class _Condition(msgspec.Struct, rename="camel"):
    caps: list[str] = []
    arches: list[str] = []
    min_kernel: str = ""


class _Rule(msgspec.Struct, rename="camel"):
    action: str
    name: str = ""
    names: list[str] = []
    errno_ret: int | None = None
    args: list[_Argument] | None = None
    includes: _Condition | None = None
    excludes: _Condition | None = None


class _Architecture(msgspec.Struct, rename="camel"):
    architecture: str
    sub_architectures: list[str] | None = None


class Profile(msgspec.Struct, rename="camel"):
    """A profile in its written form; `parse` has checked its words."""

    default_action: str
    default_errno_ret: int | None = None
    architectures: list[str] | None = None
    arch_map: list[_Architecture] | None = None
    syscalls: list[_Rule] | None = None


def parse(text: str) -> Profile:
    """Read a profile from JSON; ValueError with the reason if it is invalid."""
    try:
        profile = msgspec.convert(_without_nulls(json.loads(text)), Profile)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise ValueError(str(error)) from None
    for action in [profile.default_action, *(rule.action for rule in profile.syscalls or ())]:
        if action not in _ACTIONS:
            raise ValueError(f"unknown action {action!r}: known are {', '.join(_ACTIONS)}")
    for rule in profile.syscalls or ():
        for argument in rule.args or ():
            if argument.op.removeprefix("SCMP_CMP_") not in _OPERATORS:
                raise ValueError(f"unknown comparison {argument.op!r}")
            if not 0 <= argument.index <= 5 or argument.value < 0 or argument.value_two < 0:
                raise ValueError(f"an argument's index is 0 to 5, its value not negative: {rule}")
    return profile


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def compile_profile(profile: Profile, capabilities: Collection[str]) -> bytes:
    """The filter for a container with these capabilities: an array of `struct sock_filter`.

    Calls that the installed libseccomp does not know are left out.  OSError if it refuses.
    """
    import pyseccomp  # noqa: PLC0415 - it looks for its library with ldconfig, which takes time

    default = _action(profile.default_action, profile.default_errno_ret)
    program = pyseccomp.SyscallFilter(default)
    for name in _architectures(profile):
        known = getattr(pyseccomp.Arch, name.removeprefix("SCMP_ARCH_"), None)
        if known is not None and not program.exist_arch(known):
            program.add_arch(known)
    has = {bare(name) for name in capabilities}
    for rule in profile.syscalls or ():
        action = _action(rule.action, rule.errno_ret)
        # libseccomp refuses a rule with the default action.
        if action != default and _applies(rule, has):
            _add(program, action, rule)
    return export(program)


def _action(name: str, number: int | None) -> int:
    import pyseccomp  # noqa: PLC0415

    action: Any = getattr(pyseccomp, _ACTIONS[name])
    if name in _WITH_NUMBER:
        return int(action(errno.EPERM if number is None else number))
    return int(action)


def _architectures(profile: Profile) -> Iterator[str]:
    yield from profile.architectures or ()
    native = f"SCMP_ARCH_{os.uname().machine.upper()}"
    for entry in profile.arch_map or ():
        if entry.architecture == native:
            yield from entry.sub_architectures or ()


def _applies(rule: _Rule, capabilities: Collection[str]) -> bool:
    includes, excludes = rule.includes, rule.excludes
    if includes and not all(_facts(includes, capabilities, all)):
        return False
    return not (excludes and any(_facts(excludes, capabilities, any)))


def _facts(condition: _Condition, capabilities: Collection[str], enough: Any) -> Iterator[bool]:
    """Yield for each part of a condition whether it holds."""
    if condition.caps:
        yield enough(bare(name) in capabilities for name in condition.caps)
    if condition.arches:
        machine = os.uname().machine
        yield any(name in _MACHINES.get(machine, (machine,)) for name in condition.arches)
    if condition.min_kernel:
        yield _version(os.uname().release) >= _version(condition.min_kernel)


def _version(release: str) -> tuple[int, ...]:
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return int(major), int(minor) if minor.isdecimal() else 0


def _add(program: "pyseccomp.SyscallFilter", action: int, rule: _Rule) -> None:
    import pyseccomp  # noqa: PLC0415

    for name in [*rule.names, *([rule.name] if rule.name else [])]:
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
        if number == UNKNOWN_CALL:
            continue
        for tests in _alternatives(rule.args or ()):
            program.add_rule(action, number, *map(_test, tests))


def _alternatives(arguments: Sequence[_Argument]) -> list[Sequence[_Argument]]:
    """Return all tests together; but several tests of one argument are alternatives, as in runc."""
    if len({argument.index for argument in arguments}) < len(arguments):
        return [[argument] for argument in arguments]
    return [arguments]


def _test(argument: _Argument) -> "pyseccomp.Arg":
    import pyseccomp  # noqa: PLC0415

    operator = getattr(pyseccomp, argument.op.removeprefix("SCMP_CMP_"))
    return pyseccomp.Arg(argument.index, operator, argument.value, argument.value_two)
