"""An answer as lines, without what differs from one run to the next.

`exit N`, then what was printed, then the errors, each behind `! `.  JSON becomes one line a value
(`.State.Status = "exited"`), a tar archive one line a member.  Ids, times and process ids are
words in angle brackets; who speaks (`docker:`, `labkit:`) and where more help is are left out.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from typing import NamedTuple

USTAR = slice(257, 262)


class Answer(NamedTuple):
    """What came back of one command."""

    code: int
    out: bytes
    err: bytes


_UNITS = "second|minute|hour|day|week|month|year"
WORDS = (
    (re.compile(r"\b(sha256:)?[0-9a-f]{64}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \w+"), "<time>"),
    (re.compile(rf"\b(Less than a second|\d+ ({_UNITS})s?|About an? (minute|hour))\b"), "<while>"),
    # An image is as large as this system's busybox, and as old.
    (re.compile(r"(?<=\(virtual )\d+(\.\d+)?MB(?=\)$)"), "<size>"),
    (re.compile(r"\b\d+(\.\d+)?MB$"), "<size>"),
    (re.compile(r"  +"), "   "),
    (re.compile(r"^\d+(?=   sleep 100$)"), "<pid>"),
    (re.compile(r"/tmp/lk\w+-\w+/"), "<engine>/"),
    (re.compile(r"/proc/\d+/"), "/proc/<pid>/"),
)
ERROR_WORDS = (
    (re.compile(r"^(docker|labkit|ERROR|Error|Error response from daemon): "), ""),
    (re.compile(r"; see 'labkit .*--help'$"), ""),
    (re.compile(r"\blabkit\b"), "docker"),
    (re.compile(r'"'), "'"),
    (re.compile(r"\.$"), ""),
)
CLIENT_LOG = re.compile(r"time='.*' level=")
HELP = re.compile(r"^(See 'docker|Run 'docker|Usage:)")
NUMBERS = re.compile(r"\.(Pid|StartedAt|FinishedAt|Created)$")


def lines(answer: Answer, signs: Mapping[str, str]) -> list[str]:
    """The answer in lines that can be compared, with the signs for what they stand for.

    A digest has its sign with the `@` before it and without.
    """

    def told(text: str) -> str:
        for pattern, word in WORDS:
            text = pattern.sub(word, text)
        return text.rstrip()

    def plain(data: bytes) -> str:
        text = data.decode(errors="backslashreplace")
        for sign, stands_for in sorted(signs.items(), key=lambda item: -len(item[1])):
            text = text.replace(stands_for, sign).replace(stands_for.removeprefix("@"), sign)
        return text

    found = [f"exit {answer.code}"]
    if answer.out[USTAR] == b"ustar":
        found += _members(answer.out)
    else:
        for line in plain(answer.out).splitlines():
            found += [told(each) for each in _taken_apart(line)]
    return found + [f"! {told(line)}" for line in _errors(plain(answer.err))]


def _taken_apart(line: str) -> Iterator[str]:
    """A line of JSON as one line a value; any other as it is."""
    try:
        value = json.loads(line) if line[:1] in ("{", "[") else None
    except ValueError:
        value = None
    if isinstance(value, dict):
        yield from _values("", value)
    else:
        yield line


def _values(path: str, value: object) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, inner in sorted(value.items()):
            yield from _values(f"{path}.{name}", inner)
    else:
        number = NUMBERS.search(path) and value not in (0, "0001-01-01T00:00:00Z")
        yield f"{path} = {'<n>' if number else json.dumps(value)}"


def _members(data: bytes) -> Iterator[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            yield f"tar: {member.name} {member.mode & 0o7777:o} {member.uid} {member.size}"


def _errors(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if HELP.match(line):
            return
        shown = line
        for pattern, word in ERROR_WORDS * 2:  # "docker: Error response from daemon: …"
            shown = pattern.sub(word, shown)
        # The letters' case is a matter of the version: "Invalid filter", "invalid filter".
        if shown.strip() and not CLIENT_LOG.match(shown):
            yield shown.lower()
