"""The devices that a container may use: a list of rules, the same on cgroup v1 and v2.

A rule has the format of v1's `devices.allow` (Documentation/admin-guide/cgroup-v1/devices.rst): `c`
or `b` for character and block devices (`a` for both), major:minor numbers or `*`, and the letters
of the allowed access: r(ead), w(rite), m(knod).  On v1 the rules are lines written to a file, on v2
they become a small program (`labkit.kernel.bpf`).
"""

import re
from collections.abc import Iterable, Iterator

from labkit.errors import InvalidParameterError

DEFAULT_RULES = (
    ("c *:* m", "any character device may be made, but not used"),
    ("b *:* m", "any block device may be made, but not used"),
    ("c 1:3 rwm", "/dev/null"),
    ("c 1:5 rwm", "/dev/zero"),
    ("c 1:7 rwm", "/dev/full"),
    ("c 1:8 rwm", "/dev/random"),
    ("c 1:9 rwm", "/dev/urandom"),
    ("c 5:0 rwm", "/dev/tty"),
    ("c 5:1 rwm", "/dev/console"),
    ("c 5:2 rwm", "/dev/ptmx"),
    ("c 136:* rwm", "/dev/pts/*"),
    ("c 10:200 rwm", "/dev/net/tun"),
)
"""The rules that Docker has for every container, and the reason for each."""

EVERYTHING = "a *:* rwm"
"""The rule of `--privileged`."""

_RULE = re.compile(r"[abc] (\d+|\*):(\d+|\*) [rwm]{1,3}")
LARGEST_NUMBER = 2**31 - 1


def check(rule: str) -> None:
    """Check a rule of `--device-cgroup-rule`; InvalidParameterError."""
    numbers = re.findall(r"\d+", rule)
    if not _RULE.fullmatch(rule) or any(int(n) > LARGEST_NUMBER for n in numbers):
        raise InvalidParameterError(
            f"invalid device cgroup rule format: '{rule}': it must be TYPE MAJOR:MINOR ACCESS, "
            "such as 'c 42:* rwm'"
        )


def rules(extra: Iterable[str]) -> tuple[str, ...]:
    """Return the default rules and those of one container, in order."""
    return (*(rule for rule, _ in DEFAULT_RULES), *(r for rule in extra for r in _each(rule)))


def _each(rule: str) -> Iterator[str]:
    """Write a rule for `a` as two: v1 takes any rule that begins with `a` for everything."""
    kind, _, rest = rule.partition(" ")
    if kind != "a" or rule == EVERYTHING:
        yield rule
        return
    yield f"b {rest}"
    yield f"c {rest}"


def v1_files(extra: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the writes on v1: first everything is denied, then each rule allows something."""
    return (("devices.deny", "a"), *(("devices.allow", rule) for rule in rules(extra)))
