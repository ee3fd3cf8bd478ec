"""Words of a Dockerfile's instructions: quotes, escapes, `$NAME`, `${NAME:-word}`.

The rules are those of Docker's own little shell (BuildKit, frontend/dockerfile/shell): a
reference may have a modifier, as in a POSIX shell (sh(1), "Parameter Expansion").
"""

import re
from collections.abc import Callable, Mapping

from labkit.errors import InvalidParameterError
from labkit.images import shell_patterns

BACKSLASH = "\\"
DEPTH_MAX = 100
"""How deeply `${…}` may be nested."""
BUDGET_CHARACTERS = 16 << 20
"""The most characters that all variables may insert: `ENV A=$A$A` doubles with each line."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-]")
_MODIFIER = re.compile(r":[-+?]|##?|%%?|//?|[-+?]")
_SHOWN_CHARACTERS = 60


class Budget:
    """How many characters variables may still insert; one for all the words of a Dockerfile."""

    def __init__(self, characters: int = BUDGET_CHARACTERS) -> None:
        self._left = characters

    def take(self, characters: int) -> None:
        """Count inserted characters; InvalidParameterError if there are too many."""
        self._left -= characters
        if self._left < 0:
            raise InvalidParameterError(
                f"the variables insert more than {BUDGET_CHARACTERS >> 20} MiB: does one of them "
                "grow with each line?"
            )


class Expander:
    """Reads an instruction's arguments with its variables and its escape character.

    Raises `InvalidParameterError` for a quote that is not closed, for an invalid `${`, and if the
    variables insert too much.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        escape: str = BACKSLASH,
        budget: Budget | None = None,
    ) -> None:
        self.environment = environment
        self.escape = escape
        self.budget = budget or Budget()

    def split(self, text: str) -> list[str]:
        """Return the words of `text`: split at white space, quotes removed, variables inserted.

        Between single quotes nothing is inserted; a variable that is not set is empty.
        """
        words: list[str] = []
        reader = _Reader(text.strip(), self)
        while not reader.at_end():
            words.append(reader.word(r"\s"))
            reader.skip_space()
        return words

    def expand(self, text: str) -> str:
        """Return all of `text` as one word, which may hold spaces."""
        return _Reader(text.strip(), self).word("")

    def expand_document(self, text: str) -> str:
        """Insert the variables into a here-document, where quotes are ordinary characters."""
        return _Reader(text, self).document()


def fields(text: str, escape: str = BACKSLASH) -> list[str]:
    """Return `text` split at white space outside of quotes, otherwise unchanged."""
    found: list[str] = []
    position = 0
    while position < len(text):
        end = _field_end(text, position, escape)
        if end > position:
            found.append(text[position:end])
        position = end + 1
    return found


def first_field(text: str, escape: str = BACKSLASH) -> str:
    """Return the first of the `fields` of a text that begins with one."""
    return text[: _field_end(text, 0, escape)]


def _field_end(text: str, position: int, escape: str) -> int:
    """Return the position of the white space outside of quotes that ends the word at `position`."""
    quote = ""
    while position < len(text):
        char = text[position]
        if char == escape and quote != "'" and position + 1 < len(text):
            position += 2
            continue
        if not quote and char.isspace():
            break
        quote = "" if char == quote else quote or (char if char in "\"'" else "")
        position += 1
    return position


