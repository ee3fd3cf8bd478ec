"""Challenges: a registry's demand for authentication (`WWW-Authenticate`, RFC 9110 §11)."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"[\s,]*({_WORD})(?=\s|,|$)")
_PARAMETER = re.compile(rf'[\s,]*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_ESCAPED = re.compile(r"\\(.)")
LONGEST_HEADER_CHARACTERS = 4096


class Challenge(NamedTuple):
    """One way to authenticate: `bearer` or `basic`, in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def parse(headers: Sequence[str]) -> list[Challenge]:
    """Return the challenges of all `WWW-Authenticate` lines; an invalid part ends its line."""
    return [challenge for header in headers for challenge in _of_line(header)]


def _of_line(line: str) -> list[Challenge]:
    found: list[Challenge] = []
    line, position = line[:LONGEST_HEADER_CHARACTERS], 0
    while True:
        parameter = _PARAMETER.match(line, position)
        if parameter and found:
            name, quoted, plain = parameter.groups()
            value = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
            parameters = {**found[-1].parameters, name.lower(): value}
            found[-1] = Challenge(found[-1].scheme, parameters)
            position = parameter.end()
            continue
        scheme = _SCHEME.match(line, position)
        if not scheme:
            return found
        found.append(Challenge(scheme[1].lower(), {}))
        position = scheme.end()
