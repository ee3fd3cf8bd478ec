"""A build's context: sent by the client, or fetched from a URL or a git repository."""

import os
import posixpath
import re
import shutil
import subprocess
from typing import BinaryIO

from labkit.build import fetch
from labkit.build.archive import Archive, of_file, receive
from labkit.build.workroom import Workroom
from labkit.containers.trees.launch import Worker
from labkit.containers.trees.views import Folder
from labkit.errors import InvalidParameterError
from labkit.images.compression import plain_chunks

GIT_TIMEOUT_S = 600.0
_GIT = re.compile(r"(?:git://|git@|github\.com/).+|https?://.+\.git(?:#.*)?")
_DOCKERFILE_TYPES = ("text/plain",)


def sent(stream: BinaryIO, workroom: Workroom) -> Archive:
    """The context a client sends: a tar archive, perhaps compressed; InvalidParameterError."""
    return receive(plain_chunks(stream), workroom.path)


def fetched(url: str, dockerfile: str, workroom: Workroom) -> Archive:
    """The context at a URL: a git repository, an archive, or just a Dockerfile."""
    if _GIT.fullmatch(url):
        return _cloned(url, workroom)
    if not url.startswith(("http://", "https://")):
        raise InvalidParameterError(
            f"the context {url} cannot be fetched: it is an http(s) URL or a git repository"
        )
    found = fetch.fetch(url, workroom.path)
    try:
        if found.content_type in _DOCKERFILE_TYPES:
            data = b"".join(found.chunks())
            return of_file(posixpath.normpath(dockerfile), data)
        found.file.seek(0)
        return receive(plain_chunks(found.file), workroom.path)
    finally:
        found.file.close()


def _cloned(url: str, workroom: Workroom) -> Archive:
    """A git repository's files: `URL#REF:FOLDER`."""
    if shutil.which("git") is None:
        raise InvalidParameterError(f"the context {url} needs git, which is not installed")
    repository, _, fragment = url.partition("#")
    reference, _, folder = fragment.partition(":")
    if repository.startswith("github.com/"):
        repository = f"https://{repository}"
    with workroom.folder() as place:
        _git("clone", "--quiet", "--no-checkout", "--", repository, place)
        _git("-C", place, "checkout", "--quiet", "--detach", reference or "HEAD", "--")
        shutil.rmtree(os.path.join(place, ".git"))
        root = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # By a process that has the clone as its root: a link in a repository leads nowhere.
            worker = Worker("pack", (f"/{folder}/.", "."), Folder(), [root])
        finally:
            os.close(root)
        with worker:
            worker.ready()
            return receive(worker.output(), workroom.path)


def _git(*words: str) -> None:
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1"}
    try:
        done = subprocess.run(
            ["git", "-c", "protocol.ext.allow=never", "-c", "protocol.file.allow=never", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=GIT_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise InvalidParameterError(f"git took longer than {GIT_TIMEOUT_S:g} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["git failed"]
        raise InvalidParameterError(f"git {words[0]}: {said[-1]}")
