"""The files that a build reads from its client, requested when the build needs them.

The Dockerfile and `.dockerignore` are first; then, once, the files that COPY and ADD name: the
client leaves out the files of the ignore file.  A context may also have a name (`--build-context`),
be an archive on the client's standard input, or be fetched from a URL.
"""

import os
import posixpath
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from labkit.build.context import remote
from labkit.build.context.archive import Archive, Node
from labkit.build.context.contexts import DOCKERFILE_LIMIT_BYTES, IGNORE_FILE, Sent, Source
from labkit.build.context.tars import is_archive, of_file
from labkit.build.options import Options
from labkit.build.workroom import Workroom
from labkit.buildkit.inputs import PREFIX
from labkit.buildkit.kept import Kept
from labkit.buildkit.progress import now
from labkit.buildkit.receiving import Receiver
from labkit.buildkit.sessions import Client
from labkit.buildkit.uploads import uploaded
from labkit.buildkit.vertices import Vertices
from labkit.errors import InvalidParameterError, NotFoundError
from labkit.patterns import read_ignore

DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"
_LOCAL, _IMAGE = "local:", "docker-image://"
_SESSION = "http://buildkit-session/"


class SessionContexts:
    """The contexts of one build (`labkit.build.context.contexts.Contexts`)."""

    def __init__(
        self,
        attributes: Mapping[str, str],
        session: Client,
        *,
        sent: BinaryIO | None,
        shared: Mapping[str, Client],
        inputs: Callable[[str], str],
        kept: Kept,
        workroom: Workroom,
        vertices: Vertices,
        stack: ExitStack,
    ) -> None:
        """`sent` is the context, if the request brought it.

        `shared` are the sessions that serve some of the folders; `inputs` returns the image that
        another build makes; `stack` closes open files.
        """
        self._sent = sent
        self._attributes = attributes
        self._session = session
        self._shared = shared
        self._inputs = inputs
        self._kept = kept
        self._workroom = workroom
        self._vertices = vertices
        self._stack = stack
        self._lock = threading.RLock()
        self._found: dict[str, Archive] = {}
        self._images: dict[str, str] = {}
        self._ignored: dict[str, list[str]] = {}
        self._named = _named(attributes)
        self._options = Options(dockerfile=attributes.get("filename") or "Dockerfile")
        self._dockerfile: Source | None = None
        self.takes_all = False
        """Whether all files are requested: several builds use them."""

    # The build's requests

    def dockerfile(self) -> Source:
        """Return the Dockerfile; this also reads the ignore file."""
        if self._dockerfile is None:
            self._dockerfile = self._read_dockerfile()
        return self._dockerfile

    def _read_dockerfile(self) -> Source:
        if self._is_elsewhere:
            return Sent(self._whole(), self._options._replace(is_context_whole=True)).dockerfile()
        name = posixpath.normpath(self._options.dockerfile)
        folder = self._attributes.get("dockerfilekey") or "dockerfile"
        wanted = [name, f"{name}.dockerignore"]
        if name == "Dockerfile":
            wanted.append("dockerfile")
        with self._vertices.step(f"[internal] load build definition from {name}") as step:
            found = self._receive(folder, wanted, [], step, keep=False)
            try:
                file = self._first(found, [name, *wanted[2:]])
                data = found.read(file, DOCKERFILE_LIMIT_BYTES)
            except NotFoundError:
                raise InvalidParameterError(
                    f"failed to read dockerfile: open {name}: no such file or directory"
                ) from None
        own = self._text(found, f"{name}.dockerignore")
        if own is not None:
            self._ignored["context"] = read_ignore(own)
        self._ignore_rules("context")
        return Source(data, name)

    @property
    def ignored(self) -> list[str]:
        """The patterns of `.dockerignore`, as far as they were read with the Dockerfile."""
        return self._ignored.get("context", [])

    def files(self, wanted: Sequence[str] | None) -> Archive:
        """Return the files that COPY and ADD name."""
        if self._is_elsewhere:
            return self._whole()
        with self._lock:
            if "context" not in self._found:
                self._found["context"] = self._load(
                    "context", "[internal] load build context", self._requested(wanted)
                )
            return self._found["context"]

    def _requested(self, wanted: Sequence[str] | None) -> Sequence[str]:
        return [] if self.takes_all else wanted or []

    def named(self, name: str) -> Archive | str | None:
        """Return the user's context of this name (`--build-context NAME=…`)."""
        meant = self._named.get(name.lower())
        if meant is None:
            return None
        if meant.startswith(_IMAGE):
            return meant.removeprefix(_IMAGE)
        if meant.startswith(PREFIX):
            return self._built(meant.removeprefix(PREFIX))
        with self._lock:
            if name not in self._found:
                self._found[name] = self._load_named(name, meant)
            return self._found[name]

    def _built(self, name: str) -> str:
        """Return the image of another build, which may be forgotten after the first question."""
        with self._lock:
            if name not in self._images:
                self._images[name] = self._inputs(name)
            return self._images[name]

    # Fetching

    def _load_named(self, name: str, meant: str) -> Archive:
        if meant.startswith(_LOCAL):
            folder = meant.removeprefix(_LOCAL)
            return self._load(folder, f"[context {name}] load from client", [])
        if meant.startswith(_SESSION):
            with uploaded(self._session, urlsplit(meant), self._workroom) as file:
                return self._closing(remote.sent(file, self._workroom))
        if meant.startswith(("http://", "https://", "git://", "git@", "ssh://")):
            with self._vertices.step(f"[context {name}] {meant}"):
                return self._closing(remote.fetched(meant, "Dockerfile", self._workroom))
        raise InvalidParameterError(
            f"the context {name}={meant} is of an unknown kind: known are a folder, a URL, a "
            "git repository and docker-image://"
        )

    def _load(self, folder: str, name: str, wanted: Sequence[str]) -> Archive:
        ignored = self._ignore_rules(folder)
        with self._vertices.step(name) as step:
            return self._receive(folder, wanted, ignored, step, keep=True)

    def _ignore_rules(self, folder: str) -> list[str]:
        """Return the patterns of the folder's ignore file."""
        with self._lock:
            if folder not in self._ignored:
                of_one = "[internal]" if folder == "context" else f"[context {folder}]"
                with self._vertices.step(f"{of_one} load .dockerignore") as step:
                    found = self._receive(folder, [IGNORE_FILE], [], step, keep=False)
                    self._ignored[folder] = read_ignore(self._text(found, IGNORE_FILE) or "")
            return self._ignored[folder]

    def _receive(
        self,
        folder: str,
        wanted: Sequence[str],
        ignored: Sequence[str],
        step: str,
        *,
        keep: bool,
    ) -> Archive:
        """Receive a folder from the client; with `keep` compare it with the last time."""
        session = self._shared.get(folder, self._session)
        metadata = {"dir-name": [folder]}
        for key, values in (("followpaths", wanted), ("exclude-patterns", ignored)):
            if values:
                metadata |= _listed(key, values)
        started = now()

        def moved(count: int) -> None:
            self._vertices.part(step, f"transferring {folder}:", started, current=count)

        last_time = (session.shared_key if keep else "", folder)
        with self._kept.slot(last_time) as slot:
            call = session.call(DIFF_COPY, metadata)
            try:
                content = slot.content()
                receiver = Receiver(call, content, slot.known, moved)
                receiver.receive()
            finally:
                call.close()
            slot.note(content, receiver.found)
            self._vertices.part(
                step, f"transferring {folder}:", started, current=receiver.moved_bytes, is_done=True
            )
            file = os.fdopen(os.dup(slot.fd), "rb")
        return self._closing(Archive(file, receiver.root))

    # A context that is not a folder of the client

    @property
    def _is_elsewhere(self) -> bool:
        """Whether the context is not a folder of the client."""
        return self._sent is not None or "context" in self._attributes

    def _whole(self) -> Archive:
        with self._lock:
            if "context" not in self._found:
                with self._vertices.step("[internal] load remote build context"):
                    self._found["context"] = self._closing(self._fetched())
            return self._found["context"]

    def _fetched(self) -> Archive:
        if self._sent is not None:
            return self._read(self._sent)
        url = self._attributes["context"]
        if not url.startswith(_SESSION):
            return remote.fetched(url, self._options.dockerfile, self._workroom)
        with uploaded(self._session, urlsplit(url), self._workroom) as file:
            return self._read(file)

    def _read(self, file: BinaryIO) -> Archive:
        """Return an archive, or just a Dockerfile."""
        if is_archive(file):
            file.seek(0)
            return remote.sent(file, self._workroom)
        file.seek(0)
        data = file.read(DOCKERFILE_LIMIT_BYTES + 1)
        return of_file(posixpath.normpath(self._options.dockerfile), data)

    def _closing(self, archive: Archive) -> Archive:
        self._stack.callback(archive.close)
        return archive

    @staticmethod
    def _first(archive: Archive, names: Sequence[str]) -> Node:
        for name in names[:-1]:
            try:
                return archive.find(name)
            except NotFoundError:
                continue
        return archive.find(names[-1])

    @staticmethod
    def _text(archive: Archive, name: str) -> str | None:
        try:
            found = archive.read(archive.find(name), DOCKERFILE_LIMIT_BYTES)
        except NotFoundError:
            return None
        return found.decode("utf-8", "replace")


class NamedBeside:
    """A context that was sent, beside others that have names."""

    def __init__(self, sent: Sent, others: SessionContexts) -> None:
        self.dockerfile = sent.dockerfile
        self.files = sent.files
        self.named = others.named


def _named(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the meaning of names: `context:NAME` or `context:NAME::PLATFORM`."""
    return {
        key.removeprefix("context:").partition("::")[0].lower(): value
        for key, value in attributes.items()
        if key.startswith("context:")
    }


def _listed(key: str, values: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield a list for a call's metadata, which is ASCII: others are escaped as in a query."""
    if all(value.isascii() and value.isprintable() for value in values):
        yield key, list(values)
        return
    yield key, [quote(value, safe="") for value in values]
    yield f"{key}-encoded", ["1"]
