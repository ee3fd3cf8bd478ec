"""`labkit build --build-context --ssh --cache-from type=… --cache-to`: parts that a session serves.

The daemon asks for these while it builds, so the command opens a session beside the build
(`labkit.client.session`).
"""

import os

from labkit.cli.archives import build_context
from labkit.cli.base.errors import bad_value
from labkit.client.cache_folders import CacheFolders, digest_in, enter
from labkit.client.session import DEFAULT_AGENT, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labkit.client.building import BuildRequest

_IMAGE, _LAYOUT = "docker-image://", "oci-layout://"
_REMOTE = ("http://", "https://", "git://", "git@", "ssh://")
_KINDS = ("inline", "local", "registry")


class BuildSession:
    """The parts of one build that its session serves."""

    def __init__(self, options: "dict[str, Any]", request: "BuildRequest") -> None:
        """Read the options, and note them in the request.  UsageError, InvalidParameterError."""
        self.session = Session()
        self._folders = CacheFolders()
        self._written: list[tuple[str, str]] = []
        request.contexts = dict(self._context(text) for text in options["build_context"])
        for text in options["ssh"]:
            self._agent(text)
        request.cache_from = [text for text in options["cache_from"] if "=" not in text]
        request.cache_imports = [
            self._import(text) for text in options["cache_from"] if "=" in text
        ]
        request.cache_exports = [self._export(text) for text in options["cache_to"]]
        self.session.serve(self._folders.handlers())
        if self.session.is_needed:
            request.session = self.session.uuid

    def _context(self, text: str) -> tuple[str, str]:
        name, equals, meaning = text.partition("=")
        if not equals or not name or not meaning:
            raise bad_value(
                text, "--build-context", "it is NAME=FOLDER, a URL or docker-image://IMAGE"
            )
        if meaning.startswith(_LAYOUT):
            raise bad_value(
                text, "--build-context", "an OCI layout cannot be a context: load it first"
            )
        if meaning.startswith((_IMAGE, *_REMOTE)):
            return name, meaning
        folder = build_context.of_named_folder(meaning)
        return name, self.session.offer(folder)

    def _agent(self, text: str) -> None:
        name, _, path = text.partition("=")
        if not name:
            raise bad_value(text, "--ssh", "it is default or NAME=SOCKET")
        if not path and name != DEFAULT_AGENT:
            raise bad_value(text, "--ssh", "it needs the path of an agent's socket: NAME=SOCKET")
        self.session.offer_agent(name, path or os.environ.get("SSH_AUTH_SOCK", ""))

    def _import(self, text: str) -> "dict[str, object]":
        kind, given = _read(text, "--cache-from")
        if kind == "local":
            folder = _needed(text, "--cache-from", given, "src")
            given.setdefault("digest", digest_in(folder, given.get("tag", "latest")))
            self._folders.add(folder)
        elif kind == "registry":
            _needed(text, "--cache-from", given, "ref")
        return {"Type": kind, "Attrs": given}

    def _export(self, text: str) -> "dict[str, object]":
        kind, given = _read(text, "--cache-to")
        if kind == "local":
            folder = _needed(text, "--cache-to", given, "dest")
            self._folders.add(folder, is_new=True)
            self._written.append((folder, given.get("tag", "latest")))
        elif kind == "registry":
            _needed(text, "--cache-to", given, "ref")
        return {"Type": kind, "Attrs": given}

    def finish(self, manifest: "dict[str, Any] | None") -> None:
        """Enter the manifest of the written cache into each folder's index.  LabkitError."""
        for folder, tag in self._written:
            if manifest is not None:
                enter(folder, manifest, tag)


def _read(text: str, flag: str) -> tuple[str, dict[str, str]]:
    given = dict(part.partition("=")[::2] for part in text.split(","))
    kind = given.pop("type", "")
    if kind not in _KINDS:
        raise bad_value(text, flag, f"its type is one of {', '.join(_KINDS)}")
    if kind == "inline" and flag == "--cache-from":
        raise bad_value(
            text, flag, "an inline cache is in an image: name it with type=registry,ref="
        )
    return kind, given


def _needed(text: str, flag: str, given: dict[str, str], key: str) -> str:
    if not given.get(key):
        raise bad_value(text, flag, f"it needs {key}=")
    return given[key]
