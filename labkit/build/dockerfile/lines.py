"""From a Dockerfile's text to its logical lines: directives, comments, continuations, heredocs.

The rules are those of BuildKit's parser, as the Dockerfile reference describes them ("Format",
"Parser directives", "Here-documents").
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from labkit.build.errors import TextError
from labkit.images import shell_words as words

SIZE_LIMIT_BYTES = 1 << 20
"""More is no Dockerfile, but something that was taken for one."""

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+)")
_DIRECTIVES = ("syntax", "escape", "check")
_HEREDOC = re.compile(r"""[0-9]*<<(-?)((?:"[^"<]*"|'[^'<]*'|[^\s"'<>|;&()])+)""")
_QUOTES = re.compile(r"[\"']")
_WITH_HEREDOCS = re.compile(r"\s*(?:ONBUILD\s+)?(?:ADD|COPY|RUN)\s", re.IGNORECASE)


class Heredoc(NamedTuple):
    """A document within the Dockerfile, up to the line that is its name."""

    name: str
    content: str
    expands: bool
    """Whether variables in it are put in: not if its name is quoted."""
    source: str
    """Its text in the Dockerfile, with the line that ends it."""


class Line(NamedTuple):
    """One instruction's text, continuations joined."""

    number: int
    """Of its first line, from 1."""
    text: str
    source: str
    """Its first line, unchanged."""
    heredocs: tuple[Heredoc, ...] = ()
    last: int = 0
    """The number of its last line, heredocs included."""


class Source(NamedTuple):
    """A Dockerfile as lines; `file` is its name in messages."""

    file: str
    escape: str
    lines: list[Line]


def read(data: bytes, file: str) -> Source:
    """The logical lines of a Dockerfile; DockerfileError."""
    if len(data) > SIZE_LIMIT_BYTES:
        limit = f"{SIZE_LIMIT_BYTES >> 20} MiB"
        raise TextError(f"the file is larger than {limit}: is it a Dockerfile?", file, 1, "")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TextError("the file is not UTF-8 text", file, line, "") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise TextError("the file has a NUL byte: it is not text", file, line, "")
    physical = text.split("\n")
    escape = _escape(physical, file)
    return Source(file, escape, list(_Lexer(physical, escape, file)))


def _escape(physical: list[str], file: str) -> str:
    """The directives stand on the first lines, before any comment, empty line or instruction."""
    seen: dict[str, str] = {}
    for number, line in enumerate(physical, 1):
        found = _DIRECTIVE.fullmatch(line.strip())
        name = found[1].lower() if found else ""
        if found is None or name not in _DIRECTIVES:
            break
        if name in seen:
            raise TextError(f"only one {name} parser directive can be used", file, number, "")
        seen[name] = found[2]
        if name == "escape" and found[2] not in ("\\", "`"):
            why = f"invalid ESCAPE '{found[2]}'. Must be ` or \\"
            raise TextError(why, file, number, line)
    return seen.get("escape", words.BACKSLASH)


class _Lexer:
    def __init__(self, physical: list[str], escape: str, file: str) -> None:
        self._lines = physical
        self._position = 0
        self._file = file
        token = re.escape(escape)
        self._continued = re.compile(rf"(.*(?<!{token})|){token}[ \t]*", re.DOTALL)
        self._escape = escape

    def __iter__(self) -> Iterator[Line]:
        while self._position < len(self._lines):
            source = self._lines[self._position].removesuffix("\r")
            if not source.strip() or source.lstrip().startswith("#"):
                self._position += 1
                continue
            number = self._position + 1
            text = self._joined().strip()
            if not text:
                continue  # nothing follows the backslash of a last line
            heredocs = self._heredocs(text, number) if _WITH_HEREDOCS.match(text) else ()
            yield Line(number, text, source, heredocs, self._position)

    def _joined(self) -> str:
        """The line at the position and those that continue it."""
        parts: list[str] = []
        while self._position < len(self._lines):
            line = self._lines[self._position].removesuffix("\r")
            self._position += 1
            is_comment = line.lstrip().startswith("#")
            if parts and (is_comment or not line.strip()):
                continue  # within a continued instruction they are as if not there
            continued = self._continued.fullmatch(line)
            if continued is None:
                parts.append(line)
                break
            parts.append(continued[1])
        return "".join(parts)

    def _heredocs(self, text: str, number: int) -> tuple[Heredoc, ...]:
        found = []
        for word in words.fields(text, self._escape):
            match = _HEREDOC.match(word)
            if match:
                found.append(self._heredoc(match, number, text))
        return tuple(found)

    def _heredoc(self, match: re.Match[str], number: int, text: str) -> Heredoc:
        name = _QUOTES.sub("", match[2])
        content: list[str] = []
        taken: list[str] = []
        while self._position < len(self._lines):
            line = self._lines[self._position]
            self._position += 1
            taken.append(line)
            stripped = line.lstrip("\t") if match[1] else line
            if stripped.removesuffix("\r") == name:  # the other lines keep it, as in BuildKit
                whole = "".join(f"{one}\n" for one in content)
                return Heredoc(name, whole, name == match[2], "".join(f"{t}\n" for t in taken))
            content.append(stripped)
        why = f"unterminated heredoc: a line that is just {name} must end it"
        raise TextError(why, self._file, number, text)
