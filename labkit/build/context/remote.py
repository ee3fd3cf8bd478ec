"""A build's context: sent by the client, or fetched from a URL or a git repository."""

import os
import posixpath
import re
import shutil
import subprocess
from typing import BinaryIO

from labkit.build.context import fetch
from labkit.build.context.archive import Archive
from labkit.build.context.tars import is_archive, of_file, receive
from labkit.build.dockerfile.lines import SIZE_LIMIT_BYTES
from labkit.build.workroom import Workroom
from labkit.containers.trees.launch import Worker
from labkit.containers.trees.views import Folder
from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images.archives.compression import plain_chunks
from labkit.kernel.trails import remove_tree

GIT_TIMEOUT_S = 600.0
_URLS = ("http://", "https://")
_GIT = re.compile(
    r"(?:git://|git@|ssh://[^/]+/|github\.com/).+|https?://[^?#]+\.git(?:#.*)?", re.DOTALL
)
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


def sent(stream: BinaryIO, workroom: Workroom) -> Archive:
    """The context a client sends: a tar archive, perhaps compressed; InvalidParameterError."""
    return receive(plain_chunks(stream), workroom.path)


def fetched(url: str, dockerfile: str, workroom: Workroom) -> Archive:
    """The context at a URL: a git repository, an archive, or just a Dockerfile."""
    if is_git(url):
        return cloned(url, workroom)
    if not url.startswith(_URLS):
        raise InvalidParameterError(
            f"the context {url} cannot be fetched: it must be an http(s) URL or a git repository"
        )
    found = fetch.fetch(url, workroom.path)
    try:
        found.file.seek(0)
        if is_archive(found.file):
            found.file.seek(0)
            return receive(plain_chunks(found.file), workroom.path)
        if found.size_bytes > SIZE_LIMIT_BYTES:
            raise InvalidParameterError(
                f"{url} is not an archive, and is too large for a Dockerfile"
            )
        return of_file(posixpath.normpath(dockerfile), b"".join(found.chunks()))
    finally:
        found.file.close()


def is_remote(source: str) -> bool:
    """Whether ADD gets a source from elsewhere: a URL, or a git repository."""
    return is_git(source) or source.startswith(_URLS)


def is_git(url: str) -> bool:
    """Whether a URL means a git repository, as in Docker."""
    return _GIT.fullmatch(url) is not None


def cloned(
    url: str, workroom: Workroom, *, keep_git_folder: bool = False, commit: str = ""
) -> Archive:
    """A git repository's files: `URL#REF:FOLDER`, with those of its submodules.

    `keep_git_folder`: `.git`, too.  `commit`: the beginning of the commit's id.
    """
    if shutil.which("git") is None:
        raise InvalidParameterError(f"the context {url} needs git, which is not installed")
    repository, _, fragment = url.partition("#")
    reference, _, folder = fragment.partition(":")
    if repository.startswith("github.com/"):
        repository = f"https://{repository}"
    with workroom.folder() as place:
        _git("clone", "--quiet", "--no-checkout", "--", repository, place)
        _git("checkout", "--quiet", "--detach", _commit(place, reference), "--", place=place)
        _git("submodule", "--quiet", "update", "--init", "--recursive", place=place)
        if commit and not (found := _git("rev-parse", "HEAD", place=place)).startswith(commit):
            raise InvalidParameterError(f"expected checksum to match {commit}, got {found}")
        if not keep_git_folder:
            remove_tree(os.path.join(place, ".git"))
        root = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # By a process that has the clone as its root: a link in a repository leads nowhere.
            worker = Worker("pack", (f"/{folder}/.", "."), Folder(), [root])
        finally:
            os.close(root)
        with worker:
            try:
                worker.ready()
            except NotFoundError:
                raise InvalidParameterError(f"{repository} has no folder {folder}") from None
            return receive(worker.output(), workroom.path)


def _commit(place: str, reference: str) -> str:
    """Return the name to check out: a branch or tag, which is fetched, or a commit."""
    if not reference:
        return "HEAD"
    try:
        _git("fetch", "--quiet", "origin", "--", reference, place=place)
    except InvalidParameterError:
        if _COMMIT.fullmatch(reference):
            return reference  # many servers give no commit by its id, and the clone has it
        raise
    return "FETCH_HEAD"


def _git(*words: str, place: str = "/") -> str:
    """Run git, and return its output; InvalidParameterError."""
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1"}
    safe = ("-c", "protocol.ext.allow=never", "-c", "protocol.file.allow=never")
    try:
        done = subprocess.run(
            ["git", "-C", place, *safe, *words],
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
        said = done.stderr.strip().splitlines() or ["it failed, and did not say why"]
        why = next((line for line in said if line.startswith("fatal: ")), said[-1])
        raise InvalidParameterError(f"git {words[0]}: {why}")
    return done.stdout.strip()
