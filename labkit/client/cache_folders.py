"""Folders with caches of builds, served in a session: `--cache-to type=local,dest=FOLDER`.

A folder is an OCI image layout, as BuildKit's clients write it: `blobs/sha256/…`, and `index.json`
with the newest cache's manifest under a tag.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from labkit.dialect.content_messages import (
    COMMIT,
    PIECE_BYTES,
    SERVICE,
    STORE,
    ContentInfo,
    ContentInfoRequest,
    ContentInfoResponse,
    ReadContentRequest,
    ReadContentResponse,
    WriteContentRequest,
    WriteContentResponse,
)
from labkit.errors import InvalidParameterError, LabkitError
from labkit.rpc.calls import Served, first
from labkit.rpc.errors import INVALID_ARGUMENT, NOT_FOUND, CallError
from labkit.rpc.serving import Handler

_REF = "org.opencontainers.image.ref.name"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digest_in(folder: str, tag: str = "latest") -> str:
    """Return the digest of a folder's cache; empty if it holds none.  InvalidParameterError."""
    try:
        with open(f"{folder}/index.json", "rb") as file:
            entries = json.load(file)["manifests"]
        for entry in entries:
            if (entry.get("annotations") or {}).get(_REF) == tag:
                return str(entry["digest"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise InvalidParameterError(f"{folder}/index.json cannot be read: {error}") from None
    return ""


def enter(folder: str, manifest: "Mapping[str, Any]", tag: str = "latest") -> None:
    """Make a manifest the folder's cache.  LabkitError."""
    entry = {**manifest, "annotations": {_REF: tag}}
    index = {"schemaVersion": 2, "manifests": [entry]}
    try:
        _write(f"{folder}/oci-layout", {"imageLayoutVersion": "1.0.0"})
        _write(f"{folder}/index.json", index)
    except OSError as error:
        raise LabkitError(f"cannot write to {folder}: {error.strerror}") from error


def _write(path: str, document: object) -> None:
    unfinished = f"{path}.new"
    with open(unfinished, "w", encoding="utf-8") as file:
        json.dump(document, file)
    os.replace(unfinished, path)


class CacheFolders:
    """Serves the content of some folders, and of no other."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def add(self, folder: str, *, is_new: bool = False) -> None:
        """Serve a folder; `is_new` makes it if it is missing.  LabkitError."""
        if is_new:
            try:
                os.makedirs(f"{folder}/blobs/sha256", exist_ok=True)
            except OSError as error:
                raise LabkitError(f"cannot write to {folder}: {error.strerror}") from error
        self._folders[f"local:{folder}"] = folder

    def handlers(self) -> dict[str, Handler]:
        """The methods by their paths; none without folders."""
        if not self._folders:
            return {}
        return {
            f"{SERVICE}/Info": self._info,
            f"{SERVICE}/Read": self._read,
            f"{SERVICE}/Write": self._write,
        }

    def _path(self, call: Served, digest: str) -> str:
        folder = self._folders.get(first(call.metadata, STORE))
        if folder is None or not _DIGEST.fullmatch(digest):
            raise CallError(INVALID_ARGUMENT, f"{digest} is in no folder that is served")
        return f"{folder}/blobs/{digest.replace(':', '/')}"

    def _info(self, call: Served) -> None:
        asked = call.receive(ContentInfoRequest) or ContentInfoRequest()
        try:
            size = os.stat(self._path(call, asked.digest)).st_size
        except OSError:
            raise CallError(NOT_FOUND, f"{asked.digest}: not found") from None
        call.send(ContentInfoResponse(ContentInfo(asked.digest, size)))

    def _read(self, call: Served) -> None:
        asked = call.receive(ReadContentRequest) or ReadContentRequest()
        try:
            file = open(self._path(call, asked.digest), "rb")
        except OSError:
            raise CallError(NOT_FOUND, f"{asked.digest}: not found") from None
        with file:
            at = 0
            while data := file.read(PIECE_BYTES):
                call.send(ReadContentResponse(at, data))
                at += len(data)

    def _write(self, call: Served) -> None:
        """Write a blob beside its place; it gets its name when it is whole."""
        piece = call.receive(WriteContentRequest) or WriteContentRequest()
        path, expected, found = self._path(call, piece.expected), piece.expected, hashlib.sha256()
        fd, unfinished = tempfile.mkstemp(dir=os.path.dirname(path))
        try:
            with open(fd, "wb") as file:
                while True:
                    file.write(piece.data)
                    found.update(piece.data)
                    size = file.tell()
                    if piece.action == COMMIT:
                        break
                    call.send(WriteContentResponse(piece.action, size, piece.total))
                    following = call.receive(WriteContentRequest)
                    if following is None:
                        raise CallError(INVALID_ARGUMENT, f"{expected} was cut short")
                    piece = following
            if f"sha256:{found.hexdigest()}" != expected:
                raise CallError(INVALID_ARGUMENT, f"the content does not match {expected}")
            os.chmod(unfinished, 0o644)
            os.replace(unfinished, path)
            call.send(WriteContentResponse(COMMIT, size, size, expected))
        finally:
            with suppress(FileNotFoundError):
                os.unlink(unfinished)
