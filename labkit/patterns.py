"""Patterns for files: `.dockerignore`, `COPY --exclude`, and the wildcards of COPY and ADD.

The first two follow the rules of Docker's patternmatcher, the last Go's `filepath.Match`.  The
command, which packs a build's context, and the daemon, which builds, share this module.
"""

import posixpath
import re

from labkit.errors import InvalidParameterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class Matcher(Protocol):
        """An expression of `re` or of RE2."""

        def fullmatch(self, text: str, /) -> object:
            """Return a true value if all of the text matches, else None."""


WILDCARDS = "*?["
LENGTH_MAX = 4096
"""A longer pattern matches no path (PATH_MAX)."""
_SIMPLE = {"*": "[^/]*", "?": "[^/]"}
_CLASS = re.compile(r"\[(\^?)((?:\\.|[^\]\\])+)\]", re.DOTALL)
_MEMBER = re.compile(r"(\\.|.)(?:-(\\.|[^-]))?", re.DOTALL)


def read_ignore(text: str) -> list[str]:
    """Return the patterns of a `.dockerignore`: one a line, without comments and empty lines.

    A build's client compares them with names as they are: so each is a clean path of the context.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    return [_clean(line.strip()) for line in lines if line.strip() and not line.startswith("#")]


def _clean(line: str) -> str:
    body = line.removeprefix("!").strip()
    mark = "!" if line.startswith("!") else ""
    path = posixpath.normpath(body) if body else ""
    return mark + (path.lstrip("/") or path[:1])


class Patterns:
    """A list of patterns in order: `!` excepts what an earlier one has matched."""

    def __init__(self, patterns: "Sequence[str]") -> None:
        """InvalidParameterError for an invalid pattern."""
        self._rules: list[tuple[bool, str, Matcher]] = []
        for written in patterns:
            text = written.strip()
            takes_back = text.startswith("!")
            body = text[1:].strip() if takes_back else text
            if takes_back and not body:
                raise InvalidParameterError('illegal exclusion pattern: "!"')
            clean = posixpath.normpath(body).lstrip("/") if body else ""
            if clean not in ("", "."):
                rule = _compiled(clean, double_star=True, matches_below=True)
                self._rules.append((takes_back, clean, rule))

    def match(self, path: str) -> bool:
        """Whether a path, or a folder above it, matches in the end.  Paths begin without `/`."""
        text = _valid(path)
        matched = False
        for takes_back, _, rule in self._rules:
            if takes_back == matched and rule.fullmatch(text):
                matched = not matched
        return matched

    def may_match_within(self, folder: str) -> bool:
        """Whether a `!` may still except a path below a matched folder."""
        for takes_back, text, _ in self._rules:
            literal = re.split(r"[*?\[\\]", text, maxsplit=1)[0]
            reaches = literal.startswith(f"{folder}/") or f"{folder}/".startswith(literal)
            if takes_back and reaches:
                return True
        return False


def has_wildcard(path: str) -> bool:
    """Whether a source of COPY is a pattern."""
    return any(char in path for char in WILDCARDS)


def wildcard(pattern: str) -> "Wildcard":
    """Return a source of COPY as a matcher of whole paths (Go's `filepath.Match`)."""
    return Wildcard(pattern)


class Wildcard:
    """A source of COPY that is a pattern."""

    def __init__(self, pattern: str) -> None:
        """InvalidParameterError for an invalid pattern."""
        self._rule = _compiled(pattern, double_star=False)

    def fullmatch(self, path: str) -> bool:
        """Whether the pattern matches all of a path."""
        return bool(self._rule.fullmatch(_valid(path)))


def _valid(path: str) -> str:
    """Return a path with U+FFFD for each byte that is not UTF-8, as Go reads it."""
    if path.isascii():
        return path
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _compiled(pattern: str, *, double_star: bool, matches_below: bool = False) -> "Matcher":
    """Compile a pattern; with `matches_below` it also matches all paths below a match."""
    if len(pattern) > LENGTH_MAX:
        raise InvalidParameterError(
            f"a pattern of {len(pattern)} characters is too long: a path has at most {LENGTH_MAX}"
        )
    pattern = _valid(pattern)
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        piece, position = _piece(pattern, position, double_star=double_star)
        parts.append(piece)
    expression = "".join(parts) + ("(?:/.*)?" if matches_below else "")
    return _machine(f"(?s:{expression})", sum("*" in part for part in parts))


def _machine(expression: str, stars: int) -> "Matcher":
    """Compile by Python's `re`, or by RE2 if that might need unbounded time.

    With one star the time is bounded by the product of the lengths; each more multiplies it by the
    length of the path, and patterns may be hostile.  RE2 is slower for simple ones.
    """
    if stars < 2:
        return re.compile(expression)
    import re2  # noqa: PLC0415  (8 ms, which only a command that needs it pays for)

    return re2.compile(expression)  # type: ignore[no-any-return]


def _piece(pattern: str, position: int, *, double_star: bool) -> tuple[str, int]:
    """Return the expression for the piece at `position`, and the position of the next one."""
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
    """Read `[a-z]` or `[^a-z]`, never a slash; a backslash removes a character's meaning."""
    found = _CLASS.match(pattern, position)
    if found is None:
        raise InvalidParameterError(f"syntax error in pattern {pattern!r}: [ is not closed")
    ranges = [
        range_
        for member in _MEMBER.finditer(found[2])
        for range_ in _without_slash(pattern, member[1][-1], (member[2] or member[1])[-1])
    ]
    if found[1]:
        return f"[^/{''.join(ranges)}]", found.end()
    return f"[{''.join(ranges)}]" if ranges else "[^\0-\U0010ffff]", found.end()


def _without_slash(pattern: str, first: str, last: str) -> list[str]:
    """Return a range of characters for an expression, cut in two around a slash."""
    if first > last:
        raise InvalidParameterError(
            f"syntax error in pattern {pattern!r}: bad character range {first}-{last}"
        )
    if not first <= "/" <= last:
        return [f"{_literal(first)}-{_literal(last)}"]
    halves = ((first, "."), ("0", last))
    return [f"{_literal(low)}-{_literal(high)}" for low, high in halves if low <= high]


def _literal(char: str) -> str:
    """Return a character for a class; only ASCII signs may be escaped by a backslash."""
    return f"\\{char}" if char.isascii() and not char.isalnum() else char
