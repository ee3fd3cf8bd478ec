"""The input of a build: its Dockerfile and the files that COPY and ADD name.

Docker's classic API sends everything first (`Sent`).  A client that speaks BuildKit's protocol is
asked for each part when the build comes to it (`labkit.buildkit.contexts`).
"""

import contextlib
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from labkit.build.context.archive import Archive
from labkit.build.context.remote import is_remote
from labkit.build.dockerfile.model import Instruction
from labkit.build.options import Options
from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images import shell_words as words
from labkit.patterns import Patterns, read_ignore

DOCKERFILE_LIMIT_BYTES = 1 << 20
IGNORE_FILE = ".dockerignore"


class Source(NamedTuple):
    """A Dockerfile: its content, and its name in messages."""

    data: bytes
    name: str


class Contexts(Protocol):
    """The input of a build; every method may be called from several threads."""

    def dockerfile(self) -> Source:
        """The Dockerfile; InvalidParameterError."""

    def files(self, wanted: Sequence[str] | None) -> Archive:
        """The build's context; of it nothing but `wanted` need be there, if that is given."""

    def named(self, name: str) -> Archive | str | None:
        """Return the meaning of a name that the user gave: files, or an image's name, or None."""


def wanted(instructions: Iterable[Instruction]) -> list[str] | None:
    """The paths that instructions take from the context; None if only building them will tell."""
    found: list[str] = []
    for instruction in instructions:
        for path in _taken(instruction):
            plain = posixpath.normpath(path.strip("/") or ".")
            if plain == "." or plain.startswith("..") or "**" in plain or _READ_LATER & set(plain):
                return None
            found.append(plain)
    return found


_READ_LATER = frozenset("$\"'\\`")
"""What makes a word mean something other than it says."""


def _taken(instruction: Instruction) -> list[str]:
    """The sources that an instruction names in the context."""
    if instruction.name in ("COPY", "ADD") and not instruction.flag("from"):
        named = instruction.words or words.fields(instruction.text, instruction.escape)
        return [path for path in named[:-1] if not (path.startswith("<<") or is_remote(path))]
    if instruction.name == "RUN":
        return [source for mount in instruction.mounts() for source in _mounted(mount)]
    return []


def _mounted(keys: Mapping[str, str]) -> list[str]:
    """Return the paths of the context that a `--mount` shows."""
    if keys.get("type", "bind") != "bind" or "from" in keys:
        return []
    return [keys.get("source") or keys.get("src") or "."]


class Sent:
    """A context that came whole, as an archive."""

    def __init__(self, archive: Archive, options: Options) -> None:
        self._archive = archive
        self._options = options

    def dockerfile(self) -> Source:
        """Find the Dockerfile; then take out of the context what `.dockerignore` says."""
        file = posixpath.normpath(self._options.dockerfile.replace("\\", "/"))
        try:
            if file.startswith("../"):
                raise InvalidParameterError(
                    f"forbidden path outside the build context: {self._options.dockerfile}"
                )
            data = self._read(file)
        except NotFoundError:
            raise InvalidParameterError(
                f"Cannot locate specified Dockerfile: {self._options.dockerfile}"
            ) from None
        if self._options.dockerfile_path:
            self._archive.remove(file)
        self._ignore(file)
        return Source(data, self._options.dockerfile_path or file)

    def _ignore(self, dockerfile: str) -> None:
        with contextlib.suppress(NotFoundError):
            ignore = self._read(IGNORE_FILE)
            patterns = Patterns(read_ignore(ignore.decode("utf-8", "replace")))
            if self._options.is_context_whole:
                self._archive.exclude(patterns)
            for path in (dockerfile, IGNORE_FILE):
                if patterns.match(path):
                    self._archive.remove(path)

    def _read(self, path: str) -> bytes:
        return self._archive.read(self._archive.find(path), DOCKERFILE_LIMIT_BYTES)

    def files(self, wanted: Sequence[str] | None) -> Archive:
        """All of it."""
        return self._archive

    def named(self, name: str) -> Archive | str | None:
        """The classic API knows no other contexts."""
        return None
