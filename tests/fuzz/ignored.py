"""`.dockerignore` and wildcards, held against a matcher that is slow, short and surely right."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from random import Random

from labkit.errors import LabkitError
from labkit.patterns import Patterns, read_ignore, wildcard
from tests.fuzz.runner import FindingError, resident_bytes

CPU_MAX_S = 2.0
PIECES = ("a", "b", "ab", "*", "**", "?", "/", ".", "..", "[ab]", "[^a]", "[a-b]", "\\*", "é", "]")
STRANGE = (
    "[",
    "\\",
    "!",
    "[]",
    "[b-a]",
    "\0",
    " ",
    "#",
    "\ufeff",
    "\udcff",
    "[+-9]",
    "^",
    "$",
    "(",
)


class Ignored:
    """`labkit.patterns`, in this process."""

    def attack(self, random: Random) -> str:
        """See `runner.Target`."""
        pattern = _pattern(random)
        path = _path(random) if random.random() < 0.5 else _near(random, pattern)
        started = time.process_time()
        try:
            answer = _judged(pattern, path)
        except FindingError:
            raise
        except Exception as error:
            raise FindingError(f"{type(error).__name__}: {error}: {pattern!r} {path!r}") from error
        took_s = time.process_time() - started
        if took_s > CPU_MAX_S:
            raise FindingError(f"{took_s:.1f} s: {pattern[:200]!r} {path[:200]!r}")
        return answer

    def memory_bytes(self) -> int:
        """What this process holds in memory."""
        return resident_bytes("self")


@contextmanager
def opened() -> Iterator[Ignored]:
    """The target, which needs nothing around it."""
    yield Ignored()


def _pattern(random: Random) -> str:
    pieces = random.choices(PIECES, k=random.randrange(1, 9))
    if random.random() < 0.2:
        pieces.insert(random.randrange(len(pieces)), random.choice(STRANGE))
    if random.random() < 0.05:
        pieces *= random.choice((20, 300))
    return "".join(pieces)


def _near(random: Random, pattern: str) -> str:
    """A path that the pattern may well match."""
    stars = {"*": ("", "a", "ab"), "?": ("a", "b"), "[": ("a",), "]": ("",)}
    chars = [random.choice(stars.get(char, (char,))) for char in pattern[:100]]
    return "".join(chars).strip("/") or "a"


def _path(random: Random) -> str:
    parts = [
        "".join(random.choices("aab.é", k=random.randrange(1, 5)))
        for _ in range(random.randrange(1, 5))
    ]
    if random.random() < 0.05:
        parts = ["a" * 200] * 20
    return "/".join(parts)


def _judged(pattern: str, path: str) -> str:
    try:
        rule = wildcard(pattern)
        found = rule.fullmatch(path)
        ignoring = Patterns(read_ignore(f"{pattern}\n!{pattern}x\n"))
    except LabkitError:
        return "refused"
    ignoring.match(path)
    ignoring.may_match_within(path)
    if (
        len(pattern) < 40
        and not set(pattern) & set("[]\\!^$(\0")
        and found != _matches(pattern, path)
    ):
        raise FindingError(f"{pattern!r} and {path!r}: {found} is wrong")
    return "matched" if found else "not matched"


def _matches(pattern: str, path: str) -> bool:
    """Go's filepath.Match for stars, question marks and plain characters."""

    @cache
    def at(i: int, j: int) -> bool:
        if i == len(pattern):
            return j == len(path)
        if pattern[i] == "*":
            return at(i + 1, j) or (j < len(path) and path[j] != "/" and at(i, j + 1))
        if j == len(path):
            return False
        return (pattern[i] == path[j] or (pattern[i] == "?" and path[j] != "/")) and at(
            i + 1, j + 1
        )

    return at(0, 0)