def pairs(instruction: str, text: str, escape: str = BACKSLASH) -> list[tuple[str, str]]:
    """Return the `name=value` words of ENV and LABEL, or the old form `name the whole rest`.

    Quotes and variables stay as they are.  InvalidParameterError, in BuildKit's words.
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


class _Reader:
    """Reads words from a text, from its beginning on."""

    def __init__(self, text: str, expander: Expander) -> None:
        self.text = text
        self.position = 0
        self._environment = expander.environment
        self._escape = expander.escape
        self._budget = expander.budget
        self._depth = 0

    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def skip_space(self) -> None:
        while not self.at_end() and self.text[self.position].isspace():
            self.position += 1

    def word(self, ends: str) -> str:
        """Read up to a character outside of quotes that is one of `ends` (as in `[…]`)."""
        plain = self._run_of(f"'\"{ends}")
        ending = re.compile(f"[{ends}]") if ends else None
        parts: list[str] = []
        while not self.at_end() and not (ending and ending.match(self.text, self.position)):
            char = self.text[self.position]
            if char == "'":
                parts.append(self._single_quoted())
            elif char == '"':
                parts.append(self._double_quoted())
            elif char == self._escape and self.position + 1 < len(self.text):
                parts.append(self.text[self.position + 1])
                self.position += 2
            else:
                parts.append(self._plain(plain))
        return "".join(parts)

    def document(self) -> str:
        """Read all of a here-document, with the values of its references.

        The escape character quotes the next one, as in BuildKit; before the end of a line it
        is removed, and the line's end stays.
        """
        plain = self._run_of("")
        parts: list[str] = []
        while not self.at_end():
            follower = self.text[self.position + 1 : self.position + 2]
            if self.text[self.position] == self._escape and follower:
                self.position += 2
                parts.append(follower)
            else:
                parts.append(self._plain(plain))
        return "".join(parts)

    def _run_of(self, others: str) -> re.Pattern[str]:
        """Return an expression for a run of ordinary characters: none of `others`."""
        return re.compile(f"[^${re.escape(self._escape)}{others}]+")

    def _single_quoted(self) -> str:
        start = self.position
        end = self.text.find("'", start + 1)
        if end < 0:
            raise InvalidParameterError(f"a quote is not closed: {self._shown(start)}")
        self.position = end + 1
        return self.text[start + 1 : end]

    def _double_quoted(self) -> str:
        start = self.position
        plain = self._run_of('"')
        self.position += 1
        parts: list[str] = []
        while not self.at_end() and self.text[self.position] != '"':
            follower = self.text[self.position + 1 : self.position + 2]
            if self.text[self.position] == self._escape and follower in ('"', "$", self._escape):
                parts.append(follower)
                self.position += 2
            else:
                parts.append(self._plain(plain))
        if self.at_end():
            raise InvalidParameterError(f"a quote is not closed: {self._shown(start)}")
        self.position += 1
        return "".join(parts)

    def _plain(self, plain: re.Pattern[str]) -> str:
        """Read a run of plain characters, or the value of a reference, or one character."""
        run = plain.match(self.text, self.position)
        if run is not None:
            self.position = run.end()
            return run[0]
        if self.text[self.position] == "$":
            if self.text.startswith("${", self.position):
                return self._braced()
            name = _NAME.match(self.text, self.position + 1)
            if name is not None:
                self.position = name.end()
                return self._put_in(self._environment.get(name[0], ""))
        self.position += 1
        return self.text[self.position - 1]

    def _put_in(self, value: str) -> str:
        self._budget.take(len(value))
        return value

    def _braced(self) -> str:
        start = self.position
        name = _NAME.match(self.text, start + 2)
        if name is None:
            raise self._bad(start, "bad substitution: a name must follow the brace")
        self.position = name.end()
        if self._take("}"):
            return self._put_in(self._environment.get(name[0], ""))
        modifier = _MODIFIER.match(self.text, self.position)
        if modifier is None:
            raise self._bad(start, f"unsupported modifier after {name[0]}, or no closing brace")
        self.position = modifier.end()
        word, replacement = self._modifier_words(start, is_replacing=modifier[0] in ("/", "//"))
        value = self._environment.get(name[0])
        if modifier[0] in ("/", "//"):
            count = 1 if modifier[0] == "/" else 0
            pieces = shell_patterns.without(value or "", word, count)
            self._budget.take(len(replacement) * (len(pieces) - 1))
            return self._put_in(replacement.join(pieces))
        return self._put_in(_MODIFIED[modifier[0]](name[0], value, word))

    def _modifier_words(self, start: int, *, is_replacing: bool) -> tuple[str, str]:
        """Read the words of a modifier up to the closing brace, and past it; they may nest."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self._bad(start, f"more than {DEPTH_MAX} references are nested")
        word = self.word("/}" if is_replacing else "}")
        replacement = self.word("}") if is_replacing and self._take("/") else ""
        if not self._take("}"):
            raise self._bad(start, "the closing brace is missing")
        self._depth -= 1
        return word, replacement

    def _take(self, char: str) -> bool:
        found = self.text.startswith(char, self.position)
        self.position += found
        return found

    def _bad(self, start: int, why: str) -> InvalidParameterError:
        return InvalidParameterError(f'failed to process "{self._shown(start)}": {why}')

    def _shown(self, start: int) -> str:
        """Return the text from `start` on, as much of it as a message can hold."""
        end = start + _SHOWN_CHARACTERS
        return self.text[start:end] + ("…" if end < len(self.text) else "")


def _needed(name: str, value: str | None, word: str) -> str:
    if value is None:
        raise InvalidParameterError(f"{name}: {word or 'not set'}")
    return value


_MODIFIED: dict[str, Callable[[str, str | None, str], str]] = {
    "-": lambda name, value, word: word if value is None else value,
    ":-": lambda name, value, word: value or word,
    "+": lambda name, value, word: "" if value is None else word,
    ":+": lambda name, value, word: word if value else "",
    "?": _needed,
    ":?": lambda name, value, word: _needed(name, value or None, word),
    "#": lambda name, value, word: shell_patterns.without_prefix(value or "", word, greedy=False),
    "##": lambda name, value, word: shell_patterns.without_prefix(value or "", word, greedy=True),
    "%": lambda name, value, word: shell_patterns.without_suffix(value or "", word, greedy=False),
    "%%": lambda name, value, word: shell_patterns.without_suffix(value or "", word, greedy=True),
}
"""The value of a reference with a modifier: from name, value (None: not set) and word."""
