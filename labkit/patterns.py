"""Patterns for files: `.dockerignore`, `COPY --exclude`, and the wildcards of COPY and ADD.

The first two follow the rules of Docker's patternmatcher, the last Go's `filepath.Match`.  Both
the command, which packs a build's context, and the daemon, which builds, have them from here.
"""

import posixpath
import re

from labkit.errors import InvalidParameterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

WILDCARDS = "*?["
_SIMPLE = {"*": "[^/]*", "?": "[^/]"}


def read_ignore(text: str) -> list[str]:
    """The patterns in a `.dockerignore`: one a line, without comments and empty lines."""
    lines = text.removeprefix("\ufeff").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


class Patterns:
    """A list of patterns in their order: `!` takes back what one before it has matched."""

    def __init__(self, patterns: "Sequence[str]") -> None:
        """InvalidParameterError for a pattern that cannot be read."""
        self._rules: list[tuple[bool, str, re.Pattern[str]]] = []
        for written in patterns:
            text = written.strip()
            takes_back = text.startswith("!")
            body = text[1:].strip() if takes_back else text
            if takes_back and not body:
                raise InvalidParameterError('illegal exclusion pattern: "!"')
            clean = posixpath.normpath(body).lstrip("/") if body else ""
            if clean not in ("", "."):
                self._rules.append((takes_back, clean, _compiled(clean, double_star=True)))

    def match(self, path: str) -> bool:
        """Whether a path, or a folder above it, is matched in the end.  Paths begin without `/`."""
        parts = path.split("/")
        paths = ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]
        matched = False
        for takes_back, _, rule in self._rules:
            if takes_back == matched:
                matched ^= any(rule.fullmatch(one) for one in paths)
        return matched

    def may_match_within(self, folder: str) -> bool:
        """Whether something below a matched folder may yet be taken back by a `!`."""
        for takes_back, text, _ in self._rules:
            literal = re.split(r"[*?\[\\]", text, maxsplit=1)[0]
            reaches = literal.startswith(f"{folder}/") or f"{folder}/".startswith(literal)
            if takes_back and reaches:
                return True
        return False


def has_wildcard(path: str) -> bool:
    """Whether a source of COPY is a pattern."""
    return any(char in path for char in WILDCARDS)


def wildcard(pattern: str) -> re.Pattern[str]:
    """A source of COPY as an expression that whole paths match (Go's `filepath.Match`)."""
    return _compiled(pattern, double_star=False)


def _compiled(pattern: str, *, double_star: bool) -> re.Pattern[str]:
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        piece, position = _piece(pattern, position, double_star=double_star)
        parts.append(piece)
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error as error:
        raise InvalidParameterError(f"syntax error in pattern {pattern!r}: {error}") from None


def _piece(pattern: str, position: int, *, double_star: bool) -> tuple[str, int]:
    """The expression for what stands at `position`, and where the next piece begins."""
    char = pattern[position]
    if double_star and pattern.startswith("**", position):
        after = position + 2
        if pattern.startswith("/", after):
            return "(?:.*/)?", after + 1
        return ".*", after
    if char == "[":
        return _class(pattern, position)
    if char == "\\":
        if position + 1 == len(pattern):
            raise InvalidParameterError(f"syntax error in pattern {pattern!r}: it ends in \\")
        return re.escape(pattern[position + 1]), position + 2
    return _SIMPLE.get(char) or re.escape(char), position + 1


def _class(pattern: str, position: int) -> tuple[str, int]:
    """`[a-z]` or `[^a-z]`; a backslash takes a character's meaning."""
    found = re.compile(r"\[(\^?)((?:\\.|[^\]\\])+)\]", re.DOTALL).match(pattern, position)
    if found is None:
        raise InvalidParameterError(f"syntax error in pattern {pattern!r}: [ is not closed")
    members = re.sub(r"\[", r"\\[", found[2])
    return f"(?!/)[{found[1]}{members}]", found.end()
