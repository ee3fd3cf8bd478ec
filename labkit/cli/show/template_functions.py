"""The functions of `--format` templates: Go's own, and those that Docker's command adds."""

import json
import operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class TemplateError(Exception):
    """The fault of a template, or of its data; `template` adds the place."""


def shown(value: object) -> str:
    """Return a value as Go prints it: `true`, `[a b]`, `map[a:1]`, `<nil>`."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{' '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{shown(item)}' for key, item in sorted(value.items()))}]"
    return str(value)


def as_json(value: object) -> str:
    """Return a value as JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _index(value: "Any", *keys: "Any") -> object:
    for key in keys:
        if isinstance(value, list):
            if not isinstance(key, int) or not 0 <= key < len(value):
                raise TemplateError(f"index out of range: {shown(key)}")
            value = value[key]
        elif isinstance(value, dict) or value is None:
            value = (value or {}).get(key, "")
        else:
            raise TemplateError(f"cannot index {shown(value)}")
    return value


def _slice(value: "Any", *ends: int) -> object:
    return value[slice(ends[0] if ends else None, ends[1] if len(ends) > 1 else None)]


def _printf(form: str, *values: object) -> str:
    """Format by Go's verbs, which are C's, except %v (any value), %q (quoted) and %t (a truth)."""
    result, rest, left = "", form, list(values)
    while "%" in rest:
        before, _, rest = rest.partition("%")
        width = rest[: len(rest) - len(rest.lstrip("+-#0123456789. "))]
        verb, rest = rest[len(width) : len(width) + 1], rest[len(width) + 1 :]
        result += before
        if verb == "%":
            result += "%"
        elif verb not in "vstqdxXfeg" or not verb or not left:
            raise TemplateError(
                f"printf cannot format %{width}{verb}: it needs one of "
                "%s, %v, %q, %t, %d, %x, %f, %e and %g, with a value for each"
            )
        else:
            result += _printed(width, verb, left.pop(0))
    return result + rest


def _printed(width: str, verb: str, value: object) -> str:
    if verb in "vst":
        return f"%{width}s" % shown(value)
    if verb == "q":
        return f"%{width}s" % json.dumps(value, ensure_ascii=False)
    return f"%{width}{verb}" % value


def _println(*values: object) -> str:
    return " ".join(map(shown, values)) + "\n"


def _and(*values: object) -> object:
    return next((value for value in values if not value), values[-1])


def _or(*values: object) -> object:
    return next((value for value in values if value), values[-1])


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


FUNCTIONS: "dict[str, Callable[..., Any]]" = {
    "and": _and,
    "eq": lambda value, *others: value in others,
    "ge": operator.ge,
    "gt": operator.gt,
    "index": _index,
    "join": lambda values, separator: separator.join(map(shown, values or [])),
    "json": as_json,
    "le": operator.le,
    "len": lambda value: len(value or ""),
    "lower": lambda text: text.lower(),
    "lt": operator.lt,
    "ne": operator.ne,
    "not": operator.not_,
    "or": _or,
    "pad": _pad,
    "print": lambda *values: "".join(map(shown, values)),
    "printf": _printf,
    "println": _println,
    "slice": _slice,
    "split": lambda text, separator: text.split(separator),
    "title": lambda text: text[:1].upper() + text[1:],
    "truncate": lambda text, length: text[:length],
    "upper": lambda text: text.upper(),
}

HEADING_FUNCTIONS = FUNCTIONS | {
    name: lambda text, *_: text
    for name in ("join", "json", "lower", "split", "title", "truncate", "upper")
}
"""The functions for the first line of a `table …`: its fields are headings and stay unchanged."""
