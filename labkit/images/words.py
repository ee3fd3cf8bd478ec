"""Words as a Dockerfile's instructions have them: quotes, backslashes, `$NAME` and `${NAME}`."""

import re
from collections.abc import Mapping

from labkit.errors import InvalidParameterError

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)
_ESCAPED_IN_QUOTES = ('"', "$", "\\")


def split(text: str, environment: Mapping[str, str]) -> list[str]:
    """The words of `text`: white space between them, quotes taken off, variables put in.

    Nothing is put in between single quotes; a variable that is not set is empty.  Raises
    `InvalidParameterError` for a quote that is not closed.
    """
    words: list[str] = []
    rest = text.strip()
    while rest:
        word, rest = _word(rest, environment, stop_at_space=True)
        words.append(word)
        rest = rest.lstrip()
    return words


def expand(text: str, environment: Mapping[str, str]) -> str:
    """The same for one word that may hold spaces: all of `text`."""
    return _word(text.strip(), environment, stop_at_space=False)[0]


def _word(text: str, environment: Mapping[str, str], *, stop_at_space: bool) -> tuple[str, str]:
    """The first word, and what follows it."""
    parts: list[str] = []
    position = 0
    while position < len(text):
        char = text[position]
        if char.isspace() and stop_at_space:
            break
        if char == "'":
            end = _closing(text, position)
            parts.append(text[position + 1 : end])
            position = end + 1
        elif char == '"':
            part, position = _double_quoted(text, position, environment)
            parts.append(part)
        elif char == "\\" and position + 1 < len(text):
            parts.append(text[position + 1])
            position += 2
        else:
            part, position = _plain(text, position, environment)
            parts.append(part)
    return "".join(parts), text[position:]


def _double_quoted(text: str, start: int, environment: Mapping[str, str]) -> tuple[str, int]:
    parts: list[str] = []
    position = start + 1
    while position < len(text) and text[position] != '"':
        if text[position] == "\\" and text[position + 1 : position + 2] in _ESCAPED_IN_QUOTES:
            parts.append(text[position + 1])
            position += 2
        else:
            part, position = _plain(text, position, environment)
            parts.append(part)
    if position >= len(text):
        raise InvalidParameterError(f"a quote is not closed: {text[start:]}")
    return "".join(parts), position + 1


def _plain(text: str, position: int, environment: Mapping[str, str]) -> tuple[str, int]:
    """One character, or the variable that begins there."""
    variable = _VARIABLE.match(text, position)
    if variable:
        return environment.get(variable[1] or variable[2], ""), variable.end()
    if text.startswith("${", position):
        raise InvalidParameterError(f"only $NAME and ${{NAME}} can be used here: {text[position:]}")
    return text[position], position + 1


def _closing(text: str, start: int) -> int:
    end = text.find(text[start], start + 1)
    if end < 0:
        raise InvalidParameterError(f"a quote is not closed: {text[start:]}")
    return end
