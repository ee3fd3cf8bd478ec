"""Dockerfiles: read as lines, instructions and words, their variables put in."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from labkit.build.dockerfile.model import Dockerfile
from labkit.build.dockerfile.parser import parse
from labkit.errors import LabkitError
from labkit.images import healthchecks
from labkit.images import shell_words as words
from tests.fuzz.runner import FindingError, resident_bytes

CPU_MAX_S = 3.0
NAMES = ("FROM", "RUN", "ENV", "ARG", "COPY", "ADD", "LABEL", "EXPOSE", "CMD", "HEALTHCHECK")
NAMES += ("ENTRYPOINT", "VOLUME", "USER", "WORKDIR", "ONBUILD", "SHELL", "STOPSIGNAL", "from", "X")
PIECES = (
    *("a", "b=c", "$A", "${A}", "${A:-", "${A#", "${A##*", "${A%", "${A//", "}", "*", "?", "\\"),
    *('"', "'", "$", "${", "=", "\n", "\\\n", " ", "\t", "\r\n", "<<E", "<<-'E'", "\nE\n", "#"),
    *("--mount=type=cache", "--from=0", "--chown=", "--interval=1s", "AS", "[", '["a"]', ",", "`"),
    *("é", "\ufeff", "\u2028", "# escape=`\n", "# syntax=x\n", "9" * 5000, "/", "..", "0", "{}"),
)
ENVIRONMENT = {"A": "aXbXc" * 20, "B": "", "HOME": "/root"}


class Dockerfiles:
    """The parser and the reader of words, in this process."""

    def attack(self, random: Random) -> str:
        """See `runner.Target`."""
        data = _text(random).encode()
        started = time.process_time()
        try:
            answer = _read(data)
        except Exception as error:
            raise FindingError(f"{type(error).__name__}: {error}: {data[:300]!r}") from error
        took_s = time.process_time() - started
        if took_s > CPU_MAX_S:
            raise FindingError(f"{took_s:.1f} s for {len(data)} bytes: {data[:300]!r}")
        return answer

    def memory_bytes(self) -> int:
        """What this process holds in memory."""
        return resident_bytes("self")


@contextmanager
def opened() -> Iterator[Dockerfiles]:
    """The target, which needs nothing around it."""
    yield Dockerfiles()


def _text(random: Random) -> str:
    """Some lines of instructions; now and then one piece very often."""
    lines = ["FROM busybox"] if random.random() < 0.8 else []
    for _ in range(random.randrange(8)):
        pieces = random.choices(PIECES, k=random.randrange(1, 12))
        if random.random() < 0.2:
            pieces.insert(
                random.randrange(len(pieces)), random.choice(pieces) * random.choice((50, 5000))
            )
        separator = random.choice(("", " "))
        lines.append(f"{random.choice(NAMES)} {separator.join(pieces)}")
    text = "\n".join(lines)
    if random.random() < 0.3:
        cut = random.randrange(len(text) + 1)
        text = text[:cut] + chr(random.choice((0, 9, 34, 36, 92, 0x7F, 0x1F600))) + text[cut:]
    return text


def _read(data: bytes) -> str:
    try:
        dockerfile = parse(data)
    except LabkitError:
        return "refused"
    return "words refused" if _expanded(dockerfile) else "read"


def _expanded(dockerfile: Dockerfile) -> bool:
    """Read the words of every instruction; whether any was refused."""
    refused = False
    budget = words.Budget()
    for stage in dockerfile.stages:
        for instruction in stage.instructions:
            expander = words.Expander(ENVIRONMENT, instruction.escape, budget)
            reads = [expander.split, expander.expand, expander.expand_document]
            reads += [healthchecks.read] if instruction.name == "HEALTHCHECK" else []
            for read in reads:
                try:
                    read(instruction.text)
                except LabkitError:
                    refused = True
    return refused
