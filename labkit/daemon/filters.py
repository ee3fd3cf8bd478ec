"""The `filters` parameter of the API's lists: `{"status": ["running"], "label": ["a=b"]}`.

The values of one filter are alternatives, except labels, which must all be present.  If there are
several filters, all of them must match.
"""

import re
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError
from labkit.http.requests import decode_json
from labkit.images.references import repository_of

if TYPE_CHECKING:
    import re2

_PATTERN = re.compile(r"(?:[^\[\\]|\\.|\[(?:[^\]\\]|\\.)+\])*", re.DOTALL)
"""What Go's path.Match accepts: brackets and backslashes have what belongs to them."""
PATTERN_MAX_BYTES = 1 << 20
Filters = Mapping[str, list[str]]
Test = Callable[[str], bool]
"""Whether a filter's value matches an item."""


def parse(text: str, known: Collection[str] | None) -> Filters:
    """Read the filters of a query string, in both of Docker's forms: lists and `{"value": true}`.

    Raises:
        InvalidParameterError: not JSON, or a filter that is not one of `known`, if that is given.
    """
    if not text:
        return {}
    try:
        decoded = decode_json(text.encode(), "The filters")
        value = msgspec.convert(decoded, type=dict[str, list[str] | dict[str, bool] | None] | None)
    except UNREADABLE as error:
        raise InvalidParameterError(f"The filters cannot be read: {error}") from None
    given = {name: values or [] for name, values in (value or {}).items()}
    for name in given:
        if known is not None and name not in known:
            raise InvalidParameterError(f"invalid filter '{name}'")
    return {
        name: values if isinstance(values, list) else [word for word, on in values.items() if on]
        for name, values in given.items()
    }


def truth(filters: Filters, name: str) -> bool | None:
    """The value of a filter that is true or false; None if it is not set."""
    words = {"true": True, "1": True, "false": False, "0": False}
    values = filters.get(name)
    if not values:
        return None
    try:
        return words[values[-1].lower()]
    except KeyError:
        raise InvalidParameterError(f"invalid filter '{name}=[{' '.join(values)}]'") from None


def matches_any(filters: Filters, name: str, test: Test) -> bool:
    """Whether the filter is not set, or one of its values passes the test."""
    values = filters.get(name)
    return not values or any(test(value) for value in values)


def has_labels(filters: Filters, labels: Mapping[str, str] | None) -> bool:
    """Whether an item has all the labels of the filter: `name`, or `name=value`."""
    return all(_has_label(labels, wanted) for wanted in filters.get("label", []))


def lacks_labels(filters: Filters, labels: Mapping[str, str] | None) -> bool:
    """Whether an item has none of the labels that the filter excludes (`label!`)."""
    return not any(_has_label(labels, wanted) for wanted in filters.get("label!", []))


def _has_label(labels: Mapping[str, str] | None, wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    present = labels or {}
    return name in present and (not equals or present[name] == value)


def text_matches(pattern: str, text: str) -> bool:
    """Whether `text` is the pattern itself, or a part of it matches the regular expression.

    The expression is RE2's, as in Go: the time grows only with the text's length.  A malformed one
    matches nothing, as in Docker.
    """
    if pattern == text:
        return True
    expression = _expression(pattern)
    return expression is not None and expression.search(text) is not None


@lru_cache(maxsize=64)
def _expression(pattern: str) -> "re2._Regexp | None":
    import re2  # noqa: PLC0415 it is rarely needed

    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MAX_BYTES
    try:
        return re2.compile(pattern, options)
    except re2.error:
        return None


def reference_matches(pattern: str, name: str) -> bool:
    """Whether an image's name such as `busybox:latest` matches `busybox`, `busy*` or `busybox:1.*`.

    As in Docker a `*` matches no slash, and a pattern must match the full name or its repository.
    """
    if not _PATTERN.fullmatch(pattern):
        raise InvalidParameterError(f"syntax error in pattern: {pattern[:100]}")
    return any(_path_matches(pattern, text) for text in (name, repository_of(name)))


def _path_matches(pattern: str, text: str) -> bool:
    parts, wanted = text.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
