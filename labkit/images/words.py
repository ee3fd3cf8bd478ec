"""Words as a Dockerfile's instructions have them: quotes, escapes, `$NAME`, `${NAME:-word}`.

The rules are those of Docker's own little shell (BuildKit, frontend/dockerfile/shell): a
reference may carry a modifier, as in a POSIX shell (sh(1), "Parameter Expansion").
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from labkit.errors import InvalidParameterError

BACKSLASH = "\\"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-]")
_MODIFIER = re.compile(r":[-+?]|##?|%%?|//?|[-+?]")


def split(text: str, environment: Mapping[str, str], escape: str = BACKSLASH) -> list[str]:
    """The words of `text`: white space between them, quotes taken off, variables put in.

    Nothing is put in between single quotes; a variable that is not set is empty.  Raises
    `InvalidParameterError` for a quote that is not closed, or a `${` that cannot be read.
    """
    words: list[str] = []
    reader = _Reader(text.strip(), environment, escape)
    while not reader.at_end():
        words.append(reader.word(str.isspace))
        reader.skip_space()
    return words


def expand(text: str, environment: Mapping[str, str], escape: str = BACKSLASH) -> str:
    """The same for one word that may hold spaces: all of `text`."""
    return _Reader(text.strip(), environment, escape).word(_never)


def expand_document(text: str, environment: Mapping[str, str], escape: str = BACKSLASH) -> str:
    """Put the variables into a here-document, where quotes are characters like any other."""
    reader = _Reader(text, environment, escape)
    parts: list[str] = []
    while not reader.at_end():
        parts.append(reader.document_part())
    return "".join(parts)


def fields(text: str, escape: str = BACKSLASH) -> list[str]:
    """`text` cut where white space stands outside of quotes, nothing taken off or put in."""
    found: list[str] = []
    word, quote, position = "", "", 0
    while position < len(text):
        char = text[position]
        if char == escape and quote != "'" and position + 1 < len(text):
            word += text[position : position + 2]
            position += 2
            continue
        if not quote and char.isspace():
            found.append(word)
            word = ""
        else:
            quote = "" if char == quote else quote or (char if char in "\"'" else "")
            word += char
        position += 1
    return [word for word in [*found, word] if word]


def pairs(instruction: str, text: str, escape: str = BACKSLASH) -> list[tuple[str, str]]:
    """The `name=value` words of ENV and LABEL, or the old form `name the whole rest`.

    Nothing is taken off or put in.  InvalidParameterError, in BuildKit's words.
    """
    written = fields(text, escape)
    if written and "=" not in written[0]:
        if len(written) < 2:
            raise InvalidParameterError(f"{instruction} must have two arguments")
        name, value = text.split(None, 1)
        return [(name, value)]
    found = []
    for word in written:
        name, equals, value = word.partition("=")
        if not equals:
            raise InvalidParameterError(
                f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value'
            )
        if not name:
            raise InvalidParameterError(f"{instruction} names can not be blank")
        found.append((name, value))
    return found


class Expander(NamedTuple):
    """What an instruction's arguments are read with: the variables, and the escape character."""

    environment: Mapping[str, str]
    escape: str = BACKSLASH

    def split(self, text: str) -> list[str]:
        """The words of `text`; see `split`."""
        return split(text, self.environment, self.escape)

    def expand(self, text: str) -> str:
        """All of `text` as one word; see `expand`."""
        return expand(text, self.environment, self.escape)


def _never(_: str) -> bool:
    return False


