"""Shell patterns in a reference's modifiers: `${path##*/}`, `${name//a*b/-}`.

A Dockerfile may be hostile, and Python's `re` needs unbounded time for a pattern with many stars.
RE2 does not backtrack, so its time is bounded by the length of the pattern times that of the value;
that product is limited, too.
"""

import re

import re2

from labkit.errors import InvalidParameterError

WORK_MAX = 1 << 24
"""The greatest product of the lengths of a pattern and a value: RE2 needs 0.2 s for it."""


def without_prefix(value: str, pattern: str, *, greedy: bool) -> str:
    """Return the value without the longest or shortest beginning that the pattern matches."""
    found = _compiled(rf"\A(?:{_expression(pattern, greedy=greedy)})", value).search(value)
    return value[found.end() :] if found else value


def without_suffix(value: str, pattern: str, *, greedy: bool) -> str:
    """Return the value without the longest or shortest end that the pattern matches."""
    # The leftmost match is the longest end; a greedy group before it leaves the shortest.
    before = r"" if greedy else r"\A.*"
    expression = rf"{before}({_expression(pattern, greedy=True)})\z"
    found = _compiled(expression, value).search(value)
    return value[: found.start(1)] if found else value


def without(value: str, pattern: str, count: int) -> list[str]:
    """Return the parts of a value between matches of the pattern, at most `count`; 0 for all."""
    if not pattern:
        return [value]
    pieces: list[str] = []
    end = -1
    for found in _compiled(_expression(pattern, greedy=True), value).finditer(value):
        if found.start() == found.end() == end:
            continue  # as in Go, no empty match follows a match directly
        pieces.append(value[max(end, 0) : found.start()])
        end = found.end()
        if len(pieces) == count:
            break
    return [*pieces, value[max(end, 0) :]]


def _compiled(expression: str, value: str) -> "re2._Regexp":
    """Compile an expression of RE2 in which a dot is any character; InvalidParameterError."""
    if len(expression) * len(value) > WORK_MAX:
        raise InvalidParameterError(
            f"a pattern of {len(expression)} characters is too long for a value of {len(value)}"
        )
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        raise InvalidParameterError(f"cannot use the pattern: {error}") from None


def _expression(pattern: str, *, greedy: bool) -> str:
    """Return a shell pattern with `*`, `?` and backslashes as a regular expression."""
    wildcards = {"*": ".*" if greedy else ".*?", "?": "."}
    pieces = re.findall(r"\\.|.", pattern, re.DOTALL)
    return "".join(wildcards.get(piece) or re2.escape(piece[-1]) for piece in pieces)