class _Reader:
    """Reads words from a text, from its beginning on."""

    def __init__(self, text: str, environment: Mapping[str, str], escape: str) -> None:
        self.text = text
        self.position = 0
        self._environment = environment
        self._escape = escape

    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def skip_space(self) -> None:
        while not self.at_end() and self.text[self.position].isspace():
            self.position += 1

    def word(self, ends: Callable[[str], bool]) -> str:
        """Everything up to a character outside of quotes that `ends` it."""
        parts: list[str] = []
        while not self.at_end() and not ends(self.text[self.position]):
            char = self.text[self.position]
            if char == "'":
                parts.append(self._single_quoted())
            elif char == '"':
                parts.append(self._double_quoted())
            elif char == self._escape and self.position + 1 < len(self.text):
                parts.append(self.text[self.position + 1])
                self.position += 2
            else:
                parts.append(self._plain())
        return "".join(parts)

    def document_part(self) -> str:
        """One character of a here-document, or what the reference there stands for."""
        follower = self.text[self.position + 1 : self.position + 2]
        if self.text[self.position] == self._escape and follower in ("$", self._escape):
            self.position += 2
            return follower
        return self._plain()

    def _single_quoted(self) -> str:
        start = self.position
        end = self.text.find("'", start + 1)
        if end < 0:
            raise InvalidParameterError(f"a quote is not closed: {self.text[start:]}")
        self.position = end + 1
        return self.text[start + 1 : end]

    def _double_quoted(self) -> str:
        start = self.position
        self.position += 1
        parts: list[str] = []
        while not self.at_end() and self.text[self.position] != '"':
            follower = self.text[self.position + 1 : self.position + 2]
            if self.text[self.position] == self._escape and follower in ('"', "$", self._escape):
                parts.append(follower)
                self.position += 2
            else:
                parts.append(self._plain())
        if self.at_end():
            raise InvalidParameterError(f"a quote is not closed: {self.text[start:]}")
        self.position += 1
        return "".join(parts)

    def _plain(self) -> str:
        """One character, or what the reference that begins there stands for."""
        if self.text.startswith("${", self.position):
            return self._braced()
        name = _NAME.match(self.text, self.position + 1)
        if self.text[self.position] != "$" or name is None:
            self.position += 1
            return self.text[self.position - 1]
        self.position = name.end()
        return self._environment.get(name[0], "")

    def _braced(self) -> str:
        start = self.position
        name = _NAME.match(self.text, start + 2)
        if name is None:
            raise self._bad(start, "a name must follow the brace")
        self.position = name.end()
        if self._take("}"):
            return self._environment.get(name[0], "")
        modifier = _MODIFIER.match(self.text, self.position)
        if modifier is None:
            raise self._bad(start, f"no known modifier follows {name[0]}, and no closing brace")
        self.position = modifier.end()
        is_replacing = modifier[0] in ("/", "//")
        word = self.word("/}".__contains__ if is_replacing else "}".__contains__)
        replacement = self.word("}".__contains__) if is_replacing and self._take("/") else ""
        if not self._take("}"):
            raise self._bad(start, "the closing brace is missing")
        value = self._environment.get(name[0])
        if is_replacing:
            return _replaced(value or "", word, replacement, 0 if modifier[0] == "//" else 1)
        return _MODIFIED[modifier[0]](name[0], value, word)

    def _take(self, char: str) -> bool:
        found = self.text.startswith(char, self.position)
        self.position += found
        return found

    def _bad(self, start: int, why: str) -> InvalidParameterError:
        return InvalidParameterError(f"cannot read {self.text[start:]!r}: {why}")


def _needed(name: str, value: str | None, word: str) -> str:
    if value is None:
        raise InvalidParameterError(f"{name}: {word or 'not set'}")
    return value


def _pattern(word: str, *, greedy: bool) -> str:
    """A shell pattern with `*`, `?` and backslashes as a regular expression."""
    wildcards = {"*": ".*" if greedy else ".*?", "?": "."}
    pieces = re.findall(r"\\.|.", word, re.DOTALL)
    return "".join(wildcards.get(piece) or re.escape(piece[-1]) for piece in pieces)


def _without_prefix(value: str | None, word: str, *, greedy: bool) -> str:
    return re.sub(rf"\A(?:{_pattern(word, greedy=greedy)})", "", value or "", count=1, flags=re.S)


def _without_suffix(value: str | None, word: str, *, greedy: bool) -> str:
    text = value or ""
    expression = re.compile(_pattern(word, greedy=True), re.DOTALL)
    starts = range(len(text) + 1) if greedy else range(len(text), -1, -1)
    found = next((start for start in starts if expression.fullmatch(text, start)), len(text))
    return text[:found]


def _replaced(value: str, word: str, replacement: str, count: int) -> str:
    expression = re.compile(_pattern(word, greedy=True), re.DOTALL)
    return expression.sub(lambda _: replacement, value, count=count) if word else value


_MODIFIED: dict[str, Callable[[str, str | None, str], str]] = {
    "-": lambda name, value, word: word if value is None else value,
    ":-": lambda name, value, word: value or word,
    "+": lambda name, value, word: "" if value is None else word,
    ":+": lambda name, value, word: word if value else "",
    "?": _needed,
    ":?": lambda name, value, word: _needed(name, value or None, word),
    "#": lambda name, value, word: _without_prefix(value, word, greedy=False),
    "##": lambda name, value, word: _without_prefix(value, word, greedy=True),
    "%": lambda name, value, word: _without_suffix(value, word, greedy=False),
    "%%": lambda name, value, word: _without_suffix(value, word, greedy=True),
}
"""What a reference with a modifier stands for: from name, value (None: not set) and word."""
